"""The names of a Mac's ``socket`` module that are numbers, with Darwin's values.

As in CPython, AF_, SOCK_ and MSG_ names are members of enumerations. What CPython never exposes
(SYSPROTO_EVENT, AF_SYS_CONTROL, CTLIOCGINFO, SO_NREAD, ...) is not here: ``kextlab.abi`` has it.
Read beside it: CPython's ``Lib/socket.py`` and ``Modules/socketmodule.c``.

Left out: names of the Internet protocols' options.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from kextlab.abi import constants as c

AddressFamily = IntEnum(
    "AddressFamily",
    {
        "AF_UNSPEC": 0,
        "AF_UNIX": 1,
        "AF_INET": 2,
        "AF_SNA": 11,
        "AF_DECnet": 12,
        "AF_APPLETALK": 16,
        "AF_ROUTE": 17,
        "AF_LINK": 18,
        "AF_IPX": 23,
        "AF_INET6": 30,
        "AF_SYSTEM": c.AF_SYSTEM,
    },
    module="socket",
)


SocketKind = IntEnum(
    "SocketKind",
    {
        "SOCK_STREAM": c.SOCK_STREAM,
        "SOCK_DGRAM": c.SOCK_DGRAM,
        "SOCK_RAW": c.SOCK_RAW,
        "SOCK_RDM": c.SOCK_RDM,
        "SOCK_SEQPACKET": c.SOCK_SEQPACKET,
    },
    module="socket",
)
MsgFlag = IntFlag(
    "MsgFlag",
    {
        "MSG_OOB": c.MSG_OOB,
        "MSG_PEEK": c.MSG_PEEK,
        "MSG_DONTROUTE": c.MSG_DONTROUTE,
        "MSG_EOR": c.MSG_EOR,
        "MSG_TRUNC": c.MSG_TRUNC,
        "MSG_CTRUNC": c.MSG_CTRUNC,
        "MSG_WAITALL": c.MSG_WAITALL,
        "MSG_DONTWAIT": c.MSG_DONTWAIT,
        "MSG_EOF": c.MSG_EOF,
    },
    module="socket",
)

CONSTANTS: Final[dict[str, int]] = {
    **AddressFamily.__members__,
    **SocketKind.__members__,
    **MsgFlag.__members__,
    **{
        name: getattr(c, name)
        for name in (
            "PF_SYSTEM",
            "SYSPROTO_CONTROL",
            "SHUT_RD",
            "SHUT_WR",
            "SHUT_RDWR",
            "SOMAXCONN",
            "SOL_SOCKET",
            "SO_DEBUG",
            "SO_ACCEPTCONN",
            "SO_REUSEADDR",
            "SO_KEEPALIVE",
            "SO_DONTROUTE",
            "SO_BROADCAST",
            "SO_USELOOPBACK",
            "SO_LINGER",
            "SO_OOBINLINE",
            "SO_REUSEPORT",
            "SO_SNDBUF",
            "SO_RCVBUF",
            "SO_SNDLOWAT",
            "SO_RCVLOWAT",
            "SO_SNDTIMEO",
            "SO_RCVTIMEO",
            "SO_ERROR",
            "SO_TYPE",
        )
    },
    "SOL_IP": 0,
    "SOL_TCP": 6,
    "SOL_UDP": 17,
    "IPPROTO_IP": 0,
    "IPPROTO_ICMP": 1,
    "IPPROTO_TCP": 6,
    "IPPROTO_UDP": 17,
    "IPPROTO_IPV6": 41,
    "IPPROTO_RAW": 255,
    "SCM_RIGHTS": c.SCM_RIGHTS,
    "SCM_CREDS": 3,
    "LOCAL_PEERCRED": c.LOCAL_PEERCRED,
}

UNMODELLED_DOMAINS: Final = {
    2: "AF_INET",
    17: "AF_ROUTE",
    27: "PF_NDRV",
    29: "PF_KEY",
    30: "AF_INET6",
    39: "AF_MULTIPATH",
    40: "AF_VSOCK",
}
"""XNU's other domains. A number that is none of its domains gets the kernel's EAFNOSUPPORT."""

UNMODELLED_FUNCTIONS: Final = (
    "create_connection",
    "create_server",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "gethostname",
    "getnameinfo",
    "getprotobyname",
    "getservbyname",
    "getservbyport",
    "has_dualstack_ipv6",
    "if_nameindex",
    "sethostname",
)
"""Functions of CPython's module that ask for a network."""
