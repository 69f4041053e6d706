"""Kext bundles as folders: what is read, what is refused and how it is said, what is written."""

import os
import plistlib
import re
from pathlib import Path
from typing import Any

import pytest

from kextlab import Kernel
from kextlab.abi import oskext
from kextlab.kernel.kext import Kext, KextRefusal
from kextlab.kernel.kext_info import MAX_LENGTH, REQUIRED_AT, KextInfo, info_from, not_authentic
from kextlab.kexts import EchoKext
from kextlab.kexts import bundle as module
from kextlab.kexts.bundle import Bundle, bundle_of, bundles_in, new_properties, write_bundle
from kextlab.kexts.strings import read_strings, write_strings
from kextlab.scenario.scenario import Scenario
from tests.unit.kext_bundles import PLAIN, bundle


def properties(**keys: Any) -> dict[str, Any]:
    """A right Info.plist with other values; None leaves a key out."""
    changed = new_properties("org.a", "A") | keys
    return {key: value for key, value in changed.items() if value is not None}


def reasons(**keys: Any) -> list[str]:
    with pytest.raises(KextRefusal) as caught:
        info_from(properties(**keys))
    assert caught.value.result == oskext.kOSKextReturnValidation
    return list(caught.value.reasons)


# -- Info.plist --------------------------------------------------------------------------------


def test_the_info_is_what_the_keys_say() -> None:
    info = info_from(
        properties(
            OSBundleCompatibleVersion="1.0.0d1", OSBundleRequired="Root", OSBundleAllowUserLoad=True
        )
    )
    assert info == KextInfo(
        "org.a",
        "1.0.0d1",
        1_00_00_1_001,
        1_00_00_1_001,
        {"com.apple.kpi.bsd": "8.0.0", "com.apple.kpi.libkern": "8.0.0"},
        "A",
        "Root",
        True,
    )


@pytest.mark.parametrize("key", ["CFBundleIdentifier", "CFBundleVersion", "CFBundlePackageType"])
def test_a_key_that_must_be_there(key: str) -> None:
    assert reasons(**{key: None}) == [f"{key} is missing"]
    assert reasons(**{key: 7}) == [f"{key} is 7, expected a string"]
    long = "x" * (MAX_LENGTH + 1)
    for value in ("", long, "a\nb"):
        (reason,) = reasons(**{key: value})
        assert reason.endswith("expected 1 to 63 printable characters")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("CFBundleVersion", "one", "'one'; a version is up to 4, 2 and 2 digits"),
        ("CFBundlePackageType", "APPL", "'APPL', expected 'KEXT'"),
        ("CFBundleSignature", b"????", r"b'????', expected a string"),
        ("CFBundleDevelopmentRegion", ["English"], "['English'], expected a string"),
        ("CFBundleInfoDictionaryVersion", 6.0, "6.0, expected a string"),
        ("CFBundleExecutable", "../A", "'../A', expected the name of a file in MacOS"),
        ("CFBundleExecutable", "", "'', expected the name of a file in MacOS"),
        ("CFBundleExecutable", "A\0", r"'A\x00', expected the name of a file in MacOS"),
        ("OSBundleRequired", "root", f"'root', expected one of {', '.join(REQUIRED_AT)}"),
        ("OSBundleCompatibleVersion", "x", "'x'; a version is up to"),
        ("OSBundleCompatibleVersion", "1.0.0", "1.0.0, later than CFBundleVersion 1.0.0d1"),
        ("OSBundleAllowUserLoad", "yes", "'yes', expected true or false"),
        ("OSKernelResource", True, "true, which only parts of the kernel itself may say"),
        ("OSBundleIsInterface", 1, "1, expected true or false"),
        ("IOKitPersonalities", [], "[], expected a dictionary"),
        ("OSBundleLibraries", [], "[], expected a dictionary"),
        ("OSBundleLibraries", None, "missing: what the executable is linked against"),
        ("OSBundleLibraries", {}, "missing: what the executable is linked against"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(key: str, value: object, said: str) -> None:
    keys = {key: value}
    (reason,) = reasons(**keys)
    assert reason.startswith(f"{key} is {said}")


def test_a_library_of_a_wrong_version_is_told_with_its_name() -> None:
    (reason,) = reasons(OSBundleLibraries={"com.apple.kpi.bsd": 8, "com.apple.kpi.mach": "8.0"})
    assert reason.startswith("OSBundleLibraries: 'com.apple.kpi.bsd' is 8; a version is")


def test_everything_that_is_wrong_is_told() -> None:
    assert len(reasons(CFBundleVersion=None, OSBundleRequired=3, CFBundleName={})) == 3


def test_a_long_value_is_shortened() -> None:
    (reason,) = reasons(CFBundleName=["x" * 100])
    assert len(reason) < 100


@pytest.mark.parametrize("value", [[], "text", None, 3])
def test_an_info_plist_that_is_no_dictionary_is_refused(value: object) -> None:
    with pytest.raises(KextRefusal, match=r"Info\.plist: is .*, expected a dictionary"):
        info_from(value)


def test_a_refusal_says_which_kext_and_the_results_name() -> None:
    with pytest.raises(KextRefusal, match=r"^org\.a: CFBundleName is 1, .* \(kOSKextReturnVal"):
        info_from(properties(CFBundleName=1))
    with pytest.raises(KextRefusal, match=r"^Info\.plist: CFBundleIdentifier is missing"):
        info_from(properties(CFBundleIdentifier=None))


def test_a_kext_without_code_needs_no_libraries() -> None:
    assert info_from(properties(CFBundleExecutable=None, OSBundleLibraries=None)).executable == ""


def test_a_shared_executable_is_not_modelled() -> None:
    with pytest.raises(NotImplementedError, match="CFBundleSharedExecutableIdentifier"):
        info_from(properties(CFBundleSharedExecutableIdentifier="org.b"))


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, binary: bool) -> None:
    strings = {"English": {"CFBundleName": "A"}, "fr": {"CFBundleName": 'É "é"'}}
    wrote = write_bundle(tmp_path / "A.kext", properties(), PLAIN, strings, binary=binary)
    read = Bundle.read(tmp_path / "A.kext")
    assert read == wrote
    assert (read.properties, read.strings) == (properties(), strings)
    assert read.source == PLAIN.encode()
    plist = (tmp_path / "A.kext/Contents/Info.plist").read_bytes()
    assert plist.startswith(b"bplist00" if binary else b"<?xml")


def refusal(path: Path) -> KextRefusal:
    with pytest.raises(KextRefusal) as caught:
        Bundle.read(path)
    return caught.value


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    error = refusal(tmp_path / "A.kext")
    assert error.result == oskext.kOSKextReturnNotFound
    assert error.reasons == ("the bundle is not there",)
    (tmp_path / "B.kext").touch()
    assert refusal(tmp_path / "B.kext").reasons == ("the bundle is a file, expected a folder",)


def test_a_folder_of_another_name_is_no_kext(tmp_path: Path) -> None:
    assert refusal(tmp_path).result == oskext.kOSKextReturnNotAKext


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("Info.plist", None, "Contents/Info.plist: No such file or directory"),
        ("Info.plist", b"", "Contents/Info.plist: is no property list ("),
        ("Info.plist", b"bplist00\0", "Contents/Info.plist: is no property list ("),
        ("Info.plist", b"<plist><dict>", "Contents/Info.plist: is no property list ("),
        ("MacOS/a", None, "Contents/MacOS/a: No such file or directory (CFBundleExecutable names"),
        ("MacOS/a", b"class", "Contents/MacOS/a: is no Python (SyntaxError: "),
        ("MacOS/a", b"\0", "Contents/MacOS/a: is no Python ("),
        ("Resources/en.lproj/InfoPlist.strings", b'"a"="b"',
         "Contents/Resources/en.lproj/InfoPlist.strings: line 1: expected"),
    ],
)  # fmt: skip
def test_a_missing_or_damaged_part_is_told_with_its_file(
    tmp_path: Path, file: str, data: bytes | None, said: str
) -> None:
    made = bundle(tmp_path, "a")
    path = made.path / "Contents" / file
    if data is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (reason,) = refusal(made.path).reasons
    assert reason.startswith(said)
    assert "\n" not in reason


def test_a_wrong_key_is_told_with_file_and_key(tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    plist = made.path / "Contents/Info.plist"
    plist.write_bytes(plistlib.dumps(properties(CFBundleVersion="x", CFBundlePackageType=None)))
    assert [reason.split(" is ")[0] for reason in refusal(made.path).reasons] == [
        "Contents/Info.plist: CFBundleVersion",
        "Contents/Info.plist: CFBundlePackageType",
    ]


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    executable = made.path / "Contents/MacOS/a"
    executable.unlink()
    executable.mkdir()
    assert refusal(made.path).reasons == (
        "Contents/MacOS/a: is no file (CFBundleExecutable names it)",
    )


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bundle(tmp_path, "a")
    monkeypatch.setattr(module, "MAX_FILE", 10)
    assert "is larger than" in refusal(made.path).reasons[0]


# -- the kext in it ----------------------------------------------------------------------------


def test_a_bundle_makes_a_fresh_kext_each_time_with_what_its_info_says(tmp_path: Path) -> None:
    made = bundle(tmp_path, "a", version="1.2.3")
    one, other = made(), made()
    assert type(one) is not type(other)
    assert (one.bundle_id, one.version, one.compatible_version) == ("org.a", "1.2.3", "1.0")
    assert one.libraries == {"com.apple.kpi.bsd": "8.0.0"}
    assert (one.uuid, one.size) == (made.info.uuid, 0x1000)
    assert one.uuid == other.uuid != ""


def test_bundles_of_one_version_are_told_apart_by_their_code(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one, other = bundle(tmp_path, "a"), bundle(tmp_path / "b", "a", PLAIN + "\n")
    assert one.info.uuid != other.info.uuid


HEAD = "from kextlab.kexts import EchoKext, Kext\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HEAD, "expected one class of kext, there is none"),
        (HEAD + "class A(Kext): pass\nclass B(Kext): pass", "there is A, B"),
        ("import kextlab.nothing", "ModuleNotFoundError: No module named 'kextlab.nothing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (HEAD + "class A(Kext):\n def __init__(self): raise OSError", "Contents/MacOS/a: OSError"),
        (HEAD + "class A(Kext): bundle_id = 'org.b'", "the kext calls itself 'org.b', but CFBundl"),
    ],
)
def test_an_executable_that_makes_no_kext_is_refused(
    tmp_path: Path, source: str, said: str
) -> None:
    made = bundle(tmp_path, "a", source)
    with pytest.raises(KextRefusal) as caught:
        made()
    assert caught.value.result == oskext.kOSKextReturnLinkError
    (reason,) = caught.value.reasons
    assert reason.startswith("Contents/MacOS/a: ")
    assert said in reason


@pytest.mark.parametrize(
    "source",
    [
        HEAD + "class A(Kext): pass\nclass Right(A): pass",
        HEAD + "class A(Kext): bundle_id = 'org.b'\nclass Right(Kext): bundle_id = 'org.a'",
        HEAD + "class Right(EchoKext): bundle_id = 'org.a'",
    ],
)
def test_the_class_is_the_one_that_is_meant(tmp_path: Path, source: str) -> None:
    assert type(bundle(tmp_path, "a", source)()).__name__ == "Right"


def test_a_kext_without_code_is_read_but_its_loading_is_not_modelled(tmp_path: Path) -> None:
    made = write_bundle(tmp_path / "A.kext", properties(CFBundleExecutable=None))
    assert (made.source, list(tmp_path.rglob("MacOS"))) == (b"", [])
    with pytest.raises(NotImplementedError, match="without an executable"):
        made()


def test_a_scenario_names_a_bundle_by_its_identifier(tmp_path: Path) -> None:
    mac = Kernel()
    mac.load(bundle(tmp_path, "a"))
    scenario = Scenario.of(mac)
    assert list(scenario.kexts) == ["org.a"]
    assert scenario.run().mac.kextstat() == mac.kextstat()


# -- who owns it -------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name == "nt", reason="files of Windows have no owner and mode")


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "me"),
    [(0, 0, 0o100644, None), (0, 0, 0o40755, 501), (501, 20, 0o644, 501), (0, 20, 0o4755, 501)],
)
def test_files_only_root_could_have_written(uid: int, gid: int, mode: int, me: int | None) -> None:
    assert not_authentic(uid, gid, mode, me) == ""


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "me", "said"),
    [
        (501, 0, 0o644, None, "is of 501:0, mode 0644; expected 0:0 (root:wheel), and"),
        (0, 20, 0o644, None, "is of 0:20, mode 0644; expected 0:0"),
        (0, 0, 0o100664, None, "is of 0:0, mode 0664; expected 0:0"),
        (0, 0, 0o40757, None, "is of 0:0, mode 0757; expected 0:0"),
        (502, 0, 0o644, 501, "is of 502:0, mode 0644; expected owner 501 (you) or 0 (root)"),
        (501, 20, 0o664, 501, "is of 501:20, mode 0664; expected owner 501"),
    ],
)
def test_files_others_could_have_written(
    uid: int, gid: int, mode: int, me: int | None, said: str
) -> None:
    assert not_authentic(uid, gid, mode, me).startswith(said)


@posix
def test_files_of_whoever_runs_the_lab_are_authentic(tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    made.authenticate()
    (made.path / "Contents/MacOS/a").chmod(0o775)
    (made.path / "Contents/gone").symlink_to("nowhere")
    with pytest.raises(KextRefusal) as caught:
        made.authenticate()
    assert caught.value.result == oskext.kOSKextReturnAuthentication
    executable, link = caught.value.reasons
    assert executable.startswith("Contents/MacOS/a is of ")
    assert link == "Contents/gone No such file or directory"


@posix
def test_owners_count_literally_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bundle(tmp_path, "a")
    asked: list[int | None] = []
    monkeypatch.setattr(module, "not_authentic", lambda *seen: asked.append(seen[3]) or "")
    made.authenticate(literally=True)
    made.authenticate()
    assert asked == [None] * 5 + [os.geteuid()] * 5


def test_bundles_of_a_folder_are_found_with_their_plugins(tmp_path: Path) -> None:
    made = bundle(tmp_path, "b")
    (tmp_path / "a.kext").touch()
    plugins = made.path / "Contents/PlugIns"
    (plugins / "deep").mkdir(parents=True)
    inner = bundle(plugins, "a")
    bundle(plugins / "deep", "c")
    assert bundles_in(tmp_path) == [made.path, inner.path]


# -- writing -----------------------------------------------------------------------------------


def test_nothing_is_written_of_a_wrong_bundle(tmp_path: Path) -> None:
    with pytest.raises(KextRefusal, match="CFBundleVersion is missing"):
        write_bundle(tmp_path / "A.kext", properties(CFBundleVersion=None), PLAIN)
    with pytest.raises(KextRefusal, match="is no Python"):
        write_bundle(tmp_path / "A.kext", properties(), "class")
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "A.kext", properties(Other={1, 2}), PLAIN)
    with pytest.raises(ValueError, match=r"language '\.\./x'"):
        write_bundle(tmp_path / "A.kext", properties(), PLAIN, {"../x": {}})
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_is_there_is_kept(tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    with pytest.raises(FileExistsError, match="is there already"):
        bundle(tmp_path, "a", PLAIN + "\n")
    assert Bundle.read(made.path) == made


def test_a_bundle_of_a_class_holds_its_file(tmp_path: Path) -> None:
    made = bundle_of(tmp_path / "Echo.kext", EchoKext, OSBundleRequired="Root")
    assert made.info.identifier == EchoKext.bundle_id
    assert made.info.libraries == EchoKext.libraries
    assert made.info.required == "Root"
    assert b"class EchoKext(Kext):" in made.source
    assert made.strings["English"]["CFBundleName"] == "Echo"


def test_a_bundle_of_a_file_holds_that(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = PLAIN.replace("pass", "bundle_id = 'org.mine'\n    compatible_version = '0.9'")
    file.write_text(text)
    made = bundle_of(tmp_path / "Mine.kext", file, "1.0")
    assert (made.info.identifier, made.source.decode()) == ("org.mine", text)
    assert made.properties["OSBundleCompatibleVersion"] == "0.9"


def test_a_class_of_a_cell_or_without_an_identifier_makes_no_bundle(tmp_path: Path) -> None:
    cell = type("Cell", (Kext,), {"__module__": "a_cell", "bundle_id": "org.cell"})
    with pytest.raises(ValueError, match="Cell stands in no file"):
        bundle_of(tmp_path / "A.kext", cell)
    with pytest.raises(ValueError, match="Kext has no bundle_id"):
        bundle_of(tmp_path / "A.kext", Kext)
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(KextRefusal, match=r"none\.py: expected one class of kext"):
        bundle_of(tmp_path / "A.kext", tmp_path / "none.py")
    assert [path.name for path in tmp_path.iterdir()] == ["none.py"]


# -- InfoPlist.strings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("", {}),
        ('"a" = "b";', {"a": "b"}),
        ('/* c\nd */ a="b"; // e\nc = d;', {"a": "b", "c": "d"}),
        (r'"a" = "\"\\\n\t\U00e9\101\q";', {"a": '"\\\n\t\u00e9Aq'}),
        ('"a"; b = "1";', {"a": "a", "b": "1"}),
        ('a = "x\ny";', {"a": "x\ny"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_strings_are_read(text: str, strings: dict[str, str], encoding: str) -> None:
    assert read_strings(text.encode(encoding)) == strings


@pytest.mark.parametrize("kind", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_strings_may_be_a_property_list(kind: plistlib.PlistFormat) -> None:
    assert read_strings(plistlib.dumps({"a": "b"}, fmt=kind)) == {"a": "b"}
    with pytest.raises(ValueError, match="of something else than strings"):
        read_strings(plistlib.dumps({"a": 1}, fmt=kind))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'a = "b"', 'line 1: expected "key" = "value";'),
        (b'a = "b";\n= c;', "line 2: expected"),
        (b'a = "b";\n\nc = "', "line 3: '\"' begins nothing that ends"),
        (b"a = {", "line 1: '{' begins nothing"),
        (b"\xff", "byte 0 is not utf-8"),
        (b"\xff\xfea", "byte 2 is not utf-16"),
        (b"bplist00", "no property list ("),
    ],
)
def test_strings_that_are_none_are_told_by_line(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        read_strings(data)


def test_what_needs_a_backslash_is_written_with_one() -> None:
    strings = {'"k"': 'a\\b"c\n\t\r\a', "é": ""}
    assert read_strings(write_strings(strings)) == strings


# -- results -----------------------------------------------------------------------------------


def test_results_have_names_words_and_exit_codes() -> None:
    assert oskext.kOSKextReturnInUse == 0xDC008018
    assert oskext.name_of_result(oskext.kOSKextReturnInUse) == "kOSKextReturnInUse"
    assert oskext.words_for_result(oskext.kOSKextReturnNotFound) == "(libkern/kext) not found"
    statuses = [0, oskext.kOSKextReturnNotPrivileged, oskext.kOSKextReturnInUse]
    assert [oskext.exit_status(result) for result in statuses] == [0, 77, 71]
