"""The recordings, each read once in a run; and their names, without reading what they hold."""

import gc
import lzma
import re
from functools import cache
from pathlib import Path

from kextlab.scenario.recording import Recording, read

CORPUS = Path(__file__).parent / "conformance/corpus"
NAME = re.compile(r'^\{"name": ?"([^"]+)"', re.M)


@cache
def corpus(name: str) -> Recording:
    """The recording of that name, ``xnu-7195.141.2``; nobody may change it. It is large and stays:
    the collector of cycles looks neither at it nor for others meanwhile."""
    was = gc.isenabled()
    gc.disable()
    try:
        found = read(CORPUS / f"{name}.jsonl.xz")
        gc.freeze()
    finally:
        if was:
            gc.enable()
    return found


def corpora() -> list[Recording]:
    """All of them."""
    return [corpus(path.name.removesuffix(".jsonl.xz")) for path in sorted(CORPUS.glob("*.xz"))]


@cache
def recorded() -> tuple[set[str], ...]:
    """The names recorded of each release; those of Mach IPC, recorded of one, count for both."""
    names = {
        path.name: set(NAME.findall(lzma.decompress(path.read_bytes()).decode()))
        for path in sorted(CORPUS.glob("*.xz"))
    }
    mach = set().union(*(found for name, found in names.items() if name.startswith("mach_ipc-")))
    return tuple(found | mach for name, found in names.items() if not name.startswith("mach_ipc-"))
