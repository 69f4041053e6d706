"""What an answer rests on: the badge beside it, the recording and the routine of XNU.

Three badges: ``recorded`` (with the name of a recording), ``ported``, ``documented`` (documented
only). Refusals follow the causes behind ``explain``; of several that fit, the state at that moment
decides, and where it cannot, the weakest badge counts. A call that went well is recorded if
``SHOWN`` names a recording in which that very call went well, or in which that callback ran; a test
looks into the recordings. What slept, or was interrupted by another task, is documented only: no
recording has more than one thread. A Mach call went well if it answered KERN_SUCCESS; for those of
virtual memory ``PORTED_CALLS`` says which success one of XNU's own tests asserts.
docs/fidelity.md says the same for readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, cast

from kextlab.abi import constants as c
from kextlab.abi import mach
from kextlab.abi.errno import name_of
from kextlab.abi.mach_messages import MachMsgHeader
from kextlab.kernel.explain import (
    ANY,
    FAMILIES,
    Cause,
    causes_by_code,
    causes_by_errno,
    causes_by_text,
    local_by_errno,
)
from kextlab.kernel.explanations import PORTED
from kextlab.trace.events import Event
from kextlab.views.enqueue import ENQUEUES
from kextlab.views.index import Index
from kextlab.views.iokit_sentences import IOKITLIB


class Source(NamedTuple):
    """The badge, the recording's name ("" if none), the file and routine of XNU."""

    badge: str
    name: str
    where: str


RECORDED, CARRIED, DOCUMENTED = "recorded", "ported", "documented"

SHOWN = {
    "socket": ("only-connect", "socreate_internal"),
    "dup": ("close-dup", "dup"),
    "close": ("close-connected", "soclose"),
    "bind": ("bind-then-connect", "ctl_bind"),
    "connect": ("only-connect", "ctl_connect"),
    "getpeername": ("peer-connected", "ctl_peeraddr"),
    "sendto": ("dgram-echo", "ctl_send"),
    "sendmsg": ("dgram-many-iovs", "ctl_send"),
    "sendmsg_x": ("sendlist-x", "ctl_send_list"),
    "recvfrom": ("dgram-truncate-recv", "soreceive"),
    "recvmsg": ("dgram-echo", "soreceive"),
    "recvmsg_x": ("recvx-truncate", "soreceive_list"),
    "shutdown": ("flow-shutdown-rd-enqueue", "soshutdown"),
    "setsockopt": ("opt-set", "ctl_ctloutput"),
    "getsockopt": ("opt-get", "ctl_ctloutput"),
    "setsockopt SOL_SOCKET": ("opt-sol-socket", "sosetoptlock"),
    "getsockopt SOL_SOCKET": ("opt-sol-socket", "sogetoptlock"),
    "poll": ("poll-stream", "sopoll"),
    "ioctl CTLIOCGINFO": ("lookup-prefix", "ctl_ioctl"),
    "ioctl CTLIOCGCOUNT": ("lookup-count", "ctl_ioctl"),
    "ioctl SIOCGKEVID": ("ev-id-sequence", "kev_control"),
    "ioctl SIOCSKEVFILT": ("ev-register-event", "kev_control"),
    "ioctl SIOCGKEVFILT": ("r00012", "kev_control"),
    "ioctl SIOCGKEVVENDOR": ("ev-vendor-find", "kev_control"),
    "ioctl FIONBIO": ("ioctl-socket-level", "soo_ioctl"),
    "ctl_register": ("reg-basic", "ctl_register"),
    "ctl_deregister": ("reg-basic", "ctl_deregister"),
    "ctl_enqueuedata": ("flow-one-too-many", "ctl_enqueuedata"),
    "ctl_enqueuembuf": ("dgram-mbuf-eor", "ctl_enqueuembuf"),
    "ctl_enqueuembuf_list": ("dgram-list-records", "ctl_enqueuembuf_list"),
    "ctl_getenqueuespace": ("flow-one-too-many", "ctl_getenqueuespace"),
    "ctl_getenqueuepacketcount": ("dgram-list-records", "ctl_getenqueuepacketcount"),
    "ctl_getenqueuereadable": ("stream-lowat", "ctl_getenqueuereadable"),
    "ctl_name_by_id": ("reg-name-95", "ctl_name_by_id"),
    "kev_vendor_code_find": ("ev-vendor-find", "kev_vendor_code_find"),
    "kev_msg_post": ("r00011", "kev_msg_post"),
    "kev_post_msg": ("ev-data-vectors", "kev_post_msg"),
    "callback bind": ("bind-then-connect", "ctl_bind"),
    "callback connect": ("only-connect", "ctl_connect"),
    "callback disconnect": ("close-connected", "ctl_disconnect"),
    "callback getopt": ("opt-get", "ctl_ctloutput"),
    "callback rcvd": ("dgram-echo", "ctl_usr_rcvd"),
    "callback send": ("dgram-echo", "ctl_send"),
    "callback send_list": ("sosendlist", "ctl_send_list"),
    "callback setopt": ("opt-set", "ctl_ctloutput"),
    "callback setup": ("bind-with-setup", "ctl_setup_kctl"),
    "signal SIGPIPE": ("send-after-failed-connect", "sosend"),
    "mach_port_allocate": ("alloc", "mach_port_allocate_full"),
    "mach_port_insert_right": ("refs-modify", "mach_port_insert_right"),
    "mach_port_deallocate": ("deallocate", "mach_port_deallocate"),
    "mach_port_destroy": ("destroy", "mach_port_destroy"),
    "mach_port_mod_refs": ("refs-modify", "mach_port_mod_refs"),
    "mach_port_get_refs": ("refs-modify", "mach_port_get_refs"),
    "mach_port_type": ("alloc", "mach_port_type"),
    "mach_port_get_attributes": ("alloc", "mach_port_get_attributes"),
    "mach_port_set_attributes": ("queue-limit-set", "mach_port_set_attributes"),
    "mach_port_set_mscount": ("mscount", "mach_port_set_mscount"),
    "mach_port_insert_member": ("pset", "mach_port_insert_member"),
    "mach_port_extract_member": ("pset-extract", "mach_port_extract_member"),
    "mach_port_move_member": ("pset-two-sets", "mach_port_move_member"),
    "mach_port_request_notification": ("send-notify", "mach_port_request_notification"),
    "mach_msg send": ("receive-fifo", "ipc_kmsg_send"),
    "mach_msg send complex": ("carry-circle", "ipc_kmsg_send"),
    "mach_msg receive": ("receive-fifo", "ipc_mqueue_receive"),
    "mach_msg receive complex": ("carry-dead", "ipc_mqueue_receive"),
    "mach_msg send receive": ("send-receive-one-call", "mach_msg_overwrite_trap"),
}
"""A call that went well, or a callback that ran, to a recording that shows it and XNU's routine."""
PORTED_CALLS = {
    "mach_vm_allocate": "mach_vm_allocate_kernel",
    "mach_vm_deallocate": "mach_vm_deallocate",
    "mach_vm_map": "mach_vm_map_kernel",
    "mach_vm_protect": "mach_vm_protect",
    "mach_vm_region": "vm_map_region",
    "mach_make_memory_entry_64": "mach_make_memory_entry_64",
}
"""A Mach call whose success one of XNU's own tests asserts, to XNU's routine."""

LOCAL_CALLS = ("accept", "socketpair", "unlink", "chmod", "launch_activate_socket")
"""Calls that only local sockets know."""

LOST = Source(RECORDED, "ev-overflow", "kern_event.c, kev_post_msg")
"""An event that a full event socket lost."""
SLEPT = Source(DOCUMENTED, "", "uipc_socket2.c, sbwait")
"""What happens when a sleeper is woken."""

_FILES = (
    (("ctl_", "kctl_", "kcb_"), "kern_control.c"),
    (("kev_",), "kern_event.c"),
    (("soo_",), "sys_socket.c"),
    (("sb", "pru_"), "uipc_socket2.c"),
    (("sosendcheck", "soreceive", "so"), "uipc_socket.c"),
    (("mbuf_",), "kpi_mbuf.c"),
    (("m_",), "uipc_mbuf.c"),
    (("file_socket", "dup", "sys_fcntl"), "kern_descrip.c"),
    (("ioctl", "select", "poll"), "sys_generic.c"),
    (("kernel_trap",), "trap.c"),
    (("unix_syscall",), "systemcalls.c"),
    (("msleep",), "kern_synch.c"),
    (("mach_port_",), "mach_port.c"),
    (("mach_msg",), "mach_msg.c"),
    (("ipc_kmsg_",), "ipc_kmsg.c"),
    (("ipc_mqueue_",), "ipc_mqueue.c"),
    (("ipc_right_",), "ipc_right.c"),
    (("ipc_object_",), "ipc_object.c"),
    (("ipc_port_",), "ipc_port.c"),
    (("ipc_pset_",), "ipc_pset.c"),
    (("ipc_entry_",), "ipc_entry.c"),
    (("mach_make_memory_entry",), "vm_memory_entry.c"),
    (("mach_vm_",), "vm_user.c"),
    (("vm_map_",), "vm_map.c"),
    (("vm_fault",), "vm_fault.c"),
    (("job_mig_",), "launchd's core.c"),
    (
        ("bind", "connect", "getpeername", "getsockaddr", "sockargs", "sendmsg", "setsockopt"),
        "uipc_syscalls.c",
    ),
)
"""How routines begin, and the file of XNU they are in."""


def where(routine: str) -> str:
    """A routine with the file of XNU it is in, where that is known."""
    for prefixes, file in _FILES:
        if routine.startswith(prefixes):
            return f"{file}, {routine}"
    return routine


def _of(cause: Cause) -> Source:
    if cause.recorded:
        return Source(RECORDED, cause.recording, where(cause.routine))
    badge = CARRIED if cause.recording == PORTED else DOCUMENTED
    return Source(badge, "", where(cause.routine))


@cache
def shown(what: str) -> Source:
    """What a success rests on; documented only if no recording shows it."""
    if what not in SHOWN:
        return Source(DOCUMENTED, "", "")
    name, routine = SHOWN[what]
    return Source(RECORDED, name, where(routine))


def mach_shown(event: Event, message: object) -> Source:
    """What a Mach call that answered KERN_SUCCESS rests on; ``message`` is what ``mach_msg``
    received."""
    name = event.name
    if name in PORTED_CALLS:
        return Source(CARRIED, "", where(PORTED_CALLS[name]))
    if name != "mach_msg":
        return shown(name)
    option = cast(int, event.arguments[1])
    sent = event.arguments[0] if option & mach.MACH_SEND_MSG else None
    got = message if option & mach.MACH_RCV_MSG else None
    return shown(message_shape(cast("bytes | None", sent), cast("bytes | None", got)))


def message_shape(sent: bytes | None, got: bytes | None) -> str:
    """What kind of ``mach_msg`` it is, as ``SHOWN`` has it: what was sent, what was received. A
    kind no recording has ends in the words for what is new in it."""
    words = ["mach_msg"]
    strange = ""
    for data, way in ((sent, "send"), (got, "receive")):
        if data is None:
            continue
        words.append(way)
        if len(data) < mach.SIZEOF_HEADER:
            continue
        header = MachMsgHeader.unpack(data)
        if header.complex:
            words.append("complex")
            strange = strange or _out_of_line(data)
        if way == "receive" and header.msgh_id == mach.MACH_NOTIFY_PORT_DESTROYED:
            strange = "port-destroyed"
        if way == "receive" and len(data) - header.msgh_size > mach.SIZEOF_SEQNO_TRAILER:
            strange = strange or "sender's trailer"
    return " ".join([*words, strange]).strip()


def _out_of_line(data: bytes) -> str:
    """Whether descriptors are other than of ports. In all of them the type is the twelfth byte."""
    at = mach.SIZEOF_HEADER + mach.SIZEOF_BODY
    count = int.from_bytes(data[mach.SIZEOF_HEADER : at], "little")
    for _ in range(count):
        if len(data) >= at + mach.SIZEOF_PORT_DESCRIPTOR:
            if data[at + 11] != mach.MACH_MSG_PORT_DESCRIPTOR:
                return "out of line"
            at += mach.SIZEOF_PORT_DESCRIPTOR
    return ""


def mach_refused(call: str, code: str) -> tuple[Source, str]:
    """What a code of Mach's or launchd's rests on, and why it is answered."""
    return _told(
        cause for key, cause in causes_by_text()["mach"] if key == code and cause.call == call
    )


def is_local(event: Event, seen: Index, socket: int) -> bool:
    """Whether a call is about a socket of AF_UNIX, which no recording has."""
    asked = event.name == "socket" and event.arguments[0] == c.AF_UNIX
    return asked or event.name in LOCAL_CALLS or seen.is_local(socket)


def answered(event: Event, request: str = "") -> Source:
    """What a call that went well, or a callback that ran, rests on; ``request`` is what it asks
    of which kind of socket."""
    if event.kind == "callback":
        return shown(f"callback {event.name}")
    if request:
        return shown(f"{event.name} {request}")
    if event.name in ("setsockopt", "getsockopt") and event.arguments[1] == c.SOL_SOCKET:
        return shown(f"{event.name} SOL_SOCKET")
    return shown(event.name)


@cache
def _causes(call: str, errno: str, local: bool) -> tuple[Cause, ...]:
    """Those of local sockets, or those of all others."""
    if call in IOKITLIB:
        return tuple(c for c in causes_by_code().get(errno, ()) if c.call == IOKITLIB[call])
    family, locals_ = FAMILIES.get(call, call), local_by_errno().get(errno, ())
    causes = causes_by_errno().get(errno, ())
    return tuple(c for c in causes if c.call == family and (c in locals_) is local)


def refused(
    event: Event, errno: int, seen: Index, pid: str, size: int, socket: int
) -> tuple[Source, str]:
    """What a refusal rests on, and why the kernel refuses that way."""
    local = is_local(event, seen, socket)
    causes = _causes(event.name, name_of(errno), local)
    if len(causes) > 1 and not local:
        recording = _which(event, name_of(errno), seen, pid, size, socket)
        if recording is not None:
            causes = tuple(
                cause
                for cause in causes
                if (cause.recording if cause.recorded else "") == recording
            )
    return _told(causes)


def passed_on(event: Event, callback: str) -> tuple[Source, str]:
    """What it rests on that a callback's errno reaches the process."""
    family = FAMILIES.get(event.name, event.name)
    causes = [cause for cause in causes_by_errno()[ANY] if cause.call == family]
    if len(causes) > 1:
        causes = [cause for cause in causes if ("setup" in cause.routine) == (callback == "setup")]
    return _told(causes)


def first(call: str, code: str) -> str:
    """The one cause of a code of IOKit's in half a sentence; "" if there are several, or none."""
    causes = _causes(call, code, False)
    if len(causes) != 1:
        return ""
    said = causes[0].when.partition(". ")[0].rstrip(".")
    return said[:1].lower() + said[1:]


def stopped(kind: str, text: str, call: str) -> tuple[Source, str]:
    """What a panic or a deadlock rests on."""
    import re

    found = [cause for pattern, cause in causes_by_text().get(kind, ()) if re.search(pattern, text)]
    family = FAMILIES.get(call, call)
    return _told([cause for cause in found if cause.call == family] or found)


def _told(causes: Iterable[Cause]) -> tuple[Source, str]:
    """The weakest badge of several; their words if they are one."""
    causes = list(causes)
    if not causes:
        return Source(DOCUMENTED, "", ""), ""
    weakest = min(causes, key=lambda cause: (cause.recorded, cause.recording == PORTED))
    if len(causes) > 1:
        return _of(weakest), ""
    return _of(weakest), f"{weakest.when} What to do: {weakest.remedy}"


def _which(event: Event, errno: str, seen: Index, pid: str, size: int, socket: int) -> str | None:
    """The recording of the cause that holds in this state, "" for one without a recording,
    ``None`` where the state does not tell."""
    if event.kind == "kpi":
        return _which_kpi(event, errno, seen, size, socket)
    name, args = event.name, event.arguments
    so = seen.state.get(f"socket:{socket}")
    events = seen.listens(socket)
    match name, errno:
        case (("connect" | "bind"), ("EINVAL" | "ENOENT" | "EBUSY")):
            return _which_address(name, errno, args[1], seen)
        case "getpeername", "EINVAL":
            shut = c.SS_CANTSENDMORE | c.SS_CANTRCVMORE
            state = cast(int, so["so_state"]) if so is not None else 0
            return "conn-callback-error" if state & shut == shut else ""
        case (("sendto" | "sendmsg"), "EINVAL"):
            eor = cast(int, args[2]) & c.MSG_EOR and seen.streams(socket)
            return "r00344" if eor else ""
        case (("sendto" | "sendmsg" | "sendmsg_x"), "EOPNOTSUPP"):
            return "ev-send" if events else "r00037"
        case (("sendto" | "sendmsg"), "EMSGSIZE"):
            hiwat = seen.state.get(f"so_snd:{socket}", {}).get("sb_hiwat", 0)
            return "dgram-send-emsgsize" if size > cast(int, hiwat) else ""
        case (("recvfrom" | "recvmsg" | "recvmsg_x"), "EAGAIN"):
            cc = seen.state.get(f"so_rcv:{socket}", {}).get("sb_cc", 0)
            return "" if cc else "dgram-recv-blocking"
        case "ioctl", "ENOENT":
            return "ev-vendor-find" if events else "lookup-prefix"
        case "ioctl", "ENOTSUP":
            return "lookup-event-socket" if events else "ioctl-unknown"
        case "ioctl", "EINVAL":
            data = args[2]
            return "lookup-ioctl-empty" if isinstance(data, bytes) and not data[4] else ""
        case "shutdown", "ENOTCONN":
            connected = so is not None and cast(int, so["so_state"]) & c.SS_ISCONNECTED
            return "" if connected else "flow-shutdown-unconnected"
        case (("setsockopt" | "getsockopt"), "ENOPROTOOPT"):
            return "ev-send" if events and args[1] != c.SOL_SOCKET else "opt-sol-socket"
        case "getsockopt", "EINVAL":
            return (
                "r00002" if seen.state.get(f"kcb:{socket}", {}).get("kctl") else "opt-unconnected"
            )
        case "setsockopt", "EINVAL":
            return _which_option(args, seen, socket)
    return None


def _which_address(name: str, errno: str, data: object, seen: Index) -> str | None:
    if errno == "EINVAL":
        if data is None:
            return ""
        length = len(cast(bytes, data))
        if name == "connect":
            return "conn-name-short" if length < 2 else "conn-sc-len"
        return "r00289" if length < 2 else "r00027" if length != 32 else "bind-no-callback"
    ident = int.from_bytes(cast(bytes, data)[4:8], "little")
    unit = int.from_bytes(cast(bytes, data)[8:12], "little")
    serial = seen.serial_at(ident)
    if errno == "ENOENT":
        return "static-wrong-unit" if serial else "conn-retry-after-enoent"
    if name == "bind":
        return "r00027" if unit else ""
    flags = cast(int, seen.state.get(f"kctl:{serial}", {}).get("flags", 0))
    if flags & c.CTL_FLAG_REG_ID_UNIT:
        return "static-unit-zero"
    return "unit-explicit-busy" if unit else None


def _which_option(args: tuple[object, ...], seen: Index, socket: int) -> str | None:
    if args[1] == c.SOL_SOCKET:
        shut = c.SS_CANTSENDMORE | c.SS_CANTRCVMORE
        so = seen.state.get(f"socket:{socket}", {})
        if cast(int, so.get("so_state", 0)) & shut == shut:
            return "send-after-failed-connect"
        return "opt-getopt-null-len" if cast(int, args[4]) < 4 else "flow-setsockopt-limits"
    if args[1] == c.SYSPROTO_CONTROL and not seen.state.get(f"kcb:{socket}", {}).get("kctl"):
        return "opt-unconnected"
    return ""


def _which_kpi(event: Event, errno: str, seen: Index, size: int, socket: int) -> str | None:
    name, args = event.name, event.arguments
    if name in ENQUEUES and errno == "ENOBUFS" and socket:
        return _which_full(event, seen, size, socket)
    if errno == "EINVAL" and name.startswith(("ctl_enqueue", "ctl_getenqueue")):
        if not seen.serial(args[0]):
            return "stale-ref-reused-slot"
        if socket:
            return "dgram-list-eor-einval" if name.endswith("_list") else "flow-null-outputs"
        return "unit-wrong-enqueue"
    match name, errno:
        case "ctl_register", "EINVAL":
            if args[0] is None:
                return "reg-null"
            length = len(str(args[0]).encode())
            return "reg-empty-name" if not length else "" if length > 95 else "reg-no-connect"
        case "ctl_register", "EEXIST":
            names = {f["name"] for n, f in seen.state.items() if n.startswith("kctl:")}
            return "reg-duplicate-name" if args[0] in names else "static-two-units"
        case "kev_msg_post", "EINVAL":
            return "ev-kpi-apple" if args else "ev-kpi-null"
    return None


def _which_full(event: Event, seen: Index, size: int, socket: int) -> str | None:
    fields = seen.state[f"so_rcv:{socket}"]
    hiwat, cc = cast(int, fields["sb_hiwat"]), cast(int, fields["sb_cc"])
    if not hiwat:
        return "flow-shutdown-rd-enqueue"
    kctl = seen.state.get(f"kctl:{seen.serial(event.arguments[0])}", {})
    critical = cast(int, kctl.get("flags", 0)) & c.CTL_FLAG_REG_CRIT
    if critical:
        own = {"ctl_enqueuedata": "crit-reserve", "ctl_enqueuembuf": "crit-mbuf"}
        flags = cast(int, event.arguments[-1])
        if flags & c.CTL_DATA_CRIT:
            return "crit-grow-fails" if event.name == "ctl_enqueuedata" else ""
        return own.get(event.name, "crit-list")
    if size <= hiwat - cc:  # bytes would fit, so mbuf memory ran out
        known = event.name == "ctl_enqueuedata"
        return "flow-eor-records-stream-tiny-buffer" if known else ""
    full = {"ctl_enqueuedata": "flow-one-too-many", "ctl_enqueuembuf": "r00000"}
    return full.get(event.name, "dgram-list-overflow-remain")
