"""A scene in plain sentences: the alternative text of its picture, and the view for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kextlab.bsd.release import release_named
from kextlab.views.scene import Control, Lane, Scene
from kextlab.views.svg import count

if TYPE_CHECKING:
    from kextlab.views.queues import Queue

MOST = 6  # sizes and units named one by one; beyond that a summary


def some(number: int, noun: str, plural: str = "") -> str:
    """``1 byte``, ``2 bytes``, ``no bytes``."""
    return f"{count(number) if number else 'no'} {noun if number == 1 else plural or noun + 's'}"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def version(release: str) -> str:
    """``macOS 15 · xnu-11417.101.15``."""
    return f"{release_named(release).macos} · {release}"


def _link(scene: Scene, lane: Lane) -> str:
    """What a local socket is joined to, by which name."""
    link = lane.link
    assert link is not None
    named = f", its name {link.path}" if link.path else ""
    if link.limit:
        wait = f"{count(len(link.waiting))} of {some(link.limit, 'connection')} wait"
        return f"listening at {link.path}; {wait} to be accepted"
    if link.peer and scene.lane(link.peer) is None:
        return f"connected, but nobody has accepted it yet{named}"
    if link.peer:
        return f"connected to {scene.end(link.peer)}{named}"
    return f"{lane.state}{named}"


def _socket(scene: Scene, lane: Lane) -> str:
    process = scene.process(lane.pid)
    if lane.kind == "events":
        kind = "an event socket, connected to nobody"
    elif lane.local:
        kind = f"a local {'stream' if lane.stream else 'datagram'} socket, {_link(scene, lane)}"
    else:
        kind = "a stream socket" if lane.stream else "a datagram socket"
        control = scene.control(lane.control)
        if control is None:
            kind += ", not connected"
        elif lane.connected:
            kind += f" connected to {control.name} as unit {lane.unit}"
        else:
            kind += f" {lane.state} to {control.name} as unit {lane.unit}, not yet connected"
    holder = f"{process.name} (pid {process.pid}, uid {process.uid})"
    return f"{holder} holds {lane.fd}: {kind}."


def _queue(lane: Lane, queue: Queue | None) -> str:
    rcv = lane.rcv
    numbers = f"{count(rcv.cc)} of {count(rcv.hiwat)} bytes, {count(rcv.free)} free"
    passed = sum(rcv.passed)
    files = f" They carry {some(passed, 'descriptor')}." if passed else ""
    if not rcv.cc and not rcv.records:
        words = f"Its receive buffer is empty: {numbers}."
    elif lane.stream:
        words = f"Its receive buffer holds a stream: {numbers}."
    else:
        sizes = [count(size) for size in rcv.records[:MOST]]
        if len(rcv.records) > MOST:
            sizes.append(f"{count(len(rcv.records) - MOST)} more")
        of = f"of {listed(sizes)} bytes" if len(sizes) > 1 or sizes[0] != "1" else "of 1 byte"
        first = ", the first is read next" if len(sizes) > 1 else ""
        words = (
            f"Its receive buffer holds {some(len(rcv.records), 'datagram')} {of}{first}: {numbers}."
        )
    words += files
    if queue is not None and queue.open:
        last = queue.refusals[-1]
        size = some(last.bytes, "byte")
        if last.errno:
            words += (
                f" At step {last.step} the kernel refused {size} ({last.name}): they did not fit."
            )
        else:
            words += f" At step {last.step} an event of {size} did not fit and was lost."
    return words


def _control(scene: Scene, control: Control) -> str:
    clients = scene.clients(control.serial)
    units = [str(lane.unit) for lane in clients]
    if not units:
        connected = "no clients"
    elif len(units) > MOST:
        connected = f"{count(len(units))} clients, units {units[0]} to {units[-1]}"
    else:
        connected = f"{some(len(units), 'client')}: unit{'s' * (len(units) > 1)} {listed(units)}"
    words = (
        f"{control.name} is kernel control id {control.id} ({control.kind.replace(' · ', ', ')}) "
        f"with the callbacks {listed(list(control.callbacks))}, and has {connected}."
    )
    if not control.loaded:
        words += (
            f" The code of {control.kext} is no longer in memory, but its control is still "
            "registered."
        )
    return words


def describe(scene: Scene, queues: dict[int, Queue]) -> str:
    """The scene in sentences, one a line, user space first."""
    connections = sum(lane.connected for lane in scene.lanes)
    lines = [
        f"{version(scene.release)}: {some(len(scene.processes), 'process', 'processes')} in user "
        f"space, {some(len(scene.controls), 'kernel control')} in the kernel, "
        f"{some(connections, 'connection')} across the boundary."
    ]
    if scene.panic is not None:
        lines.append(f"The kernel has panicked: {scene.panic}. Nothing runs until a reboot.")
    holders = {lane.pid for lane in scene.lanes}
    for process in scene.processes:
        if process.pid not in holders:
            lines.append(f"{process.name} (pid {process.pid}, uid {process.uid}) holds no sockets.")
    for lane in scene.lanes[:40]:
        words = _socket(scene, lane)
        if lane.piped and not lane.listens:
            words += " " + _queue(lane, queues.get(lane.socket))
        lines.append(words)
    if len(scene.lanes) > 40:
        lines.append(f"{count(len(scene.lanes) - 40)} more sockets are open.")
    lines += [_control(scene, control) for control in scene.controls]
    return "\n".join(lines)
