"""The data of kernel controls: the reference table, cookies, out-pointers."""

import pytest

from kextlab.bsd.kctl import Kctl, KernCtlReg, Out, RefTable, Text, number, plain
from kextlab.bsd.kctl_usrreqs import is_null
from kextlab.sched import KernelPanic

# -- the reference table -----------------------------------------------------------------------


def kctl() -> Kctl:
    return Kctl(1, KernCtlReg("a"), Text("kext"))


def test_a_reference_is_its_generation_and_its_slot() -> None:
    table = RefTable()
    first, second, third = kctl(), kctl(), kctl()
    assert table.make(first)
    assert table.make(second)
    table.delete(first)
    assert table.make(third)
    assert [first.kctlref, second.kctlref, third.kctlref] == [0x10001, 0x20002, 0x30001]
    assert (len(table.slots), table.count) == (16, 2)


def test_the_table_grows_by_16_slots() -> None:
    table = RefTable()
    for _ in range(17):
        table.make(kctl())
    assert len(table.slots) == 32


def test_a_table_of_65520_slots_grows_no_more_and_then_panics() -> None:
    table = RefTable()
    table.slots = [kctl()] * 65519 + [None]
    table.count = 65520
    last = kctl()
    assert not table.make(last)
    assert last.kctlref & 0xFFFF == 65520
    with pytest.raises(KernelPanic, match=r"^kctl_make_ref no space in table$"):
        table.make(kctl())


@pytest.mark.parametrize("ref", [0, 17, 0x10003 + 15, 0xFFFFFFFF])
def test_a_reference_outside_the_table_is_none(ref: int) -> None:
    table = RefTable()
    table.make(kctl())
    assert table.get(ref) is None


@pytest.mark.parametrize(("ref", "panics"), [(0x90001, False), (0x10002, True)])
def test_a_wrong_reference_faults_only_where_the_slot_is_empty(ref: int, panics: bool) -> None:
    table = RefTable()
    table.make(kctl())
    if panics:
        with pytest.raises(KernelPanic, match="kernel page fault"):
            table.get(ref)
    else:
        assert table.get(ref) is None


# -- cookies, out-pointers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "shown"), [(None, None), (7, 7), ("a", "a"), (b"a", b"a"), (Out(), "<Out>")]
)
def test_a_cookie_is_shown_as_a_plain_value(cookie: object, shown: object) -> None:
    assert plain(cookie) == shown


@pytest.mark.parametrize(
    ("cookie", "null"), [(None, True), (0, True), (1, False), ("", False), (Out(), False)]
)
def test_only_none_and_0_are_null(cookie: object, null: bool) -> None:
    assert is_null(cookie) is null


def test_an_out_pointer_shows_what_it_holds_and_no_client_has_number_0() -> None:
    assert repr(Out(5)) == "Out(5)"
    assert number(None) == 0
