"""The names of the recorded scenarios, without reading what they hold."""

import lzma
import re
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent / "conformance/corpus"
NAME = re.compile(r'^\{"name": ?"([^"]+)"', re.M)


@cache
def recorded() -> tuple[set[str], ...]:
    """The names recorded of each release; those of Mach IPC, recorded of one, count for both."""
    names = {
        path.name: set(NAME.findall(lzma.decompress(path.read_bytes()).decode()))
        for path in sorted(CORPUS.glob("*.xz"))
    }
    mach = set().union(*(found for name, found in names.items() if name.startswith("mach_ipc-")))
    return tuple(found | mach for name, found in names.items() if not name.startswith("mach_ipc-"))
