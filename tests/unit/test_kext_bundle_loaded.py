"""Loading bundles into a running kernel: what must be there, what stays, how kextstat tells it."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.abi import oskext
from kextlab.abi.errno import EBUSY, ENOMEM
from kextlab.kernel.kext import Kext, KextError, KextRefusal
from kextlab.kernel.kext_loaded import FIRST_ADDRESS, KextStat, LoadedKexts, kextstat_lines
from kextlab.kexts import EchoKext
from kextlab.kexts.bundle import bundle_of
from tests.unit.kext_bundles import PLAIN, bundle


@pytest.fixture
def mac() -> Kernel:
    return Kernel()


def refused(mac: Kernel, kext: object) -> KextRefusal:
    """Loading is refused, and changes nothing."""
    before = mac.kexts(), mac.kextstat(), mac.snapshot(), len(mac.trace)
    with pytest.raises(KextRefusal) as caught:
        mac.load(kext)  # type: ignore[type-var, arg-type]
    assert (mac.kexts(), mac.kextstat(), mac.snapshot(), len(mac.trace)) == before
    return caught.value


def test_a_fresh_mac_lists_what_its_kernel_provides(mac: Kernel) -> None:
    assert [(row.index, row.identifier, row.refs, row.address) for row in mac.kextstat()] == [
        (index, f"com.apple.kpi.{name}", 0, 0)
        for index, name in enumerate(
            ("bsd", "dsep", "iokit", "libkern", "mach", "private", "unsupported"), 1
        )
    ]


def test_a_bundle_is_loaded_and_its_control_answers(mac: Kernel, tmp_path: Path) -> None:
    kext = mac.load(bundle_of(tmp_path / "Echo.kext", EchoKext, "1.0.0d1"))
    row = mac.kextstat()[-1]
    assert row == KextStat(8, 0, FIRST_ADDRESS, 0x1000, "org.kextlab.echo", "1.0.0d1", (4, 1))
    socket = mac.spawn("client").socket
    client = socket.socket(socket.PF_SYSTEM, socket.SOCK_DGRAM, socket.SYSPROTO_CONTROL)
    client.connect("org.kextlab.echo")
    client.send(b"hello")
    assert client.recv(8) == b"hello"
    with pytest.raises(KextError, match="EBUSY") as caught:  # while it has a client
        mac.unload(kext)
    assert caught.value.errno == EBUSY
    assert mac.kextstat()[-1] == row
    client.close()
    mac.unload(kext)
    assert len(mac.kextstat()) == 7


def test_a_class_is_listed_as_a_bundle_is(mac: Kernel) -> None:
    mac.load(Kext)
    assert mac.kextstat()[-1] == KextStat(8, 0, FIRST_ADDRESS, 0x4000, "Kext", "1.0.0", ())


def test_what_a_kext_is_linked_against_must_be_loaded(mac: Kernel, tmp_path: Path) -> None:
    user, library = bundle(tmp_path, "user", libraries={"org.lib": "1.0"}), bundle(tmp_path, "lib")
    error = refused(mac, user)
    assert error.result == oskext.kOSKextReturnDependencies
    assert error.reasons == ("org.user is linked against org.lib 1.0, which is not found",)
    loaded = mac.load(library)
    mac.load(user)
    assert [(row.index, row.refs, row.linked_against) for row in mac.kextstat()[7:]] == [
        (8, 1, (1,)),
        (9, 0, (8, 1)),
    ]
    with pytest.raises(KextRefusal, match=r"org\.lib: org\.user is linked against it") as caught:
        mac.unload(loaded)
    assert caught.value.result == oskext.kOSKextReturnInUse
    mac.unload(mac.kexts()[1])
    mac.unload(loaded)


def test_load_tags_and_addresses_are_not_used_again(mac: Kernel, tmp_path: Path) -> None:
    one, other = bundle(tmp_path, "a"), bundle(tmp_path, "b")
    mac.unload(mac.load(one))
    mac.load(other)
    assert (mac.kextstat()[-1].index, mac.kextstat()[-1].address) == (9, FIRST_ADDRESS + 0x1000)
    mac.reboot()
    mac.load(other)
    assert (mac.kextstat()[-1].index, mac.kextstat()[-1].address) == (8, FIRST_ADDRESS)


def test_a_kext_that_does_not_start_is_not_listed(mac: Kernel, tmp_path: Path) -> None:
    source = PLAIN.replace("pass", f"def start(self):\n        return {ENOMEM}")
    with pytest.raises(KextError, match=r"org\.a: its start routine returned ENOMEM"):
        mac.load(bundle(tmp_path, "a", source))
    assert len(mac.kextstat()) == 7


def test_one_identifier_is_loaded_once(mac: Kernel, tmp_path: Path) -> None:
    mac.load(bundle(tmp_path, "a"))
    with pytest.raises(KextError, match=r"org\.a is loaded already"):
        mac.load(bundle(tmp_path, "b", CFBundleIdentifier="org.a"))


class Other(Kext):
    bundle_id = "com.apple.kpi.bsd"


def test_no_kext_takes_the_name_of_a_part_of_the_kernel(mac: Kernel) -> None:
    error = refused(mac, Other)
    assert error.result == oskext.kOSKextReturnLoadedVersionDiffers
    assert "version 24.4.0 is loaded already" in str(error)


def test_a_class_without_a_version_is_refused(mac: Kernel) -> None:
    error = refused(mac, type("Kext1", (Kext,), {"version": "one"}))
    assert error.reasons[0].startswith("CFBundleVersion is 'one'; a version is up to")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 1),
        ("compatible_version", None),
        ("libraries", ["com.apple.kpi.bsd"]),
        ("libraries", {"com.apple.kpi.bsd": 8}),
    ],
)
def test_a_class_that_says_what_is_of_another_type_is_a_type_error(
    mac: Kernel, name: str, value: object
) -> None:
    with pytest.raises(TypeError, match=f"{name} = .*, expected a "):
        mac.load(type("Odd", (Kext,), {name: value}))
    assert mac.kexts() == []


# -- the list by itself ------------------------------------------------------------------------


def test_a_kext_that_is_loaded_already_is_told_from_another(tmp_path: Path) -> None:
    linkage = LoadedKexts("xnu-11417.101.15")
    info = bundle(tmp_path, "a").info
    assert linkage.check(info) is True
    linkage.add(info)
    assert linkage.check(info) is False
    (tmp_path / "other").mkdir()
    for version, source, said in (("1.1", PLAIN, "version 1.0"), ("1.0", PLAIN + "#", "another e")):
        other = bundle(tmp_path / "other", f"a{version}{len(source)}", source, version,
                       CFBundleIdentifier="org.a").info  # fmt: skip
        with pytest.raises(KextRefusal) as caught:
            linkage.check(other)
        assert caught.value.result == oskext.kOSKextReturnLoadedVersionDiffers
        assert caught.value.reasons[0].startswith(said)


def test_all_who_are_linked_against_a_kext_are_named(tmp_path: Path) -> None:
    linkage = LoadedKexts("xnu-11417.101.15")
    for name in ("a", "b"):
        linkage.add(bundle(tmp_path, name).info)
    with pytest.raises(KextRefusal, match=r"org\.a, org\.b are linked against it"):
        linkage.may_unload("com.apple.kpi.bsd")


ROWS = [
    KextStat(1, 1, 0, 0, "com.apple.kpi.bsd", "24.4.0", ()),
    KextStat(8, 1, FIRST_ADDRESS, 0x4000, "org.a", "1.0", (1,)),
    KextStat(9, 0, FIRST_ADDRESS + 0x4000, 0x1000, "org.b", "1.0d1", (8, 1)),
]
HEAD = "Index Refs Address            Size       Wired      Name (Version) <Linked Against>"
BSD = "    1    1 0                  0          0          com.apple.kpi.bsd (24.4.0)"
A = "    8    1 0xffffff7f80a00000 0x4000     0x4000     org.a (1.0)"
B = "    9    0 0xffffff7f80a04000 0x1000     0x1000     org.b (1.0d1)"


def test_kextstats_table() -> None:
    assert kextstat_lines(ROWS) == [HEAD, BSD, f"{A} <1>", f"{B} <8 1>"]
    assert kextstat_lines(ROWS, header=False, kernel=False) == [A, f"{B} <8>"]
    assert kextstat_lines(ROWS, header=False, identifier="org.a") == [f"{A} <1>"]
    assert kextstat_lines(ROWS, header=False, kernel=False, identifier="com.apple.kpi.bsd") == [BSD]


# -- whatever is done --------------------------------------------------------------------------

LETTERS = "abcd"
NEEDS = {"a": "", "b": "a", "c": "ab", "d": "c"}


def letter(name: str) -> type[Kext]:
    """The kext ``org.NAME``, linked against com.apple.kpi.bsd and what ``NEEDS`` says."""
    libraries = {"com.apple.kpi.bsd": "8.0"} | {f"org.{one}": "1.0" for one in NEEDS[name]}
    keys = {"bundle_id": f"org.{name}", "compatible_version": "1.0", "libraries": libraries}
    return type(name.upper(), (Kext,), keys)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(LETTERS)), max_size=20))
def test_kexts_are_there_as_long_as_others_need_them(steps: list[tuple[bool, str]]) -> None:
    mac = Kernel()
    there: dict[str, Kext] = {}
    tag, address = 8, FIRST_ADDRESS
    for load, name in steps:
        rows = mac.kextstat()
        if load:
            right = name not in there and set(NEEDS[name]) <= there.keys()
            with nullcontext() if right else pytest.raises(KextError):
                there[name] = mac.load(letter(name))
                assert (mac.kextstat()[-1].index, mac.kextstat()[-1].address) == (tag, address)
                tag, address = tag + 1, address + Kext.size
        elif name in there:
            right = not any(name in NEEDS[other] for other in there)
            with nullcontext() if right else pytest.raises(KextRefusal, match="linked against it"):
                mac.unload(there[name])
                del there[name]
        else:
            right = False
        if not right:
            assert mac.kextstat() == rows
        rows = mac.kextstat()
        by_tag = {row.index: row for row in rows}
        assert [row.identifier for row in rows[7:]] == [f"org.{one}" for one in there]
        for row in rows:
            assert row.refs == sum(row.index in other.linked_against for other in rows)
            assert all(by_tag[one].index < row.index for one in row.linked_against)
