"""Whatever an Info.plist holds: a bundle that is right, or a refusal that names what is wrong."""

import plistlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.kernel.kext import KextRefusal
from kextlab.kernel.kext_info import BOOLEAN_KEYS, TEXT_KEYS, info_from
from kextlab.kexts.bundle import Bundle, new_properties
from kextlab.kexts.mac_folder import MacFolder
from tests.unit.kext_bundles import bundle

KEYS = (
    *TEXT_KEYS, *BOOLEAN_KEYS, "CFBundleIdentifier", "CFBundleVersion", "CFBundlePackageType",
    "IOKitPersonalities", "OSBundleLibraries",
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "KEXT", "A", "..", "1.0", "1.0.0d1", "9.9", "Root", "org.a", "com.apple.kpi.bsd", "8.0.0"]
) | st.text("aé.1/ \u202e\U0001f600", max_size=70)
PLAIN_VALUES = TEXTS | st.integers(-5, 5) | st.booleans() | st.binary(max_size=4)
VALUES = (
    PLAIN_VALUES
    | st.lists(PLAIN_VALUES, max_size=2)
    | st.dictionaries(TEXTS, PLAIN_VALUES, max_size=3)
)
CHANGES = st.dictionaries(st.sampled_from(KEYS), VALUES | st.none(), max_size=3)
"""Keys with other values, or None to leave the key out."""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    properties = new_properties("org.a", "a") | changes
    return {key: value for key, value in properties.items() if value is not None}


def one_line(refusal: KextRefusal) -> bool:
    """Every reason is one line of bearable length that names a key."""
    return all(
        "\n" not in reason and len(reason) < 400 and any(key in reason for key in KEYS)
        for reason in refusal.reasons
    )


@given(CHANGES)
def test_a_refused_dictionary_is_told_by_its_keys(changes: dict[str, Any]) -> None:
    properties = changed(changes)
    before = repr(properties)
    refusal = None
    try:
        info = info_from(properties)
    except KextRefusal as error:
        refusal = error
    assert repr(properties) == before
    if refusal is None:
        assert info.version > 0
        assert info.compatible <= info.version
        assert info.libraries or not info.executable
    else:
        assert refusal.reasons
        assert one_line(refusal)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def loads_or_changes_nothing(made: Bundle, mac: MacFolder) -> None:
    """Loading the bundle goes well, or neither Mac is another than before."""
    before = contents(mac.folder)
    kernel = Kernel()
    seen = kernel.kextstat(), kernel.snapshot(), len(kernel.trace)
    refusal: Exception | None = None
    try:
        kernel.load(Bundle.read(made.path))
        rows = mac.load(made.path).rows
    except (KextRefusal, NotImplementedError) as error:
        refusal = error
    if refusal is None:
        assert rows[-1].identifier == kernel.kextstat()[-1].identifier
        mac.unload(rows[-1].identifier)
    else:
        assert "\n" not in str(refusal)
        assert (kernel.kextstat(), kernel.snapshot(), len(kernel.trace)) == seen
        assert contents(mac.folder) == before


SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(changes=CHANGES, binary=st.booleans())
@SLOW
def test_a_bundle_of_other_keys_is_loaded_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], binary: bool
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    made = bundle(folder, "a")
    kind = plistlib.FMT_BINARY if binary else plistlib.FMT_XML
    plist = plistlib.dumps(changed(changes), fmt=kind)
    (made.path / "Contents/Info.plist").write_bytes(plist)
    loads_or_changes_nothing(made, MacFolder(folder / "mac"))


@given(
    binary=st.booleans(),
    cuts=st.lists(
        st.tuples(st.integers(0, 700), st.integers(0, 6), st.binary(max_size=6)),
        min_size=1,
        max_size=3,
    ),
)
@example(binary=True, cuts=[(8, 700, b"")])
@SLOW
def test_a_damaged_info_plist_is_loaded_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, binary: bool, cuts: list[tuple[int, int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    made = bundle(folder, "a")
    kind = plistlib.FMT_BINARY if binary else plistlib.FMT_XML
    data = plistlib.dumps(dict(made.properties), fmt=kind)
    for place, length, put in cuts:
        data = data[:place] + put + data[place + length :]
    (made.path / "Contents/Info.plist").write_bytes(data)
    loads_or_changes_nothing(made, MacFolder(folder / "mac"))
