"""``Scope``: see a machine, step it, rewind it, branch it, in a notebook.

    Scope(mac)                      follows the machine as cells run
    Scope(run), Scope(mac.trace)    plays a story back
    Scope(doc)                      a scene document, as scene_document() gives it

The document travels once, compressed; stepping and playing happen in the browser
(``kextlab.views.front``). Of a machine that lives, what is new follows after each cell. The
controls of a live Scope are messages; each is answered with one line, and the methods below do the
same from Python and raise the same words.

What a notebook stores is in ``still``; what the controls do to a machine in ``drive``.
"""

from __future__ import annotations

import json
import sys
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import traitlets
from anywidget import AnyWidget

from kextlab.scenario import Run, Scenario, faults
from kextlab.scenario.fault import Fault
from kextlab.trace.log import Trace, outside
from kextlab.userland.mac import Kernel
from kextlab.views import SceneWriter, player, scene_document, still_picture
from kextlab.views.front import bundle
from kextlab.views.patches import checked
from kextlab.views.player import packed
from kextlab.widgets.drive import Driver, Refused, ScopeError
from kextlab.widgets.still import stored

PARTS = ("topology", "queues", "diagram", "log", "inspector", "scrubber")
PLAIN = 16_384  # characters of JSON up to which a message is not packed
Json = Any  # a JSON value


class Scope(AnyWidget):
    """A live picture of a machine.

    Args:
        source: a machine, a run of a scenario, a trace, or a scene document.
        parts: which of ``PARTS`` to show, in any order; all by default.
        at: the step to open at; the end by default.
        presenter: large type, for a class.
        title: what it is called.

    Raises:
        IndexError: there is no step ``at``.
        TypeError: the source is nothing of these.
        ValueError: an unknown part, or a scene document of another version.
    """

    _esm = bundle()
    document = traitlets.Bytes(read_only=True).tag(
        sync=True, to_json=lambda _, scope: scope._packed_document()
    )
    place = traitlets.Unicode(read_only=True).tag(sync=True)
    live = traitlets.Bool(read_only=True).tag(sync=True)
    options = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(
        self,
        source: Kernel | Run | Trace | dict[str, Json],
        *,
        parts: list[str] | tuple[str, ...] | None = None,
        at: int | None = None,
        presenter: bool = False,
        title: str = "",
    ) -> None:
        for part in parts or ():
            if part not in PARTS:
                raise ValueError(f"parts: {part!r} is none of {', '.join(PARTS)}")
        self._source, self._title = source, title
        self._driver = Driver(source) if isinstance(source, Kernel) else None
        self._attach()
        self._check(at)
        self._at = at
        self.branches: list[Run] = []  # what ``branch`` made, oldest first
        self.set_trait("place", f"scope-{uuid.uuid4().hex}")
        self.set_trait("live", self._driver is not None or isinstance(source, Run))
        options = {"parts": list(parts or ()), "presenter": presenter, "at": at}
        self.set_trait("options", options)
        super().__init__()
        self.on_msg(self._heard)
        self._follow()

    # -- the document ----------------------------------------------------------------------

    def _attach(self) -> None:
        """Begin the document of the source anew."""
        source = self._source
        if isinstance(source, dict):
            self._document: dict[str, Json] = {**checked(source)}
            if self._title:
                self._document["title"] = self._title
            self._writer: SceneWriter | None = None
        elif isinstance(source, Kernel):
            self._trace = source.trace
            self._writer = SceneWriter(source, title=self._title)
            self._document = self._writer.document()
        else:
            self._writer = None
            self._document = scene_document(source, title=self._title)

    def _check(self, at: int | None) -> None:
        steps = self._document["steps"] if self._writer is None else len(self._trace)
        if at is not None and not 0 <= at <= steps:
            raise IndexError(outside(at, steps))

    def _whole(self) -> dict[str, Json]:
        """The document as it is now."""
        if self._writer is not None:
            self.update()
            self._document = self._writer.document()
        if self._driver is not None:
            self._document["live"] = self._driver.live()
        return self._document

    def _packed_document(self) -> bytes:
        return packed(self._whole())

    def update(self) -> list[Json]:
        """Send what has happened since the last time; cells do it by themselves.

        Returns:
            The moments that are new.
        """
        if self._writer is None or self._driver is None:
            return []
        if self._driver.mac.trace is not self._trace:  # rebooted
            self._attach()
            self.send({"document": "packed"}, [packed(self._whole())])
            return []
        more = self._writer.more()
        if more is not None:
            more["live"] = self._driver.live()
            self._tell("more", more)
        return more["moments"] if more is not None else []

    def _tell(self, name: str, value: dict[str, Json]) -> None:
        """Send a part of a document; packed only if it is much: unpacking waits for the page."""
        if len(json.dumps(value, ensure_ascii=False)) <= PLAIN:
            self.send({name: value})
        else:
            self.send({name: "packed"}, [packed(value)])

    def _follow(self) -> None:
        """After each cell, look whether something happened."""
        interactive = sys.modules.get("IPython")
        shell = interactive.get_ipython() if interactive is not None else None
        if shell is None or self._driver is None:
            return
        alive = weakref.ref(self)

        def after_cell(*_: object) -> None:
            scope = alive()
            if scope is None or scope.comm is None:
                shell.events.unregister("post_run_cell", after_cell)
            else:
                scope.update()

        shell.events.register("post_run_cell", after_cell)

    # -- showing ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Json], dict[str, Json]]:
        doc = self._whole()
        at = self._at
        moments = [one for one in doc["moments"] if at is None or one["step"] <= at]
        sentence = f"Step {moments[-1]['step']:,}. {moments[-1]['text']}" if moments else ""
        picture = still_picture(doc, at)
        return stored(self.place, picture, sentence), {}

    def goto(self, step: int) -> None:
        """Show that step.

        Raises:
            IndexError: there is none.
        """
        self._check(step)
        self.send({"goto": step})

    # -- driving ---------------------------------------------------------------------------

    def _machine(self) -> Driver:
        if self._driver is None:
            raise ScopeError("this Scope plays a story back; only Scope(mac) drives a machine")
        return self._driver

    def connect(self, process: object, control: str) -> str:
        """Open a socket in a process (a pid, a name) and connect it to a control by name.

        Raises:
            ScopeError: why not, in one line; so do all methods that drive.
        """
        return self._drive(lambda driver: driver.connect(process, control))

    def send_text(
        self, process: object, text: str | bytes, control: str = "", socket: int = 0
    ) -> str:
        """Send a message on a socket of a process."""
        return self._drive(lambda driver: driver.send(process, text, control, socket))

    def recv(self, process: object, control: str = "", socket: int = 0) -> str:
        """Read once from a socket of a process."""
        return self._drive(lambda driver: driver.recv(process, control, socket))

    def step(self) -> str:
        """Run one task to where it next lets go."""
        return self._drive(Driver.step)

    def fault(self, label: str) -> str:
        """Apply a fault by its label."""
        return self._drive(lambda driver: driver.fault(label))

    def _drive(self, act: Callable[[Driver], str]) -> str:
        driver = self._machine()
        try:
            said = act(driver)
        except Refused as error:
            news = self.update()
            told = [one["text"] for one in news if one["world"] == "loss"] or [
                one["text"] for one in news
            ]
            raise Refused(told[-1] if told else str(error)) from None
        except ScopeError:
            raise
        except Exception as error:  # a panic, a deadlock, a fault that came too late
            self.update()
            raise ScopeError(_line(error)) from error
        self.update()
        return said

    # -- branches --------------------------------------------------------------------------

    def _run(self) -> Run:
        """The story as something that can be run again."""
        source = self._source
        if isinstance(source, Kernel):
            return Scenario.of(source).run()
        if isinstance(source, Run):
            return source
        raise ScopeError("a trace and a document hold no programs; give Scope the machine or a run")

    def offered(self, at: int) -> list[Fault]:
        """What a branch at that step may change: faults that can apply there."""
        self._check(at)
        return faults.offered(self._run().machine(at))

    def branch(self, at: int, change: Fault | str) -> Run:
        """Run the story again with something different from step ``at`` on, and show both.

        Args:
            at: the step.
            change: a fault, or the label of one that ``offered`` gives.

        Raises:
            IndexError: there is no such step.
            ScopeError: it cannot be changed so, or the story cannot be run again.
        """
        self._check(at)
        try:
            run = self._run()
            if isinstance(change, str):
                found = [one for one in self.offered(at) if one.label == change]
                if not found:
                    raise ScopeError(f"the change {change!r} cannot apply at step {at}")
                change = found[0]
            branched = run.branch(at, faults=[change])
        except (ScopeError, IndexError):
            raise
        except Exception as error:  # what a scenario cannot do, in its own words
            raise ScopeError(_line(error)) from error
        self.branches.append(branched)
        self._send_branch(branched, change.label)
        return branched

    def _send_branch(self, run: Run, title: str) -> None:
        doc = scene_document(run, title=title)
        pairs = zip(self._whole()["moments"], doc["moments"], strict=False)
        same = 0
        for ours, theirs in pairs:
            if (ours["step"], ours["text"]) != (theirs["step"], theirs["text"]):
                break
            same += 1
        fork = max(0, same - 1)
        self.send({"branch": "packed"}, [packed({"at": fork, "title": title, "doc": doc})])

    # -- messages --------------------------------------------------------------------------

    def _heard(self, _: object, message: Json, __: object) -> None:
        """What the controls ask; the answer is one line."""
        if not isinstance(message, dict) or "do" not in message:
            return
        try:
            said = self._answer(message)
        except (ScopeError, IndexError, ValueError) as error:
            self.send({"error": _line(error), "for": message.get("id")})
        else:
            if said:
                self.send({"said": said, "for": message.get("id")})

    def _answer(self, message: dict[str, Json]) -> str:
        match message["do"]:
            case "connect":
                return self.connect(message.get("pid"), str(message.get("control", "")))
            case "send":
                where = str(message.get("control", "")), int(message.get("socket") or 0)
                return self.send_text(message.get("pid"), str(message.get("text", "")), *where)
            case "recv":
                where = str(message.get("control", "")), int(message.get("socket") or 0)
                return self.recv(message.get("pid"), *where)
            case "step":
                return self.step()
            case "fault":
                return self.fault(str(message.get("fault", "")))
            case "offer":
                labels = [one.label for one in self._guard(lambda: self.offered(message["at"]))]
                offered = [{"id": label, "label": label} for label in dict.fromkeys(labels)]
                self.send({"offered": offered, "for": message.get("id")})
                return ""
            case "branch":
                run = self.branch(message["at"], str(message.get("change", "")))
                return f"The branch has {len(run.trace):,} steps."
            case "export":
                self._export()
                return ""
        raise ScopeError(f"Scope cannot do {message['do']!r}")

    @staticmethod
    def _guard(ask: Callable[[], list[Fault]]) -> list[Fault]:
        try:
            return ask()
        except (ScopeError, IndexError):
            raise
        except Exception as error:  # a story that cannot be run again says why in its own words
            raise ScopeError(_line(error)) from error

    def _export(self) -> None:
        doc = {key: value for key, value in self._whole().items() if key != "live"}
        file = {"name": "scope.html", "type": "text/html"}
        self.send({"file": file}, [player(doc).encode()])


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0]
