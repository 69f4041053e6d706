"""What a kext is linked against: versions that work, the order of loading, loops."""

from dataclasses import replace

import pytest

from kextlab.abi.oskext import kOSKextReturnDependencies
from kextlab.kernel.kext import KextRefusal
from kextlab.kernel.kext_info import KextInfo
from kextlab.kernel.kext_libraries import kernel_components, load_order, warnings
from kextlab.kernel.kext_version import parse_version

KERNEL = kernel_components("xnu-11417.101.15")


def kext(name: str, version: str = "1.0", compatible: str = "1.0", **libraries: str) -> KextInfo:
    """A kext ``org.NAME``; of its libraries ``kpi_x`` is com.apple.kpi.x, others are kexts."""
    named = {
        f"com.apple.{key.replace('_', '.')}" if key.startswith("k") else f"org.{key}": value
        for key, value in libraries.items()
    }
    return KextInfo(
        f"org.{name}", version, parse_version(version), parse_version(compatible), named
    )


def order(info: KextInfo, *bundles: KextInfo) -> list[str]:
    return [one.identifier[4:] for one in load_order(info, KERNEL, bundles)]


def refusal(info: KextInfo, *bundles: KextInfo, loaded: tuple[KextInfo, ...] = ()) -> str:
    there = KERNEL | {one.identifier: one for one in loaded}
    with pytest.raises(KextRefusal) as caught:
        load_order(info, there, bundles)
    assert caught.value.result == kOSKextReturnDependencies
    (reason,) = caught.value.reasons
    return reason


# -- what the kernel provides ------------------------------------------------------------------


@pytest.mark.parametrize(("release", "version"), [("xnu-11417.101.15", "24.4.0"),
                                                  ("xnu-7195.141.2", "20.6.0")])  # fmt: skip
def test_the_kernels_parts_have_the_version_of_its_darwin(release: str, version: str) -> None:
    parts = kernel_components(release)
    assert {part.version_text for part in parts.values()} == {version}
    assert [name for name in parts if name.startswith("com.apple.kpi.")] == [
        f"com.apple.kpi.{name}"
        for name in ("bsd", "dsep", "iokit", "libkern", "mach", "private", "unsupported")
    ]


@pytest.mark.parametrize("version", ["8.0.0b1", "8.0.0", "9.2.2", "20.6", "24.4.0"])
def test_a_kpi_works_from_8_0_0b1_to_the_kernels_version(version: str) -> None:
    assert order(kext("a", kpi_bsd=version)) == ["a"]


@pytest.mark.parametrize("version", ["8.0.0a255", "7.9.9", "24.4.1", "25.0"])
def test_a_kpi_of_another_version_is_refused_with_the_range(version: str) -> None:
    assert refusal(kext("a", kpi_bsd=version)) == (
        f"org.a is linked against com.apple.kpi.bsd {version}; loaded is 24.4.0, which works with "
        "8.0b1 to 24.4.0"
    )


def test_a_kpi_there_is_not_is_refused_with_those_there_are() -> None:
    assert "which is not found (the kernel provides com.apple.kpi.bsd," in refusal(
        kext("a", kpi_net="8.0")
    )


def test_the_kernel_itself_may_not_be_named() -> None:
    assert "org.a is linked against com.apple.kernel, which is not permitted" in refusal(
        kext("a", kernel="24.4.0")
    )


def test_libraries_of_32_bits_are_gone() -> None:
    assert "which is not found (it was for 32-bit kexts;" in refusal(kext("a", kernel_bsd="6.9.9"))


def test_private_kpi_is_apples() -> None:
    assert "com.apple.kpi.private, which only kexts of Apple's" in refusal(
        kext("a", kpi_private="8.0")
    )
    apple = KextInfo("com.apple.a", "1.0", 1, libraries={"com.apple.kpi.private": "8.0"})
    assert load_order(apple, KERNEL) == [apple]


def test_a_kext_without_kpis_is_warned_of() -> None:
    (warning,) = warnings([kext("a"), kext("b", kpi_bsd="8.0")], KERNEL)
    assert warning.startswith("org.a names no com.apple.kpi.* in OSBundleLibraries")


def test_a_kext_needed_at_start_is_warned_of_one_that_is_not() -> None:
    early = replace(kext("a", kpi_bsd="8.0", b="1.0", c="1.0"), required="Root")
    b, c = kext("b", kpi_bsd="8.0"), replace(kext("c", kpi_bsd="8.0"), required="Safe Boot")
    (warning,) = warnings([c, early], KERNEL | {"org.b": b})
    assert warning.startswith("org.a has OSBundleRequired 'Root', and org.b, which it needs, has")


# -- other kexts -------------------------------------------------------------------------------


def test_what_a_kext_needs_comes_first() -> None:
    a = kext("a", b="1.0", kpi_bsd="8.0", c="1.0")
    b, c, d = kext("b", d="1.0"), kext("c", d="1.0"), kext("d", kpi_bsd="8.0")
    assert order(a, c, b, d, kext("unused")) == ["d", "b", "c", "a"]


def test_what_is_loaded_is_not_loaded_again() -> None:
    a, b = kext("a", b="1.0"), kext("b")
    assert load_order(a, KERNEL | {"org.b": b}, [kext("b", "2.0")]) == [a]


def test_a_loaded_kext_of_a_wrong_version_is_refused_though_a_bundle_would_do() -> None:
    a = kext("a", b="2.0")
    reason = refusal(a, kext("b", "2.0"), loaded=(kext("b"),))
    assert reason == "org.a is linked against org.b 2.0; loaded is 1.0, which works with 1.0 to 1.0"


def test_of_several_bundles_the_latest_that_will_do_is_taken() -> None:
    bundles = [kext("b", "1.5"), kext("b", "2.0"), kext("b", "3.0", "2.5"), kext("b", "1.0")]
    assert load_order(kext("a", b="1.0"), KERNEL, bundles)[0] is bundles[1]


def test_one_kext_cannot_be_there_in_two_versions() -> None:
    a = kext("a", b="1.0", c="1.0")
    reason = refusal(a, kext("b", "2.0"), kext("c", b="3.0"), kext("b", "3.0", "3.0"))
    assert reason == (
        "org.c is linked against org.b 3.0; there is 2.0, which works with 1.0 to 2.0"
    )


def test_a_missing_kext_is_named_with_who_needs_it() -> None:
    assert refusal(kext("a", b="1.0"), kext("b", c="2.0")) == (
        "org.b is linked against org.c 2.0, which is not found"
    )


def test_nobody_links_against_a_kext_without_a_compatible_version() -> None:
    assert refusal(kext("a", b="1.0"), kext("b", compatible="")).endswith(
        "there is 1.0, which has no OSBundleCompatibleVersion"
    )


def test_a_library_of_no_version_is_refused() -> None:
    assert refusal(kext("a", b="one")) == "org.a is linked against org.b one, which is no version"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_loop_is_told_around(length: int) -> None:
    names = "abc"[:length]
    kexts = [kext(name, **{names[(i + 1) % length]: "1.0"}) for i, name in enumerate(names)]
    around = " -> ".join(f"org.{name}" for name in (*names, names[0]))
    assert refusal(*kexts) == f"its libraries form a loop: {around}"


def test_a_loop_further_down_is_told_without_the_way_to_it() -> None:
    reason = refusal(kext("a", b="1.0"), kext("b", c="1.0"), kext("c", b="1.0"))
    assert reason == "its libraries form a loop: org.b -> org.c -> org.b"


def test_a_chain_of_five_thousand_resolves() -> None:
    chain = [kext(f"n{i}", **{f"n{i + 1}": "1.0"}) for i in range(5000)]
    assert order(*chain, kext("n5000")) == [f"n{i}" for i in range(5000, -1, -1)]
