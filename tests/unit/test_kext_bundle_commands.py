"""`kextlab kextload`, `kextunload`, `kextstat` and `kext new`: a simulated Mac in a folder."""

import json
import os
import plistlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kextlab.abi import oskext
from kextlab.cli import app
from kextlab.kexts import mac_folder
from kextlab.kexts.bundle import Bundle
from kextlab.kexts.mac_folder import MacFolder, MacFolderError
from tests.unit.kext_bundles import PLAIN, bundle

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout, result.stderr

    return run


def names(run: Run) -> list[str]:
    """The loaded kexts, by kextstat."""
    code, output, _ = run("kextstat", "-k", "-l")
    assert code == 0
    return [line.split()[5] for line in output.splitlines() if line.strip()]


# -- loading -----------------------------------------------------------------------------------


def test_a_new_bundle_is_loaded_listed_and_unloaded(run: Run) -> None:
    code, output, _ = run("kext", "new", "Echo.kext", "--version", "1.0.0d2")
    assert (code, output) == (0, "wrote Echo.kext: org.kextlab.echo (1.0.0d2)\n")
    code, output, errors = run("kextload", "Echo.kext")
    assert (code, errors) == (0, "")
    assert output.splitlines()[0] == (
        "org.kextlab.echo (1.0.0d2) loaded: index 8, 4096 bytes at 0xffffff7f80a00000"
    )
    code, output, _ = run("kextstat", "-b", "org.kextlab.echo")
    assert output.splitlines()[1] == (
        "    8    0 0xffffff7f80a00000 0x1000     0x1000     org.kextlab.echo (1.0.0d2) <4 1>"
    )
    assert run("kextunload", "Echo.kext") == (0, "org.kextlab.echo unloaded\n", "")
    assert names(run) == []


def test_what_apple_silicon_asks_for_is_said_when_a_kext_was_loaded(
    run: Run, tmp_path: Path
) -> None:
    bundle(tmp_path, "a")
    _, output, _ = run("kextload", "a.kext")
    for said in ("Apple silicon", "recoveryOS, Reduced Security", "approval", "restart"):
        assert said in output
    code, output, _ = run("kextload", "a.kext")
    assert (code, output) == (0, "a.kext is loaded already; nothing to do\n")


def test_a_kextstat_of_a_fresh_mac_writes_nothing(run: Run, tmp_path: Path) -> None:
    code, output, _ = run("kextstat")
    assert code == 0
    assert len(output.splitlines()) == 8
    assert list(tmp_path.iterdir()) == []


def test_what_a_bundle_needs_is_loaded_first(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "top", libraries={"org.mid": "1.0"})
    library = tmp_path / "library"
    library.mkdir()
    bundle(library, "mid", libraries={"org.low": "1.0"})
    bundle(library, "low")
    code, output, _ = run("kextload", "-r", "library", "top.kext")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()[:3]] == [
        "org.low",
        "org.mid",
        "org.top",
    ]
    assert names(run) == ["org.low", "org.mid", "org.top"]
    assert run("kextstat", "-l", "-b", "org.mid")[1].endswith("org.mid (1.0) <8 1>\n")


def test_bundles_that_are_named_together_are_found_for_each_other(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "user", libraries={"org.lib": "1.0"})
    bundle(tmp_path, "lib")
    code, output, _ = run("kextload", "user.kext", "lib.kext")
    assert code == 0
    assert "lib.kext is loaded already" in output
    assert names(run) == ["org.lib", "org.user"]


def test_what_is_seldom_meant_is_said_and_does_not_refuse(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "lib")
    libraries = {"org.lib": "1.0"}
    bundle(tmp_path, "user", OSBundleLibraries=libraries, OSBundleRequired="Root")
    code, _, errors = run("kextload", "-r", ".", "user.kext")
    assert code == 0
    assert errors.splitlines() == [
        "warning: org.user names no com.apple.kpi.* in OSBundleLibraries; on a Mac it may not link",
        "warning: org.user has OSBundleRequired 'Root', and org.lib, which it needs, has none: it "
        "may be missing while the Mac starts",
    ]


# -- refusals ----------------------------------------------------------------------------------


def test_a_missing_library_is_refused_and_unreadable_bundles_are_named(
    run: Run, tmp_path: Path
) -> None:
    bundle(tmp_path, "user", libraries={"org.lib": "1.0"})
    (tmp_path / "broken.kext").mkdir()
    code, output, errors = run("kextload", "-r", ".", "user.kext")
    assert (code, output) == (71, "")
    assert errors.splitlines() == [
        "user.kext failed to load - (libkern/kext) dependency resolution failure.",
        "  org.user is linked against org.lib 1.0, which is not found",
        "  not considered: broken.kext: Contents/Info.plist: No such file or directory "
        "(kOSKextReturnValidation)",
        "  kOSKextReturnDependencies, 0xdc00800e",
    ]
    assert names(run) == []


def test_a_loop_is_refused(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a", libraries={"org.b": "1.0"})
    bundle(tmp_path, "b", libraries={"org.a": "1.0"})
    code, _, errors = run("kextload", "a.kext", "b.kext")
    assert code == 71
    assert "loop: org.a -> org.b -> org.a" in errors
    assert "loop: org.b -> org.a -> org.b" in errors


def test_a_wrong_identifier_is_refused(run: Run, tmp_path: Path) -> None:
    source = PLAIN.replace("pass", "bundle_id = 'org.mine'")
    bundle(tmp_path, "a", source)
    code, _, errors = run("kextload", "a.kext")
    assert code == 71
    assert "calls itself 'org.mine', but CFBundleIdentifier is 'org.a'" in errors


def test_an_info_plist_that_is_wrong_is_refused_key_by_key(run: Run, tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    (made.path / "Contents/Info.plist").write_bytes(plistlib.dumps({"CFBundleIdentifier": "a"}))
    code, _, errors = run("kextload", "a.kext")
    assert code == 71
    assert errors.splitlines() == [
        "a.kext failed to load - (libkern/kext) validation failure (plist/executable).",
        "  Contents/Info.plist: CFBundleVersion is missing",
        "  Contents/Info.plist: CFBundlePackageType is missing",
        "  kOSKextReturnValidation, 0xdc00800c",
    ]


def test_a_refused_bundle_does_not_keep_others_out(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    code, _, errors = run("kextload", "nothing.kext", "a.kext")
    assert code == 71
    assert "nothing.kext failed to load - (libkern/kext) not found." in errors
    assert names(run) == ["org.a"]


def test_another_version_of_a_loaded_kext_is_refused(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    assert run("kextload", "a.kext")[0] == 0
    (tmp_path / "new").mkdir()
    bundle(tmp_path / "new", "a", version="2.0")
    code, _, errors = run("kextload", "new/a.kext")
    assert code == 71
    assert "version 1.0 is loaded already; unload it first" in errors


@pytest.mark.skipif(os.name == "nt", reason="files of Windows have no owner and mode")
def test_files_that_others_may_write_are_refused(run: Run, tmp_path: Path) -> None:
    made = bundle(tmp_path, "lib")
    bundle(tmp_path, "user", libraries={"org.lib": "1.0"})
    (made.path / "Contents/MacOS/lib").chmod(0o775)
    for command in (["lib.kext"], ["user.kext", "-r", "."]):
        code, _, errors = run("kextload", *command)
        assert code == 71
        assert "authentication failure (file ownership/permissions)." in errors
        assert "  Contents/MacOS/lib is of " in errors
    assert names(run) == []


def test_owners_count_literally_if_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(Bundle, "authenticate", lambda _, literally: asked.append(literally))
    bundle(tmp_path, "a")
    run("kextload", "a.kext")
    run("kextload", "--literal-owner", "a.kext")
    assert asked == [False, True]


def test_only_root_loads_and_unloads(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    code, _, errors = run("kextload", "--uid", "501", "a.kext")
    assert code == 77
    assert "a.kext failed to load - (libkern/kext) not privileged." in errors
    bundle(tmp_path, "user", libraries={"org.a": "1.0"}, OSBundleAllowUserLoad=True)
    code, _, errors = run("kextload", "--uid", "501", "user.kext", "-r", ".")
    assert (code, errors.splitlines()[1][:12]) == (77, "  uid 501 as")
    bundle(tmp_path, "free", OSBundleAllowUserLoad=True)
    assert run("kextload", "--uid", "501", "free.kext")[0] == 0
    assert run("kextunload", "--uid", "501", "-b", "org.free")[0] == 77
    assert names(run) == ["org.free"]


def test_what_is_linked_against_stays(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "user", libraries={"org.lib": "1.0"})
    bundle(tmp_path, "lib")
    run("kextload", "lib.kext", "user.kext")
    code, _, errors = run("kextunload", "lib.kext")
    assert code == 71
    assert errors.splitlines() == [
        "lib.kext failed to unload - (libkern/kext) kext is in use or retained (cannot unload).",
        "  org.user is linked against it",
        "  kOSKextReturnInUse, 0xdc008018",
    ]
    assert run("kextunload", "-b", "org.user", "-b", "org.lib")[0] == 0


@pytest.mark.parametrize(
    ("identifier", "said"),
    [("org.nothing", "no such kext is loaded"), ("com.apple.kpi.bsd", "it is a part of the kern")],
)
def test_what_cannot_be_unloaded(run: Run, identifier: str, said: str) -> None:
    code, _, errors = run("kextunload", "-b", identifier)
    assert code == 71
    assert said in errors


@pytest.mark.parametrize(("routine", "verb"), [("start", "load"), ("stop", "unload")])
def test_a_routine_that_refuses(run: Run, tmp_path: Path, routine: str, verb: str) -> None:
    bundle(tmp_path, "a", PLAIN.replace("pass", f"def {routine}(self):\n        return 16"))
    run("kextload", "a.kext")
    before = names(run)
    code, _, errors = run(f"kext{verb}", "a.kext")
    assert code == 71
    assert "kext (kmod) start/stop routine failed." in errors
    assert f"org.a: its {routine} routine returned EBUSY (16)" in errors
    assert names(run) == before == (["org.a"] if routine == "stop" else [])


@pytest.mark.parametrize(("routine", "verb"), [("start", "load"), ("stop", "unload")])
def test_a_panic_restarts_the_mac(run: Run, tmp_path: Path, routine: str, verb: str) -> None:
    bundle(tmp_path, "a", PLAIN.replace("pass", f"def {routine}(self):\n        1 / 0"))
    bundle(tmp_path, "b")
    run("kextload", "b.kext")
    if routine == "stop":
        run("kextload", "a.kext")
    code, _, errors = run(f"kext{verb}", "a.kext")
    assert code == 71
    assert errors.startswith("panic: ")
    assert "ZeroDivisionError" in errors
    assert "The simulated Mac restarted; no kext is loaded any more." in errors
    assert names(run) == []
    assert MacFolder(tmp_path / ".kextlab-mac").state.boots == 2
    assert list((tmp_path / ".kextlab-mac").glob("StagedExtensions/*")) == []


def test_a_kext_without_code_is_not_modelled(run: Run, tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    plist = made.path / "Contents/Info.plist"
    keys = {key: value for key, value in made.properties.items() if key != "CFBundleExecutable"}
    plist.write_bytes(plistlib.dumps(keys))
    code, _, errors = run("kextload", "a.kext")
    assert code == 2
    assert "a kext without an executable is not modelled" in errors
    assert names(run) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kextload", "-r", "nowhere", "a.kext"], "nowhere is no folder"),
        (["kextunload"], "name a bundle, or an identifier with -b"),
        (["kext", "new", "a.kext"], "a.kext is there already"),
        (["kext", "new", "b.txt"], "the folder's name does not end in .kext"),
        (["kext", "new", "b.kext", "--version", "x"], "CFBundleVersion is 'x'; a version is"),
        (["kext", "new", "b.kext", "--from", "none.py"], "No such file"),
        (["kext", "new", "nowhere/b.kext"], "No such file"),
    ],
)
def test_what_cannot_be_done_as_asked_exits_2(
    run: Run, tmp_path: Path, arguments: list[str], said: str
) -> None:
    bundle(tmp_path, "a")
    code, _, errors = run(*arguments)
    assert code == 2
    assert said in errors
    assert len(errors.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.kext"]


def test_a_bundle_is_made_of_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLAIN.replace("pass", "bundle_id = 'org.mine'"))
    assert run("kext", "new", "M.kext", "--from", "mine.py", "--binary")[0] == 0
    assert (tmp_path / "M.kext/Contents/Info.plist").read_bytes().startswith(b"bplist00")
    assert run("kextload", "M.kext")[0] == 0
    assert names(run) == ["org.mine"]


# -- docs/kext-bundles.md ----------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs/kext-bundles.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_run(run: Run) -> None:
    commands = re.findall(r"^    kextlab (.*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    assert [run(*command.split())[0] for command in commands] == [0, 0, 0, 0]


def test_the_python_of_the_page_runs(run: Run) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "kext-bundles.md", "exec"), {})


def test_the_page_lists_every_result() -> None:
    results = {name for name in vars(oskext) if name.startswith("kOSKextReturn")}
    assert set(re.findall(r"kOSKextReturn\w+", PAGE)) == results


# -- the folder --------------------------------------------------------------------------------


def test_a_loaded_kext_is_the_copy_that_was_made_of_it(run: Run, tmp_path: Path) -> None:
    made = bundle(tmp_path, "a")
    run("kextload", "a.kext")
    (made.path / "Contents/MacOS/a").write_text(PLAIN + "# changed\n")
    code, _, errors = run("kextload", "a.kext")
    assert code == 71
    assert "another executable of 1.0 is loaded already" in errors
    assert run("kextunload", "a.kext")[0] == 0
    assert run("kextload", "a.kext")[0] == 0


def test_load_tags_and_addresses_go_on_over_commands(run: Run, tmp_path: Path) -> None:
    for name in "abc":
        bundle(tmp_path, name)
    run("kextload", "a.kext", "b.kext")
    run("kextunload", "a.kext")
    run("kextload", "c.kext")
    rows = MacFolder(".kextlab-mac").kextstat()[7:]
    assert [(row.index, row.address & 0xFFFF) for row in rows] == [(9, 0x1000), (10, 0x2000)]


def test_two_folders_are_two_macs(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    assert run("kextload", "--mac", "one", "a.kext")[0] == 0
    assert MacFolder("one").kextstat()[-1].identifier == "org.a"
    assert len(MacFolder("two").kextstat()) == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "no simulated Mac: its format is not 'kextlab-mac/1'"),
        ({"release": 15}, "release is 15, expected a string"),
        ({"release": "xnu-1"}, "release 'xnu-1' is not modelled"),
        ({"boots": 0}, "boots is 0, expected a number from 1"),
        ({"next_tag": 8}, "next_tag is 8, expected a number from 9"),
        ({"next_address": True}, "next_address is True, expected a number"),
        ({"loaded": {}}, "loaded is no list of objects"),
        ({"loaded": [3]}, "loaded is no list of objects"),
        ({"loaded": [{}]}, "loaded: identifier is None, expected a string"),
        ({"loaded": [{"identifier": "a", "tag": 7}]}, "tag is 7, expected a number from 8"),
    ],
)
def test_a_state_of_wrong_types_is_told_with_its_key(
    run: Run, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    bundle(tmp_path, "a")
    run("kextload", "a.kext")
    path = tmp_path / ".kextlab-mac/mac.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = path.read_text()
    for command in (["kextstat"], ["kextload", "a.kext"], ["kextunload", "-b", "org.a"]):
        code, _, errors = run(*command)
        assert code == 2
        assert said in errors
        assert len(errors.splitlines()) == 1
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "\udc80"])
def test_a_state_that_is_no_json_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "mac.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(MacFolderError, match=r"mac\.json"):
        MacFolder(tmp_path).kextstat()


def test_a_copy_that_is_gone_or_another_is_told(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    other = bundle(tmp_path, "b")
    run("kextload", "a.kext")
    copy = tmp_path / ".kextlab-mac/StagedExtensions/8.kext"
    copy.rename(tmp_path / "gone")
    code, _, errors = run("kextstat")
    assert (code, "8.kext: the bundle is not there" in errors) == (2, True)
    other.path.rename(copy)
    assert "8.kext is org.b, not org.a; delete" in run("kextstat")[2]


def test_a_state_in_which_a_library_is_missing_is_told(run: Run, tmp_path: Path) -> None:
    bundle(tmp_path, "user", libraries={"org.lib": "1.0"})
    bundle(tmp_path, "lib")
    run("kextload", "-r", ".", "user.kext")
    path = tmp_path / ".kextlab-mac/mac.json"
    state = json.loads(path.read_text())
    first, second = state["loaded"]
    path.write_text(json.dumps(state | {"loaded": [second]}))
    code, _, errors = run("kextstat")
    assert (code, "org.lib 1.0, which is not found" in errors) == (2, True)
    (tmp_path / ".kextlab-mac/StagedExtensions/9.kext").rename(tmp_path / "9.kext")
    copy = tmp_path / ".kextlab-mac/StagedExtensions/8.kext"
    shutil.copytree(copy, copy.with_name("9.kext"))
    path.write_text(json.dumps(state | {"loaded": [first, second | {"identifier": "org.lib"}]}))
    assert "org.lib is loaded twice; delete" in run("kextstat")[2]


def test_a_kext_that_starts_only_once_is_told(run: Run, tmp_path: Path) -> None:
    source = "from pathlib import Path\n" + PLAIN.replace(
        "pass", "def start(self):\n        return 5 if Path('flag').exists() else 0"
    )
    bundle(tmp_path, "a", source)
    bundle(tmp_path, "b")
    run("kextload", "a.kext")
    (tmp_path / "flag").touch()
    code, _, errors = run("kextload", "b.kext")
    assert code == 2
    assert "org.a was loaded before and now is not: org.a: its start routine returned EIO" in errors


def test_a_folder_that_cannot_be_written_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(tmp_path, "a")
    (tmp_path / "file").touch()
    code, _, errors = run("kextload", "--mac", "file", "a.kext")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert errors.startswith("kextlab kextload: cannot ")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mac_folder.os, "replace", full)
    code, _, errors = run("kextload", "--mac", "mac", "a.kext")
    assert (code, errors) == (2, "kextlab kextload: cannot write mac: No space left on device\n")
    assert list((tmp_path / "mac").rglob("*")) == [tmp_path / "mac/StagedExtensions"]
    bundle(tmp_path, "b", PLAIN.replace("pass", "def start(self):\n        1 / 0"))
    code, _, errors = run("kextload", "--mac", "mac", "b.kext")
    assert (code, errors) == (2, "kextlab kextload: cannot write mac: No space left on device\n")
