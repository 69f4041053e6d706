"""Widgets of the notebooks: views that live in the browser and drive the machine."""

from kextlab.widgets.scope import Scope

__all__ = ["Scope"]
