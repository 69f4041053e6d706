"""Where code and documents name a recording in [brackets], there is one."""

import re
from fnmatch import filter as matching
from pathlib import Path

from tests.recordings import corpora

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"(?<!ignore)\[([a-z][a-z0-9]*-[a-z0-9*-]+|r[0-9]{5})(?: and others)?\]")


def test_every_recording_a_docstring_or_document_names_exists() -> None:
    names = {scenario.name for recording in corpora() for scenario in recording.scenarios}
    folders = [ROOT / "kextlab" / name for name in ("bsd", "kernel", "kexts", "sched", "trace")]
    files = [path for folder in (*folders, ROOT / "docs") for path in folder.rglob("*.[pm][yd]")]
    named = {(path.name, name) for path in files for name in NAME.findall(path.read_text())}
    assert len(named) > 15
    assert [(file, name) for file, name in sorted(named) if not matching(names, name)] == []
