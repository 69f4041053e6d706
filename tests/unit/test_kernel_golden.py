"""What a trace and a snapshot hold, field by field: notebooks, figures and graders read them.

``golden/trace.txt`` is one story with every callback, option and event, as the kernel recorded it,
and the snapshots on the way. After a change that is meant, read the difference, then write it anew:
``python tests/unit/test_kernel_golden.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kextlab.kernel.snapshot import snapshot
from kextlab.scenario.operations import Machine
from kextlab.trace.log import Trace

GOLDEN = Path(__file__).parent / "golden/trace.txt"
ALL: dict[str, Any] = {
    "setup": {"unit": 5, "unitinfo": 7},
    "bind": {},
    "connect": {"unitinfo": 9},
    "disconnect": {},
    "send": {"echo": True, "enqflags": ["CTL_DATA_EOR"]},
    "send_list": {},
    "rcvd": {},
    "setopt": {},
    "getopt": {"data": "0102"},
}
EVENT = {"vendor": 1, "class": 2, "subclass": 3, "code": 4, "vectors": ["0a"]}
STORY: list[dict[str, Any]] = [
    {
        "op": "ctl_register",
        "ref": "k",
        "name": "com.example.k",
        "flags": ["CTL_FLAG_REG_EXTENDED", "CTL_FLAG_REG_SETUP"],
        "sendsize": 4096,
        "recvsize": 16384,
        "callbacks": ALL,
    },
    {
        "op": "ctl_register",
        "ref": "s",
        "name": "com.example.s",
        "id": 40,
        "unit": 3,
        "flags": ["CTL_FLAG_REG_ID_UNIT", "CTL_FLAG_REG_SOCK_STREAM", "CTL_FLAG_REG_CRIT"],
        "callbacks": {"connect": {}, "disconnect": {}, "send": {}},
    },
    {"op": "socket", "fd": "a", "type": "SOCK_DGRAM", "proto": 2},
    {"op": "socket", "fd": "b", "type": "SOCK_STREAM", "proto": 2},
    {"op": "socket", "fd": "e", "type": "SOCK_RAW", "proto": 1},
    {"op": "ioctl", "fd": "a", "cmd": "CTLIOCGINFO", "name": "com.example.k"},
    {"op": "bind", "fd": "a", "id": 1, "unit": 0},
    {"op": "connect", "fd": "a", "id": 1, "unit": 0},
    {"op": "connect", "fd": "b", "id": 40, "unit": 3},
    {"op": "ioctl", "fd": "e", "cmd": "SIOCSKEVFILT", "vendor": 1, "class": 2, "subclass": 0},
    {"op": "send", "fd": "a", "data": {"len": 300, "seq": 0}},
    {"op": "sosend_list", "fd": "a", "datas": ["01", "0203"]},
    {"op": "setsockopt", "fd": "a", "level": 2, "name": 5, "data": "aabb"},
    {"op": "getsockopt", "fd": "a", "level": 2, "name": 6, "len": 8},
    {"op": "ctl_enqueuedata", "ref": "k", "unit": 5, "data": "c0c1", "flags": []},
    {"op": "ctl_enqueuembuf", "ref": "k", "unit": 5, "data": {"len": 500, "seq": 1}},
    {"op": "ctl_enqueuembuf_list", "ref": "k", "unit": 5, "datas": ["d0", "d1d2"]},
    {"op": "ctl_enqueuedata", "ref": "s", "unit": 3, "data": "c0", "flags": ["CTL_DATA_CRIT"]},
    {"op": "kev_msg_post", **EVENT},
    {
        "op": "setsockopt",
        "fd": "a",
        "level": "SOL_SOCKET",
        "name": "SO_RCVLOWAT",
        "data": "02000000",
    },
    {"op": "recv", "fd": "a", "len": 200},
    {"op": "recv", "fd": "a", "len": 200, "flags": ["MSG_PEEK"]},
    {"op": "recvmsg", "fd": "a", "len": 4000},
    {"op": "recv", "fd": "e", "len": 100},
    {"op": "poll", "fd": "a"},
    {"op": "dup", "fd": "a", "newfd": "a2"},
    {"op": "shutdown", "fd": "b", "how": "SHUT_RDWR"},
    {"op": "ctl_deregister", "ref": "k"},
    {"op": "close", "fd": "a"},
    {"op": "close", "fd": "a2"},
    {"op": "close", "fd": "b"},
    {"op": "ctl_deregister", "ref": "s"},
    {"op": "ctl_deregister", "ref": "s"},
]


def told() -> str:
    """The story: each step, the entries it left, and after some of them the whole state."""
    machine = Machine("xnu-11417.101.15")
    trace: Trace = machine.mac.trace
    lines: list[str] = []
    seen = 0
    for step in STORY:
        lines.append(f"# {step['op']} {step.get('fd', step.get('ref', ''))}")
        machine.run(step)
        entries = list(trace.entries(seen))
        seen += len(entries)
        lines += [repr(entry) for entry in entries]
        if step["op"] in ("connect", "kev_msg_post", "close"):
            state = snapshot(machine.mac.system)
            lines += [f"= {name} {fields!r}" for name, fields in sorted(state.items())]
    return "\n".join(lines) + "\n"


def test_the_trace_and_the_snapshots_of_a_story_are_as_written() -> None:
    assert told().splitlines() == GOLDEN.read_text().splitlines()


def test_the_story_meets_every_callback() -> None:
    text = GOLDEN.read_text()
    for name in ALL:
        assert f"'{name}', " in text


if __name__ == "__main__":
    GOLDEN.write_text(told())
