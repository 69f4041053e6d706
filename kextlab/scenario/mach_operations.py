"""The operations of recordings of kind ``mach_ipc``: three tasks, and names that are labels.

A label belongs to one task. ``FORMAT``'s words: a name that nobody mentioned yet takes its label
from the step's ``as``, then ``auto1``, ``auto2``, ...; a label that was never seen is a name that
is not in the space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kextlab.abi import mach
from kextlab.abi.mach import (
    KERN_SUCCESS,
    MACH_MSG_TYPE_PORT_NONE,
    MACH_NOTIFY_DEAD_NAME,
    MACH_NOTIFY_NO_SENDERS,
    MACH_NOTIFY_PORT_DELETED,
    MACH_NOTIFY_SEND_POSSIBLE,
    MACH_PORT_DEAD,
    MACH_PORT_NULL,
    SIZEOF_NDR,
    mach_error_name,
    type_names,
)
from kextlab.abi.mach_messages import Descriptor, PortDescriptor
from kextlab.osfmk import ipc_kmsg_body, mach_msg, mach_port
from kextlab.osfmk.ipc_kmsg import Header, Message
from kextlab.osfmk.ipc_object import copyin_type, object_destroy
from kextlab.osfmk.ipc_port import Object, Port
from kextlab.osfmk.ipc_space import Ipc, Space
from kextlab.scenario.recording import Step, expand

RELEASE = "xnu-7195.141.2"
TASKS = (1, 2, 3)
STRANGE = 0x40_0000_03
"""The first name made up for a label nobody has a right under."""
RECEIVED = {16: "PORT_RECEIVE", 17: "PORT_SEND", 18: "PORT_SEND_ONCE"}
SENT = {19: "COPY_SEND", 20: "MAKE_SEND", 21: "MAKE_SEND_ONCE"}
ABOUT_A_NAME = (MACH_NOTIFY_PORT_DELETED, MACH_NOTIFY_SEND_POSSIBLE, MACH_NOTIFY_DEAD_NAME)


def disposition(name: str) -> int:
    """``MAKE_SEND`` as a number."""
    return int(getattr(mach, f"MACH_MSG_TYPE_{name}"))


class Labels:
    """The labels of one task and the names they stand for."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = {"MACH_PORT_NULL": MACH_PORT_NULL, "MACH_PORT_DEAD": MACH_PORT_DEAD}
        self.labels = {name: label for label, name in self.names.items()}

    def name(self, label: str) -> int:
        """The name of a label; one nobody has a right under if it was never seen."""
        if label not in self.names:
            self.bind(label, STRANGE + 0x100 * len(self.names))
        return self.names[label]

    def bind(self, label: str, name: int) -> None:
        """The label stands for that name from now on."""
        self.names[label] = name
        self.labels[name] = label


class MachMachine:
    """A kernel with three tasks, which does the operations of a recording."""

    def __init__(self, release: str = RELEASE) -> None:
        self.check(release)
        self.ipc = Ipc()
        self.labels = {task: Labels(Space(self.ipc)) for task in TASKS}
        self.autos = 0
        self.waiting: list[str] = []

    @staticmethod
    def check(release: str) -> None:
        """Raises ValueError if Mach IPC of that release is not modelled."""
        if release != RELEASE:
            raise ValueError(f"{release!r}: Mach IPC is modelled as in {RELEASE}")

    def run(self, step: Step) -> dict[str, Any]:
        """Do a step; what the kernel answers, in the recording's words.

        Raises:
            NotImplementedError: no such operation.
        """
        op = step["op"]
        known = OPERATIONS.get(op)
        if known is None:
            raise NotImplementedError(f"operation {op!r} is not modelled")
        wanted = step.get("as", [])
        self.waiting = [wanted] if isinstance(wanted, str) else list(wanted)
        task = self.labels[int(step.get("task", 1))]
        answer = known(self, task, step)
        guards, self.ipc.guards = self.ipc.guards, []
        if guards:
            answer["guard"] = [kind for _, kind in guards]
        return answer

    def label(self, task: Labels, name: int) -> str:
        """The label of a name in a task, a new one if nobody mentioned it."""
        if name not in task.labels:
            if self.waiting:
                chosen = self.waiting.pop(0)
            else:
                self.autos += 1
                chosen = f"auto{self.autos}"
            task.bind(chosen, name)
        return task.labels[name]

    # -- operations --------------------------------------------------------------------

    def allocate(self, task: Labels, step: Step) -> dict[str, Any]:
        right = getattr(mach, f"MACH_PORT_RIGHT_{step['right']}")
        code, name = mach_port.allocate(task.space, right)
        return _kr(code, name=self.label(task, name)) if code == KERN_SUCCESS else _kr(code)

    def insert_right(self, task: Labels, step: Step) -> dict[str, Any]:
        owner = self.labels[step["polytask"]] if "polytask" in step else task
        way = disposition(step["disp"])
        code, thing = mach_port.copyin(owner.space, owner.name(step["poly"]), way)
        if code != KERN_SUCCESS:
            return _kr(code, at="copyin")
        kind = copyin_type(way)
        code = mach_port.insert_right(task.space, task.name(step["name"]), thing, kind)
        if code != KERN_SUCCESS:
            object_destroy(self.ipc, thing, kind)
        return _kr(code)

    def deallocate(self, task: Labels, step: Step) -> dict[str, Any]:
        return _kr(mach_port.deallocate(task.space, task.name(step["name"])))

    def destroy(self, task: Labels, step: Step) -> dict[str, Any]:
        return _kr(mach_port.destroy(task.space, task.name(step["name"])))

    def mod_refs(self, task: Labels, step: Step) -> dict[str, Any]:
        right = getattr(mach, f"MACH_PORT_RIGHT_{step['right']}")
        return _kr(mach_port.mod_refs(task.space, task.name(step["name"]), right, step["delta"]))

    def get_refs(self, task: Labels, step: Step) -> dict[str, Any]:
        right = getattr(mach, f"MACH_PORT_RIGHT_{step['right']}")
        code, refs = mach_port.get_refs(task.space, task.name(step["name"]), right)
        return _kr(code, refs=refs) if code == KERN_SUCCESS else _kr(code)

    def type(self, task: Labels, step: Step) -> dict[str, Any]:
        code, bits = mach_port.type_(task.space, task.name(step["name"]))
        if code != KERN_SUCCESS:
            return _kr(code)
        return _kr(code, type=type_names(bits))

    def get_status(self, task: Labels, step: Step) -> dict[str, Any]:
        code, status = mach_port.get_status(task.space, task.name(step["name"]))
        return _kr(code) if status is None else _kr(code, **asdict(status))

    def set_qlimit(self, task: Labels, step: Step) -> dict[str, Any]:
        return _kr(mach_port.set_qlimit(task.space, task.name(step["name"]), step["qlimit"]))

    def set_mscount(self, task: Labels, step: Step) -> dict[str, Any]:
        return _kr(mach_port.set_mscount(task.space, task.name(step["name"]), step["mscount"]))

    def insert_member(self, task: Labels, step: Step) -> dict[str, Any]:
        name, pset = task.name(step["name"]), task.name(step["pset"])
        return _kr(mach_port.insert_member(task.space, name, pset))

    def extract_member(self, task: Labels, step: Step) -> dict[str, Any]:
        name, pset = task.name(step["name"]), task.name(step["pset"])
        return _kr(mach_port.extract_member(task.space, name, pset))

    def move_member(self, task: Labels, step: Step) -> dict[str, Any]:
        name, pset = task.name(step["name"]), task.name(step["pset"])
        return _kr(mach_port.move_member(task.space, name, pset))

    def request_notification(self, task: Labels, step: Step) -> dict[str, Any]:
        notify: Object = None
        if step["notify"] != "MACH_PORT_NULL":
            way = disposition(step.get("disp", "MAKE_SEND_ONCE"))
            code, notify = mach_port.copyin(task.space, task.name(step["notify"]), way)
            if code != KERN_SUCCESS:
                return _kr(code, at="copyin")
        msgid = getattr(mach, f"MACH_NOTIFY_{step['msgid']}")
        name = task.name(step["name"])
        code, previous = mach_port.request_notification(
            task.space, name, msgid, step["sync"], notify
        )
        # A refused right, and the one of an earlier request, are released; nobody is told.
        for right in (notify if code != KERN_SUCCESS else None, previous):
            if isinstance(right, Port):
                right.sorights -= 1
        return _kr(code, previous=int(previous is not None))

    def extract_right(self, task: Labels, step: Step) -> dict[str, Any]:
        way = disposition(step["disp"])
        code, thing = mach_port.extract_right(task.space, task.name(step["name"]), way)
        if code != KERN_SUCCESS:
            return _kr(code)
        kind = copyin_type(way)
        other = self.labels[step["totask"]]
        copied, name = ipc_kmsg_body.copyout_object(other.space, thing, kind)
        return _kr(
            code,
            type=RECEIVED[kind],
            copyout=mach_error_name(copied),
            name=self.label(other, name),
        )

    def rename(self, task: Labels, step: Step) -> dict[str, Any]:
        old, new = task.name(step["name"]), task.name(step["newname"])
        return _kr(mach_port.rename(task.space, old, new))

    def terminate(self, task: Labels, step: Step) -> dict[str, Any]:
        mach_port.terminate(task.space)
        return _kr(KERN_SUCCESS)

    def mach_msg(self, task: Labels, step: Step) -> dict[str, Any]:
        option = 0
        for word in step["option"]:
            option |= getattr(mach, word)
        sent = self._message(task, step) if option & mach.MACH_SEND_MSG else None
        name = task.name(step.get("rcv_name", "MACH_PORT_NULL"))
        code, got = mach_msg.mach_msg(task.space, sent, option, step.get("rcv_size", 0), name)
        answer = _kr(code)
        if got is not None:
            answer.update(self._received(task, got))
        elif sent is not None and code != KERN_SUCCESS:
            answer["hdr"] = self._header(task, sent.header)
        return answer

    def _message(self, task: Labels, step: Step) -> Message:
        body = expand(step.get("body", ""))
        ports = step.get("ports")
        header = Header(
            task.name(step["remote"]),
            disposition(step["rdisp"]),
            task.name(step.get("local", "MACH_PORT_NULL")),
            disposition(step["ldisp"]) if "ldisp" in step else MACH_MSG_TYPE_PORT_NONE,
            step.get("id", 0),
            bool(ports),
        )
        header.size = step.get("send_size", mach_msg.size_of(len(ports or ()), len(body)))
        carried: list[Descriptor] = [
            PortDescriptor(task.name(one["name"]), disposition(one["disp"])) for one in ports or ()
        ]
        return Message(header, body, carried)

    def _header(self, task: Labels, header: Header) -> dict[str, Any]:
        return {
            "size": header.size,
            "remote": self.label(task, header.remote),
            "local": self.label(task, header.local),
            "id": header.id,
            "remote_disp": _word(header.remote_type),
            "local_disp": _word(header.local_type),
            "complex": header.complex,
        }

    def _received(self, task: Labels, got: Message) -> dict[str, Any]:
        answer: dict[str, Any] = {"hdr": self._header(task, got.header)}
        if got.header.complex:
            answer["desc"] = [
                {"name": self.label(task, one.name), "disp": _word(one.disposition)}
                for one in got.descriptors
                if isinstance(one, PortDescriptor)
            ]
        if got.notification:
            answer.update(self._notification(task, got))
        else:
            answer["body"] = got.body.hex()
        answer["trailer_size"] = got.trailer_size
        if got.seqno is not None:
            answer["seqno"] = got.seqno
        return answer

    def _notification(self, task: Labels, got: Message) -> dict[str, Any]:
        argument = int.from_bytes(got.body[SIZEOF_NDR:], "little")
        if got.header.id == MACH_NOTIFY_NO_SENDERS:
            return {"not_count": argument}
        if got.header.id in ABOUT_A_NAME:
            return {"not_port": self.label(task, argument)}
        return {}


def _word(kind: int) -> str | int:
    words = RECEIVED | SENT
    return words.get(kind, kind)


def _kr(code: int, **more: Any) -> dict[str, Any]:
    return {"kr": mach_error_name(code), **more}


Operation = Callable[[MachMachine, Labels, Step], dict[str, Any]]
OPERATIONS: dict[str, Operation] = {
    "allocate": MachMachine.allocate,
    "insert_right": MachMachine.insert_right,
    "deallocate": MachMachine.deallocate,
    "destroy": MachMachine.destroy,
    "mod_refs": MachMachine.mod_refs,
    "get_refs": MachMachine.get_refs,
    "type": MachMachine.type,
    "get_status": MachMachine.get_status,
    "set_qlimit": MachMachine.set_qlimit,
    "set_mscount": MachMachine.set_mscount,
    "insert_member": MachMachine.insert_member,
    "extract_member": MachMachine.extract_member,
    "move_member": MachMachine.move_member,
    "request_notification": MachMachine.request_notification,
    "extract_right": MachMachine.extract_right,
    "rename": MachMachine.rename,
    "terminate": MachMachine.terminate,
    "mach_msg": MachMachine.mach_msg,
}
