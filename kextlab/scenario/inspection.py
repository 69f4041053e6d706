"""What recordings ask that no process and no kext can: a look into the kernel's structures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from kextlab.abi.constants import SS_NBIO, flag_names
from kextlab.abi.errno import EBADF, name_of
from kextlab.bsd import sysctl
from kextlab.bsd.kctl import CtlCb
from kextlab.bsd.socketvar import Socket
from kextlab.bsd.sosend import sosend_list
from kextlab.kernel.system import Process, System
from kextlab.scenario.behaviour import RecordedKext
from kextlab.scenario.recording import Step
from kextlab.sched.drive import Routine, drive
from kextlab.sched.stop import PAGE_FAULT, KernelPanic, SimStop

Answer = dict[str, Any]


class Inspection:
    """Looks into one system; sockets are named by the labels of the scenario."""

    def __init__(
        self, system: System, kext: RecordedKext, labels: Callable[[], dict[int, str]]
    ) -> None:
        self.system = system
        self.kext = kext
        self.labels = labels

    def fault(self) -> NoReturn:
        """A call that dereferences a null pointer."""
        stop = KernelPanic(PAGE_FAULT)
        self.system.stop(stop)
        raise stop

    def set_nonblocking(self, process: Process, fd: int) -> None:
        """What the recorder did to every new socket."""
        so = process.descriptors.files[fd].so
        so.set("so_state", so.so_state | SS_NBIO)

    def unit(self, process: Process, fd: int) -> int:
        """The unit a control socket has."""
        pcb = process.descriptors.files[fd].so.so_pcb
        assert isinstance(pcb, CtlCb)
        return pcb.unit

    def sendto(
        self,
        process: Process,
        fd: int,
        data: bytes,
        flags: int,
        address: bytes | None,
        fault: bool,
    ) -> tuple[int, int]:
        """sendto with a length but a bad pointer, which the gate's plain values cannot say."""
        return self._run(process.descriptors.sendto(fd, data, flags, address, None, fault))

    def sosend_list(self, process: Process, fd: int, datas: list[bytes]) -> tuple[int, int]:
        """The socket layer's list send."""
        so = process.descriptors.socket_of(fd)
        if so is None:
            return EBADF, 0
        return self._run(sosend_list(so, datas))

    def _run(self, routine: Routine[tuple[int, int]]) -> tuple[int, int]:
        try:
            return drive(routine)
        except SimStop as stop:
            self.system.stop(stop)
            raise

    def socketinfo(self, process: Process, fd: int) -> Answer:
        """kctl_fill_socketinfo."""
        so = process.descriptors.socket_of(fd)
        if so is None:
            return {"errno": "EBADF"}
        pcb = so.so_pcb
        assert isinstance(pcb, CtlCb)
        kctl = pcb.kctl
        return {
            "errno": 0,
            "id": kctl.id if kctl else 0,
            "reg_unit": kctl.reg_unit if kctl else 0,
            "reg_flags": flag_names(kctl.flags, "CTL_FLAG") if kctl else [],
            "recvbufsize": kctl.recvbufsize if kctl else 0,
            "sendbufsize": kctl.sendbufsize if kctl else 0,
            "unit": pcb.unit if kctl else 0,
            "name": kctl.name if kctl else "",
        }

    def sysctl(self, step: Step) -> Answer:
        """The sysctl handlers."""
        answer = sysctl.sysctl(
            self.system.domain,
            step["name"],
            step.get("limit"),
            bool(step.get("null")),
            "new" in step,
        )
        errno = name_of(answer.errno) if answer.errno else 0
        return {"errno": errno, "oldidx": answer.oldidx}

    def stats(self) -> Answer:
        """Every structure the recorder reads."""
        domain = self.system.domain
        labels = self.labels()
        sockets = sorted(domain.sockets.live.values(), key=lambda so: so.number)
        return {
            "errno": 0,
            "kctlstat": dict(domain.control.stat),
            "kevtstat": dict(domain.events.stat),
            "last_event_id": domain.events.last_event_id,
            "controls": [
                {
                    "name": kctl.name,
                    "id": kctl.id,
                    "reg_unit": kctl.reg_unit,
                    "flags": flag_names(kctl.flags, "CTL_FLAG"),
                    "recvbufsize": kctl.recvbufsize,
                    "sendbufsize": kctl.sendbufsize,
                    "lastunit": kctl.lastunit,
                    "kctlref": kctl.kctlref,
                    "kcbs": [
                        {
                            "unit": kcb.unit,
                            "fd": labels.get(kcb.so.number),
                            "usecount": kcb.usecount,
                            "kcb_usecount": kcb.kcb_usecount,
                            "require_clearing": kcb.require_clearing,
                        }
                        for kcb in sysctl.clients(domain)
                        if kcb.kctl is kctl
                    ],
                }
                for kctl in domain.control.controls
            ],
            "event_sockets": [
                {
                    "fd": labels.get(pcb.so.number),
                    "vendor_filter": pcb.vendor_code,
                    "class_filter": pcb.kev_class,
                    "subclass_filter": pcb.kev_subclass,
                }
                for pcb in domain.events.pcbs
            ],
            "ref_table": {
                "size": len(domain.control.refs.slots),
                "count": domain.control.refs.count,
            },
            "sockets": [self._socket(so, labels.get(so.number)) for so in sockets],
        }

    @staticmethod
    def _socket(so: Socket, label: str | None) -> Answer:
        rcv, snd = so.so_rcv, so.so_snd
        return {
            "fd": label,
            "rcv_cc": rcv.sb_cc,
            "rcv_hiwat": rcv.sb_hiwat,
            "rcv_mbcnt": rcv.sb_mbcnt,
            "rcv_mbmax": rcv.sb_mbmax,
            "rcv_lowat": rcv.sb_lowat,
            "rcv_space": rcv.sbspace(),
            "snd_cc": snd.sb_cc,
            "snd_hiwat": snd.sb_hiwat,
            "snd_lowat": snd.sb_lowat,
            "snd_space": snd.sbspace(),
            "so_state": flag_names(so.so_state, "SS"),
            "so_error": so.so_error,
            "type": so.so_type,
        }
