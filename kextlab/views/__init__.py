"""Views of a machine: pictures, figures and sentences, made from traces and snapshots.

Pure functions; they know nothing of Jupyter, and numpy and matplotlib are imported only when a
figure is asked for. What each returns also exists in words.
"""

from kextlab.views.inspector import inspect
from kextlab.views.log import log
from kextlab.views.mermaid import mermaid
from kextlab.views.player import player, still_picture
from kextlab.views.queue_figure import queue_figure
from kextlab.views.raster import png
from kextlab.views.scenes import SceneWriter, scene_document
from kextlab.views.space_time import space_time
from kextlab.views.units import units_picture

__all__ = [
    "SceneWriter",
    "inspect",
    "log",
    "mermaid",
    "player",
    "png",
    "queue_figure",
    "scene_document",
    "space_time",
    "still_picture",
    "units_picture",
]
