"""Views of a machine: pictures, figures and sentences, made from traces and snapshots.

Pure functions; they know nothing of Jupyter, and numpy and matplotlib are imported only when a
figure is asked for. What each returns also exists in words.
"""

from kextlab.views.log import log
from kextlab.views.queue_figure import queue_figure
from kextlab.views.scenes import SceneWriter, scene_document
from kextlab.views.units import units_picture

__all__ = ["SceneWriter", "log", "queue_figure", "scene_document", "units_picture"]
