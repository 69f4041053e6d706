"""What the kernel did, step by step: recorded as plain values, read back as typed events."""

from kextlab.trace.events import Change, Event
from kextlab.trace.fold import Folder, State
from kextlab.trace.log import Trace

__all__ = ["Change", "Event", "Folder", "State", "Trace"]
