"""Darwin's numbers for system-domain sockets: families, options, flags, limits, sizes.

Every value is a plain int, as a C program sees it. ``flag_names`` and ``flag_value`` turn flag
words into lists of names and back; the recordings in ``conformance/`` use that form.

Read beside it: ``bsd/sys/socket.h``, ``bsd/sys/socketvar.h`` (SS_*, SB_*), ``bsd/sys/protosw.h``
(PR_*, PRUS_*), ``bsd/sys/mbuf.h``, ``bsd/sys/kern_control.h``, ``bsd/sys/kern_event.h``,
``bsd/sys/sys_domain.h``.

Leaves out: options of other protocol families, SOF_* flags.

In doubt: ``MHLEN`` depends on the packet header of the release; it is a named constant so that
one line changes. SB_* values are those of macOS 11 and later (older releases number them
otherwise); SB_KCTL and SB_LIMITED came after xnu-7195.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

# --- Families and protocols: bsd/sys/socket.h, bsd/sys/sys_domain.h, bsd/sys/un.h -------------
AF_UNIX: Final = 1
PF_LOCAL: Final = AF_UNIX
AF_SYSTEM: Final = 32
PF_SYSTEM: Final = AF_SYSTEM
AF_SYS_CONTROL: Final = 2  # ss_sysaddr of a kernel-control address
AF_SYS_KERNCONTROL: Final = AF_SYS_CONTROL  # older spelling of the same
SYSPROTO_EVENT: Final = 1
SYSPROTO_CONTROL: Final = 2  # also the option level of a control's own options

SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
SOCK_RDM: Final = 4
SOCK_SEQPACKET: Final = 5

SOMAXCONN: Final = 128
SOCK_MAXADDRLEN: Final = 255  # bytes; a longer socket address is ENAMETOOLONG
IOV_MAX: Final = 1024  # most buffers in one readv, writev, sendmsg or recvmsg

SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2

# --- Socket options at SOL_SOCKET: bsd/sys/socket.h -------------------------------------------
SOL_SOCKET: Final = 0xFFFF

# Bits of so_options.
SO_DEBUG: Final = 0x0001
SO_ACCEPTCONN: Final = 0x0002
SO_REUSEADDR: Final = 0x0004
SO_KEEPALIVE: Final = 0x0008
SO_DONTROUTE: Final = 0x0010
SO_BROADCAST: Final = 0x0020
SO_USELOOPBACK: Final = 0x0040
SO_LINGER: Final = 0x0080  # in ticks; SO_LINGER_SEC takes seconds
SO_OOBINLINE: Final = 0x0100
SO_REUSEPORT: Final = 0x0200
SO_TIMESTAMP: Final = 0x0400
SO_TIMESTAMP_MONOTONIC: Final = 0x0800
SO_DONTTRUNC: Final = 0x2000
SO_WANTMORE: Final = 0x4000
SO_WANTOOBFLAG: Final = 0x8000
SO_NOWAKEFROMSLEEP: Final = 0x10000  # private to Apple, as are the next two
SO_NOAPNFALLBK: Final = 0x20000
SO_TIMESTAMP_CONTINUOUS: Final = 0x40000

# Numbers, not bits.
SO_SNDBUF: Final = 0x1001
SO_RCVBUF: Final = 0x1002
SO_SNDLOWAT: Final = 0x1003
SO_RCVLOWAT: Final = 0x1004
SO_SNDTIMEO: Final = 0x1005
SO_RCVTIMEO: Final = 0x1006
SO_ERROR: Final = 0x1007
SO_TYPE: Final = 0x1008
SO_LABEL: Final = 0x1010
SO_PEERLABEL: Final = 0x1011
SO_NREAD: Final = 0x1020
SO_NKE: Final = 0x1021
SO_NOSIGPIPE: Final = 0x1022
SO_NOADDRERR: Final = 0x1023
SO_NWRITE: Final = 0x1024
SO_REUSESHAREUID: Final = 0x1025
SO_NOTIFYCONFLICT: Final = 0x1026
SO_UPCALLCLOSEWAIT: Final = 0x1027
SO_LINGER_SEC: Final = 0x1080
SO_RANDOMPORT: Final = 0x1082
SO_NP_EXTENSIONS: Final = 0x1083
SO_NUMRCVPKT: Final = 0x1112
SO_NET_SERVICE_TYPE: Final = 0x1116
SO_NETSVC_MARKING_LEVEL: Final = 0x1119

# Private to Apple, most of them of no use to a system-domain socket.
SO_RESTRICTIONS: Final = 0x1081
SO_EXECPATH: Final = 0x1085
SO_TRAFFIC_CLASS: Final = 0x1086
SO_RECV_TRAFFIC_CLASS: Final = 0x1087
SO_TRAFFIC_CLASS_DBG: Final = 0x1088
SO_TRAFFIC_CLASS_STATS: Final = 0x1089
SO_PRIVILEGED_TRAFFIC_CLASS: Final = 0x1090
SO_DEFUNCTIT: Final = 0x1091
SO_DEFUNCTOK: Final = 0x1100
SO_ISDEFUNCT: Final = 0x1101
SO_OPPORTUNISTIC: Final = 0x1102
SO_FLUSH: Final = 0x1103
SO_RECV_ANYIF: Final = 0x1104
SO_TRAFFIC_MGT_BACKGROUND: Final = 0x1105
SO_FLOW_DIVERT_TOKEN: Final = 0x1106
SO_DELEGATED: Final = 0x1107
SO_DELEGATED_UUID: Final = 0x1108
SO_NECP_ATTRIBUTES: Final = 0x1109
SO_CFIL_SOCK_ID: Final = 0x1110
SO_NECP_CLIENTUUID: Final = 0x1111
SO_AWDL_UNRESTRICTED: Final = 0x1113
SO_EXTENDED_BK_IDLE: Final = 0x1114
SO_MARK_CELLFALLBACK: Final = 0x1115
SO_QOSMARKING_POLICY_OVERRIDE: Final = 0x1117
SO_INTCOPROC_ALLOW: Final = 0x1118
SO_NECP_LISTENUUID: Final = 0x1120
SO_MPKL_SEND_INFO: Final = 0x1122
SO_STATISTICS_EVENT: Final = 0x1123

# --- AF_UNIX: bsd/sys/un.h, bsd/sys/socket.h, bsd/kern/uipc_usrreq.c ---------------------------
SOL_LOCAL: Final = 0
LOCAL_PEERCRED: Final = 0x001  # struct xucred
LOCAL_PEERPID: Final = 0x002
LOCAL_PEEREPID: Final = 0x003
LOCAL_PEERUUID: Final = 0x004
LOCAL_PEEREUUID: Final = 0x005
LOCAL_PEERTOKEN: Final = 0x006
SCM_RIGHTS: Final = 0x01
SUN_PATH_SIZE: Final = 104  # bytes of the field; the kernel takes longer ones
PIPSIZ: Final = 8192  # bytes; net.local.stream.sendspace and recvspace
UNPDG_SENDSPACE: Final = 2048  # bytes; net.local.dgram.maxdgram
UNPDG_RECVSPACE: Final = 4096  # bytes; net.local.dgram.recvspace

# --- Message flags of send and receive: bsd/sys/socket.h --------------------------------------
MSG_OOB: Final = 0x1
MSG_PEEK: Final = 0x2
MSG_DONTROUTE: Final = 0x4
MSG_EOR: Final = 0x8
MSG_TRUNC: Final = 0x10
MSG_CTRUNC: Final = 0x20
MSG_WAITALL: Final = 0x40
MSG_DONTWAIT: Final = 0x80
MSG_EOF: Final = 0x100
MSG_WAITSTREAM: Final = 0x200
MSG_FLUSH: Final = 0x400
MSG_HOLD: Final = 0x800
MSG_SEND: Final = 0x1000
MSG_HAVEMORE: Final = 0x2000
MSG_RCVMORE: Final = 0x4000
MSG_NEEDSA: Final = 0x10000
MSG_NBIO: Final = 0x20000  # kernel only

# --- Protocol switch: bsd/sys/protosw.h -------------------------------------------------------
# Flags a control's send callback receives.
PRUS_OOB: Final = 0x1
PRUS_EOF: Final = 0x2
PRUS_MORETOCOME: Final = 0x4

PR_ATOMIC: Final = 0x01  # one send, one record
PR_ADDR: Final = 0x02
PR_CONNREQUIRED: Final = 0x04
PR_WANTRCVD: Final = 0x08  # tell the protocol when the process has read
PR_RIGHTS: Final = 0x10
PR_IMPLOPCL: Final = 0x20
PR_LASTHDR: Final = 0x40
PR_PROTOLOCK: Final = 0x80
PR_PCBLOCK: Final = 0x100
PR_DISPOSE: Final = 0x200

# --- Socket state, so_state: bsd/sys/socketvar.h ----------------------------------------------
SS_NOFDREF: Final = 0x0001
SS_ISCONNECTED: Final = 0x0002
SS_ISCONNECTING: Final = 0x0004
SS_ISDISCONNECTING: Final = 0x0008
SS_CANTSENDMORE: Final = 0x0010
SS_CANTRCVMORE: Final = 0x0020
SS_RCVATMARK: Final = 0x0040
SS_PRIV: Final = 0x0080
SS_NBIO: Final = 0x0100
SS_ASYNC: Final = 0x0200
SS_ISCONFIRMING: Final = 0x0400
SS_INCOMP: Final = 0x0800
SS_COMP: Final = 0x1000
SS_ISDISCONNECTED: Final = 0x2000
SS_DRAINING: Final = 0x4000
SS_DEFUNCT: Final = 0x8000

# --- Socket buffers: bsd/sys/socketvar.h ------------------------------------------------------
SB_MAX: Final = 8192 * 1024  # bytes; kern.ipc.maxsockbuf

SB_LOCK: Final = 0x1
SB_NOINTR: Final = 0x2
SB_RECV: Final = 0x4
SB_SEL: Final = 0x8
SB_ASYNC: Final = 0x10
SB_UPCALL: Final = 0x20
SB_KNOTE: Final = 0x40
SB_DROP: Final = 0x80
SB_UNIX: Final = 0x100
SB_USRSIZE: Final = 0x200
SB_AUTOSIZE: Final = 0x400
SB_TRIM: Final = 0x800
SB_NOCOMPRESS: Final = 0x1000
SB_SNDBYTE_CNT: Final = 0x2000
SB_UPCALL_LOCK: Final = 0x4000
SB_LIMITED: Final = 0x8000
SB_KCTL: Final = 0x10000  # a control's buffer: space counts bytes only (after xnu-7195)

# --- mbufs: bsd/sys/mbuf.h; sizes in bytes ----------------------------------------------------
MSIZE: Final = 256
MLEN: Final = 224  # data in an mbuf without packet header
MHLEN: Final = 80  # data in an mbuf with packet header; see "In doubt" above
MINCLSIZE: Final = MLEN + MHLEN  # from here on a cluster is cheaper
MCLBYTES: Final = 2048
MBIGCLBYTES: Final = 4096
M16KCLBYTES: Final = 16384

M_EXT: Final = 0x1
M_PKTHDR: Final = 0x2
M_EOR: Final = 0x4

MT_FREE: Final = 0
MT_DATA: Final = 1
MT_HEADER: Final = 2
MT_SONAME: Final = 8
MT_CONTROL: Final = 14
MT_OOBDATA: Final = 15

# --- Kernel control: bsd/sys/kern_control.h, bsd/kern/kern_control.c --------------------------
CTL_FLAG_PRIVILEGED: Final = 0x1
CTL_FLAG_REG_ID_UNIT: Final = 0x2
CTL_FLAG_REG_SOCK_STREAM: Final = 0x4
CTL_FLAG_REG_EXTENDED: Final = 0x8  # private to the kernel, as are the next two
CTL_FLAG_REG_CRIT: Final = 0x10
CTL_FLAG_REG_SETUP: Final = 0x20

CTL_DATA_NOWAKEUP: Final = 0x1
CTL_DATA_EOR: Final = 0x2
CTL_DATA_CRIT: Final = 0x4  # private to the kernel

MAX_KCTL_NAME: Final = 96  # bytes of the field
CTL_SENDSIZE: Final = 2 * 1024  # bytes; default buffers of a control
CTL_RECVSIZE: Final = 8 * 1024
CTL_MAXUNIT: Final = 65536
CTL_AUTORCVBUF_MAX: Final = 256 * 1024  # bytes; how far critical data may grow the buffer

# --- Kernel events: bsd/sys/kern_event.h, bsd/net/net_str_id.c --------------------------------
KEV_ANY_VENDOR: Final = 0
KEV_ANY_CLASS: Final = 0
KEV_ANY_SUBCLASS: Final = 0
KEV_VENDOR_APPLE: Final = 1

KEV_NETWORK_CLASS: Final = 1
KEV_IOKIT_CLASS: Final = 2
KEV_SYSTEM_CLASS: Final = 3
KEV_APPLESHARE_CLASS: Final = 4
KEV_FIREWALL_CLASS: Final = 5
KEV_IEEE80211_CLASS: Final = 6
KEV_NKE_CLASS: Final = 7

KEV_CTL_SUBCLASS: Final = 2  # within KEV_SYSTEM_CLASS
KEV_CTL_REGISTERED: Final = 1
KEV_CTL_DEREGISTERED: Final = 2

KEV_SNDSPACE: Final = 4 * 1024  # bytes
KEV_RECVSPACE: Final = 32 * 1024
KEV_VENDOR_CODE_MAX_STR_LEN: Final = 200  # bytes of the field
KEV_MSG_HEADER_SIZE: Final = 24  # bytes before event_data
N_KEV_VECTORS: Final = 5  # data vectors of one posted event
FIRST_NET_STR_ID: Final = 1000  # first dynamic vendor code

# --- Flag words as names ----------------------------------------------------------------------
_NAMES: Final = {
    "MSG": (
        "MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_EOR MSG_TRUNC MSG_CTRUNC MSG_WAITALL MSG_DONTWAIT "
        "MSG_EOF MSG_WAITSTREAM MSG_FLUSH MSG_HOLD MSG_SEND MSG_HAVEMORE MSG_RCVMORE MSG_NEEDSA "
        "MSG_NBIO"
    ),
    "PRUS": "PRUS_OOB PRUS_EOF PRUS_MORETOCOME",
    "SS": (
        "SS_NOFDREF SS_ISCONNECTED SS_ISCONNECTING SS_ISDISCONNECTING SS_CANTSENDMORE "
        "SS_CANTRCVMORE SS_RCVATMARK SS_PRIV SS_NBIO SS_ASYNC SS_ISCONFIRMING SS_INCOMP SS_COMP "
        "SS_ISDISCONNECTED SS_DRAINING SS_DEFUNCT"
    ),
    "CTL_FLAG": (
        "CTL_FLAG_PRIVILEGED CTL_FLAG_REG_ID_UNIT CTL_FLAG_REG_SOCK_STREAM CTL_FLAG_REG_EXTENDED "
        "CTL_FLAG_REG_CRIT CTL_FLAG_REG_SETUP"
    ),
    "CTL_DATA": "CTL_DATA_NOWAKEUP CTL_DATA_EOR CTL_DATA_CRIT",
    "SB": (
        "SB_LOCK SB_NOINTR SB_RECV SB_SEL SB_ASYNC SB_UPCALL SB_KNOTE SB_DROP SB_UNIX SB_USRSIZE "
        "SB_AUTOSIZE SB_TRIM SB_NOCOMPRESS SB_SNDBYTE_CNT SB_UPCALL_LOCK SB_LIMITED SB_KCTL"
    ),
}

# Family -> name -> bit, in ascending bit order.
FLAGS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        family: MappingProxyType({name: globals()[name] for name in names.split()})
        for family, names in _NAMES.items()
    }
)

# Family -> bit -> name.
_BITS: Final[Mapping[str, Mapping[int, str]]] = {
    family: {bit: name for name, bit in table.items()} for family, table in FLAGS.items()
}
_NAMED: Final[Mapping[str, int]] = {family: sum(bits) for family, bits in _BITS.items()}


def flag_names(value: int, family: str) -> list[str | int]:
    """List the flags set in ``value``, in ascending bit order; what has no name as one int, last.

    Args:
        value: the flag word, not negative.
        family: one of ``FLAGS``: "MSG", "PRUS", "SS", "CTL_FLAG", "CTL_DATA", "SB".

    Raises:
        ValueError: the family is unknown, or ``value`` is negative.
    """
    _check_family(family)
    if value < 0:
        raise ValueError(f"negative flag word {value}: expected 0 or more")
    named: list[str | int] = [name for bit, name in _BITS[family].items() if value & bit]
    rest = value & ~_NAMED[family]
    return [*named, rest] if rest else named


def flag_value(names: Iterable[str | int], family: str) -> int:
    """Build the flag word from names and unnamed bits: the inverse of ``flag_names``.

    Raises:
        ValueError: the family is unknown, a name is not of the family, a number is negative, or
            ``names`` is a single string.
    """
    _check_family(family)
    if isinstance(names, str):
        raise ValueError(f"flags given as one string {names!r}: expected a list, as [{names!r}]")
    table = FLAGS[family]
    value = 0
    for name in names:
        if isinstance(name, int):
            if name < 0:
                raise ValueError(f"negative flag {name}: expected 0 or more")
            value |= name
        elif name in table:
            value |= table[name]
        else:
            example = next(iter(table))
            raise ValueError(f"unknown {family} flag {name!r}: expected names such as {example!r}")
    return value


def _check_family(family: str) -> None:
    if family not in FLAGS:
        raise ValueError(f"unknown flag family {family!r}: expected one of {', '.join(FLAGS)}")
