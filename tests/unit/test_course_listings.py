"""The C listings of notebooks are checked by a compiler, and the headers say what the lab says."""

import os
import re
import shutil

import pytest

from kextlab import abi
from kextlab.abi import mach
from kextlab.course.listings import INCLUDE, checked, compiler, listings

HEADER = (INCLUDE / "kextlab.h").read_text()
OURS = {name: value for one in (mach, abi) for name, value in vars(one).items()}
NUMBERS = dict(re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)(?:UL)?$", HEADER, re.M))


@pytest.fixture
def cc() -> str:
    found = compiler()
    if found is None and os.environ.get("KEXTLAB_DEMAND_CC") == "1":
        pytest.fail("no C compiler, and KEXTLAB_DEMAND_CC asks for one: install gcc")
    if found is None:
        pytest.skip("no C compiler: the listings are not checked here")
    return found


def fence(source: str) -> str:
    return f"```c\n{source}\n```\n"


def test_a_listing_that_is_c_is_silent(cc: str) -> None:
    text = fence("static int two(void)\n{\n    return 2;\n}") + fence("if (two() == 2)\n    two();")
    assert [one.statements for one in listings(text)] == [False, True]
    assert checked(listings(text), cc) == ""


@pytest.mark.parametrize(
    ("source", "statements"),
    [
        ("int fd = -1;\nif (fd == -1)\n    err(1, NULL);", True),
        ("client->unit = 1;", True),
        ("close(fd);", True),
        ("static int unit = 1;", False),
        ("errno_t ctl_deregister(kern_ctl_ref);", False),
        ("static void\nkeep(int unit)\n{\n    close(unit);\n}", False),
        ("struct client {\n    int unit;\n};", False),
    ],
)
def test_statements_are_told_from_declarations(source: str, statements: bool) -> None:
    assert [one.statements for one in listings(fence(source))] == [statements]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("int fd = socket(PF_SYSTEM, SOCK_DGRAM)", "listing 1"),
        ("static uint33_t unit;", "uint33_t"),
        ("static int f(void) { return CTLIOCGINGO; }", "CTLIOCGINGO"),
        ("static ctl_connect_func c = 3;", "listing 1"),
    ],
)
def test_a_mistake_in_a_listing_is_named_with_its_listing(cc: str, source: str, said: str) -> None:
    assert said in checked(listings(fence(source)), cc)


def test_what_a_comment_declares_is_there_and_not_shown(cc: str) -> None:
    text = "<!-- c:\nstruct client { uint32_t unit; };\n-->\n" + fence("static struct client one;")
    assert checked(listings(text), cc) == ""


def test_sizes_are_those_of_the_lab(cc: str) -> None:
    sizes = {
        "mach_msg_header_t": mach.SIZEOF_HEADER,
        "mach_msg_body_t": mach.SIZEOF_BODY,
        "mach_msg_port_descriptor_t": mach.SIZEOF_PORT_DESCRIPTOR,
        "mach_msg_trailer_t": mach.SIZEOF_TRAILER,
    }
    source = "\n".join(
        f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");'
        for name, size in {
            "sockaddr_ctl": len(abi.SockaddrCtl(1, 1).pack()),
            "ctl_info": len(abi.CtlInfo.named("x").pack()),
        }.items()
    )
    source += "".join(
        f'\n_Static_assert(sizeof({name}) == {size}, "{name}");' for name, size in sizes.items()
    )
    assert checked(listings(fence(source)), cc) == ""


@pytest.mark.parametrize("name", sorted(set(NUMBERS) & set(OURS)))
def test_a_number_of_the_headers_is_the_labs(name: str) -> None:
    assert int(NUMBERS[name], 0) == int(OURS[name])


def test_the_headers_share_enough_numbers_with_the_lab() -> None:
    assert len(set(NUMBERS) & set(dir(abi))) >= 20
    assert len(set(NUMBERS) & set(vars(mach))) >= 30


def test_without_a_compiler_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert compiler() is None
