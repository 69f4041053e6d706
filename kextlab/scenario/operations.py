"""The operations of ``kextlab-recording/1``, kind pf_system: each done on a simulated machine.

One ``Machine`` is one booted kernel with one process and one kext whose callbacks behave as the
recording says. The operations that are system calls or KPI functions go through those gates; the
others look into the kernel (``kextlab.scenario.inspection``).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from kextlab.abi import constants as c
from kextlab.abi import errno as e
from kextlab.abi.constants import flag_names
from kextlab.abi.structs import CtlInfo, KevRequest, KevVendorCode, SockaddrCtl
from kextlab.kernel.kernel import Kernel
from kextlab.kernel.kpi import KevMsg, Out
from kextlab.kernel.syscalls import Syscalls
from kextlab.scenario.behaviour import RecordedKext, data_of, flags_of
from kextlab.scenario.inspection import Inspection
from kextlab.scenario.names import command, constant
from kextlab.scenario.recording import Step
from kextlab.sched.stop import KernelPanic, SimDeadlock

Answer = dict[str, Any]

INT_ANSWERS = {"CTLIOCGCOUNT", "SIOCGKEVID", "FIONREAD", "SIOCATMARK", "SIOCGPGRP"}


def error_name(errno: int) -> int | str:
    """An errno as recordings write it."""
    return 0 if errno == 0 else e.name_of(errno)


def direct(mac: Kernel) -> tuple[Syscalls, RecordedKext]:
    """The gates with nothing between: the system calls, and the recorder's kext, loaded."""
    return mac.syscalls, mac.load(RecordedKext)


class Machine:
    """A booted kernel, the recorder's process and the recorder's kext.

    Args:
        release: XNU's tag.
        gates: gives the system calls and loads the kext; another than ``direct`` may put a
            process boundary between.
        make: makes the kernel.
    """

    def __init__(
        self,
        release: str,
        gates: Callable[[Kernel], tuple[Syscalls, RecordedKext]] = direct,
        make: Callable[[str], Kernel] = Kernel,
    ) -> None:
        self.mac = make(release)
        self.process = self.mac.start_process("recorder", uid=0)
        self.pid = self.process.pid
        self.gate, self.kext = gates(self.mac)
        self.kpi = self.kext.kpi
        self.fds: dict[str, int] = {}
        self.inspection = Inspection(self.mac.system, self.kext, self.labels)
        self.read = len(self.mac.trace)

    @staticmethod
    def check(release: str) -> None:
        """Raises ValueError if the release is not modelled."""
        Kernel(release)

    def labels(self) -> dict[int, str]:
        """Socket number to the newest label that names it."""
        files = self.process.descriptors.files
        return {files[fd].so.number: label for label, fd in self.fds.items() if fd in files}

    def run(self, step: Step) -> Answer:
        """Do one step and answer as the recording would."""
        operation: Callable[[Step], Answer] | None = getattr(self, "op_" + step["op"], None)
        if operation is None:
            raise NotImplementedError(f"operation {step['op']!r} is not modelled")
        before = self.labels()
        self.kext.begin(self.mac.trace)
        try:
            answer = operation(step)
        except KernelPanic as panic:
            answer = {"panic": panic.text}
        except SimDeadlock as stop:
            if stop.sleep is not None:
                answer = {"would_block": stop.sleep.wmesg}
            else:
                answer = {"deadlock": str(stop)}
        log = self.kext.finish({**before, **self.labels()})
        if log:
            answer["log"] = log
        return answer

    def fd(self, step: Step) -> int:
        """The descriptor a step names; -1 once it is closed."""
        return self.fds.get(step["fd"], -1)

    def ref(self, step: Step) -> int | None:
        """The kctlref a step names; a number is meant as it is."""
        ref = step["ref"]
        return ref if isinstance(ref, int) else self.kext.refs.get(ref)

    # -- kernel side -----------------------------------------------------------------------

    def op_ctl_register(self, step: Step) -> Answer:
        if step.get("null"):
            return {"errno": error_name(self.kpi.ctl_register(None, Out()))}
        reg = self.kext.record(step)
        ref = Out()
        errno = self.kpi.ctl_register(reg, ref)
        if errno:
            return {"errno": error_name(errno)}
        self.kext.registered(step["ref"], ref.value)
        return {
            "errno": 0,
            "ctl_id": reg.ctl_id,
            "ctl_unit": reg.ctl_unit,
            "ctl_sendsize": reg.ctl_sendsize,
            "ctl_recvsize": reg.ctl_recvsize,
            "kctlref": ref.value,
        }

    def op_set_behaviour(self, step: Step) -> Answer:
        self.kext.behave(step["ref"], step["callbacks"])
        return {"errno": 0}

    def op_ctl_deregister(self, step: Step) -> Answer:
        return {"errno": error_name(self.kpi.ctl_deregister(self.ref(step)))}

    def op_ctl_enqueuedata(self, step: Step) -> Answer:
        data = data_of(step["data"])
        errno = self.kpi.ctl_enqueuedata(
            self.ref(step), step["unit"], data, len(data), self._data_flags(step)
        )
        return {"errno": error_name(errno)}

    @staticmethod
    def _data_flags(step: Step) -> int:
        return flags_of(step, "flags", "CTL_DATA")

    def op_ctl_enqueuembuf(self, step: Step) -> Answer:
        m = self.kext.packet(data_of(step["data"]))
        errno = self.kpi.ctl_enqueuembuf(self.ref(step), step["unit"], m, self._data_flags(step))
        if errno:
            self.kpi.mbuf_freem(m)
        return {"errno": error_name(errno)}

    def op_ctl_enqueuembuf_list(self, step: Step) -> Answer:
        packets = [self.kext.packet(data_of(data)) for data in step["datas"]]
        for m, following in pairwise(packets):
            self.kpi.mbuf_setnextpkt(m, following)
        remain = Out() if step.get("remain") else None
        errno = self.kpi.ctl_enqueuembuf_list(
            self.ref(step),
            step["unit"],
            packets[0] if packets else None,
            self._data_flags(step),
            remain,
        )
        answer: Answer = {"errno": error_name(errno)}
        if remain is not None:
            answer["remain"] = [
                self.kpi.mbuf_pkthdr_len(m) for m in self.kext.packets(remain.value)
            ]
            self.kpi.mbuf_freem_list(remain.value)
        return answer

    def op_ctl_getenqueuespace(self, step: Step) -> Answer:
        return self._ask(self.kpi.ctl_getenqueuespace, step, "space")

    def op_ctl_getenqueuepacketcount(self, step: Step) -> Answer:
        return self._ask(self.kpi.ctl_getenqueuepacketcount, step, "count")

    def op_ctl_getenqueuereadable(self, step: Step) -> Answer:
        return self._ask(self.kpi.ctl_getenqueuereadable, step, "difference")

    def _ask(
        self, function: Callable[[int | None, int, Out | None], int], step: Step, key: str
    ) -> Answer:
        out = None if step.get("null") else Out()
        errno = function(self.ref(step), step["unit"], out)
        answer: Answer = {"errno": error_name(errno)}
        if not errno and out is not None:
            answer[key] = out.value
        return answer

    def op_ctl_id_by_name(self, step: Step) -> Answer:
        return {"id": self.kpi.ctl_id_by_name(step["name"])}

    def op_ctl_name_by_id(self, step: Step) -> Answer:
        name = Out()
        errno = self.kpi.ctl_name_by_id(step["id"], name, step.get("maxsize", c.MAX_KCTL_NAME))
        return {"errno": error_name(errno)} if errno else {"errno": 0, "name": name.value}

    def op_kev_vendor_code_find(self, step: Step) -> Answer:
        code = Out()
        errno = self.kpi.kev_vendor_code_find(step["name"], code)
        return {"errno": error_name(errno)} if errno else {"errno": 0, "vendor_code": code.value}

    def op_kev_msg_post(self, step: Step) -> Answer:
        return {"errno": error_name(self.kpi.kev_msg_post(self._message(step)))}

    def op_kev_post_msg(self, step: Step) -> Answer:
        message = self._message(step)
        if message is None:
            self.inspection.fault()
        return {"errno": error_name(self.mac.system.domain.events.kev_post_msg(message))}

    @staticmethod
    def _message(step: Step) -> KevMsg | None:
        if step.get("null"):
            return None
        return KevMsg(
            step["vendor"],
            step["class"],
            step["subclass"],
            step["code"],
            tuple(data_of(data) for data in step.get("datas", ())),
        )

    def op_set_ctl_debug(self, step: Step) -> Answer:
        return {"errno": 0}

    def op_set_uid(self, step: Step) -> Answer:
        self.mac.system.set_uid(self.process, step["uid"])
        return {"errno": 0}

    def op_sosend_list(self, step: Step) -> Answer:
        errno, n = self.inspection.sosend_list(
            self.process, self.fd(step), [data_of(data) for data in step["datas"]]
        )
        return {"errno": error_name(errno), "n": n}

    def op_socketinfo(self, step: Step) -> Answer:
        return self.inspection.socketinfo(self.process, self.fd(step))

    def op_sysctl(self, step: Step) -> Answer:
        return self.inspection.sysctl(step)

    def op_stats(self, step: Step) -> Answer:
        return self.inspection.stats()

    def op_poll(self, step: Step) -> Answer:
        errno, (readable, writable) = self.gate.poll(self.pid, self.fd(step))
        if errno:
            return {"errno": error_name(errno)}
        return {"errno": 0, "readable": readable, "writable": writable}

    # -- user side -------------------------------------------------------------------------

    def op_socket(self, step: Step) -> Answer:
        errno, fd = self.gate.socket(
            self.pid,
            constant(step.get("domain", c.PF_SYSTEM)),
            constant(step["type"]),
            constant(step["proto"]),
        )
        if not errno:
            self.fds[step["fd"]] = fd
            if step.get("nonblock", True):
                self.inspection.set_nonblocking(self.process, fd)
        return {"errno": error_name(errno)}

    @staticmethod
    def _address(step: Step, prefix: str = "") -> bytes | None:
        if step.get("null"):
            return None
        address = SockaddrCtl(
            step.get("sc_len", 32) & 0xFF,  # the fields of C are this narrow
            step.get("sc_family", c.AF_SYSTEM) & 0xFF,
            step.get("ss_sysaddr", c.AF_SYS_CONTROL) & 0xFFFF,
            step.get(prefix + "id", 0),
            step.get(prefix + "unit", 0),
        ).pack()
        size = min(step.get("namelen", len(address)), c.SOCK_MAXADDRLEN + 1)  # that is too long
        return address[:size].ljust(size, b"\0")

    def op_connect(self, step: Step) -> Answer:
        errno, _ = self.gate.connect(self.pid, self.fd(step), self._address(step))
        return self._with_unit(step, errno)

    def op_bind(self, step: Step) -> Answer:
        errno, _ = self.gate.bind(self.pid, self.fd(step), self._address(step))
        return self._with_unit(step, errno)

    def _with_unit(self, step: Step, errno: int) -> Answer:
        if errno:
            return {"errno": error_name(errno)}
        return {"errno": 0, "unit": self.inspection.unit(self.process, self.fd(step))}

    def op_listen(self, step: Step) -> Answer:
        errno, _ = self.gate.listen(self.pid, self.fd(step), step.get("backlog", 0))
        return {"errno": error_name(errno)}

    def op_getpeername(self, step: Step) -> Answer:
        return self._name(step, *self.gate.getpeername(self.pid, self.fd(step)))

    def op_getsockname(self, step: Step) -> Answer:
        return self._name(step, *self.gate.getsockname(self.pid, self.fd(step)))

    @staticmethod
    def _name(step: Step, errno: int, address: bytes) -> Answer:
        if errno:
            return {"errno": error_name(errno)}
        seen = SockaddrCtl.unpack(address[: step.get("namelen", 32)].ljust(32, b"\0"))
        return {
            "errno": 0,
            "namelen": len(address),
            "sc_len": seen.sc_len,
            "sc_family": seen.sc_family,
            "ss_sysaddr": seen.ss_sysaddr,
            "id": seen.sc_id,
            "unit": seen.sc_unit,
        }

    def op_ioctl(self, step: Step) -> Answer:
        name = step["cmd"]
        cmd = command(name)
        argument = None if step.get("null") else self._argument(step)
        errno, answer = self.gate.ioctl(self.pid, self.fd(step), cmd, argument)
        if errno:
            return {"errno": error_name(errno)}
        result: Answer = {"errno": 0}
        if name in INT_ANSWERS:
            result["value"] = int.from_bytes(answer[:4], "little")
        elif name == "CTLIOCGINFO":
            result["ctl_id"] = CtlInfo.unpack(answer).ctl_id
        elif name == "SIOCGKEVVENDOR":
            result["vendor_code"] = KevVendorCode.unpack(answer).vendor_code
        elif name == "SIOCGKEVFILT":
            request = KevRequest.unpack(answer)
            result["vendor"] = request.vendor_code
            result["class"] = request.kev_class
            result["subclass"] = request.kev_subclass
        return result

    @staticmethod
    def _argument(step: Step) -> bytes:
        if "name" in step:
            name = step["name"].encode()
            if step["cmd"] == "SIOCGKEVVENDOR":
                return KevVendorCode(0, name[:200]).pack()
            return CtlInfo(0, name[:96]).pack()
        if "vendor" in step:
            return KevRequest(step["vendor"], step.get("class", 0), step.get("subclass", 0)).pack()
        return (int(step.get("value", 0)) & 0xFFFFFFFF).to_bytes(4, "little")

    def op_setsockopt(self, step: Step) -> Answer:
        if "value" in step:
            value = (step["value"] & 0xFFFFFFFF).to_bytes(4, "little")
        else:
            value = data_of(step.get("data", ""))
        length = step.get("len", len(value))
        errno, _ = self.gate.setsockopt(
            self.pid,
            self.fd(step),
            constant(step["level"]),
            constant(step["name"]),
            None if step.get("null") else value[:length].ljust(length, b"\0"),
            length,
        )
        return {"errno": error_name(errno)}

    def op_getsockopt(self, step: Step) -> Answer:
        size = step.get("len", 0)
        start = data_of(step["data"]) if "data" in step else b""
        buffer = start[:size].ljust(size, b"\xee")
        null = bool(step.get("null"))
        errno, (length, data) = self.gate.getsockopt(
            self.pid,
            self.fd(step),
            constant(step["level"]),
            constant(step["name"]),
            None if null else buffer,
        )
        if errno:
            return {"errno": error_name(errno)}
        if null:
            return {"errno": 0, "len": length}
        return {"errno": 0, "len": length, "data": (data + buffer[len(data) :])[:length]}

    def op_send(self, step: Step) -> Answer:
        addressed = "to_id" in step or "to_unit" in step
        address = self._address({k: v for k, v in step.items() if k != "null"}, "to_")
        errno, n = self.inspection.sendto(
            self.process,
            self.fd(step),
            data_of(step["data"]),
            self._flags(step),
            address if addressed else None,
            bool(step.get("null")),
        )
        return {"errno": error_name(errno)} if errno else {"errno": 0, "n": n}

    @staticmethod
    def _flags(step: Step) -> int:
        return flags_of(step, "flags", "MSG")

    def op_sendmsg(self, step: Step) -> Answer:
        control = data_of(step["control"]) if "control" in step else None
        errno, n = self.gate.sendmsg(
            self.pid,
            self.fd(step),
            [data_of(data) for data in step["datas"]],
            self._flags(step),
            None,
            control,
        )
        return {"errno": error_name(errno)} if errno else {"errno": 0, "n": n}

    def op_sendmsg_x(self, step: Step) -> Answer:
        datas = [data_of(data) for data in step["datas"]]
        errno, n = self.gate.sendmsg_x(self.pid, self.fd(step), datas, self._flags(step))
        return {"errno": error_name(errno)} if errno else {"errno": 0, "n": n}

    def op_recv(self, step: Step) -> Answer:
        errno, data = self.gate.recvfrom(self.pid, self.fd(step), step["len"], self._flags(step))
        if errno:
            return {"errno": error_name(errno)}
        answer: Answer = {"errno": 0, "n": len(data), "data": data}
        if step.get("from"):
            answer["fromlen"] = 0
        return answer

    def op_recvmsg(self, step: Step) -> Answer:
        errno, (data, flags) = self.gate.recvmsg(
            self.pid, self.fd(step), step["len"], self._flags(step)
        )
        if errno:
            return {"errno": error_name(errno)}
        return {
            "errno": 0,
            "n": len(data),
            "msg_flags": flag_names(flags, "MSG"),
            "namelen": 0,
            "controllen": 0,
            "data": data,
        }

    def op_recvmsg_x(self, step: Step) -> Answer:
        errno, messages = self.gate.recvmsg_x(
            self.pid, self.fd(step), step["len"], step["count"], self._flags(step)
        )
        if errno:
            return {"errno": error_name(errno)}
        return {
            "errno": 0,
            "n": len(messages),
            "msgs": [
                {"len": len(data), "msg_flags": flag_names(flags, "MSG"), "data": data}
                for data, flags in messages
            ],
        }

    def op_shutdown(self, step: Step) -> Answer:
        errno, _ = self.gate.shutdown(self.pid, self.fd(step), constant(step["how"]))
        return {"errno": error_name(errno)}

    def op_disconnectx(self, step: Step) -> Answer:
        errno, _ = self.gate.disconnectx(self.pid, self.fd(step), step["aid"], step["cid"])
        return {"errno": error_name(errno)}

    def op_dup(self, step: Step) -> Answer:
        errno, fd = self.gate.dup(self.pid, self.fd(step))
        if not errno:
            self.fds[step["newfd"]] = fd
        return {"errno": error_name(errno)}

    def op_close(self, step: Step) -> Answer:
        errno, _ = self.gate.close(self.pid, self.fd(step))
        self.fds.pop(step["fd"], None)
        return {"errno": error_name(errno)}
