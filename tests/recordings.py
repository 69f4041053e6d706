"""The names of the recorded scenarios, without reading what they hold."""

import lzma
import re
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent / "conformance/corpus"
NAME = re.compile(r'^\{"name": ?"([^"]+)"', re.M)


@cache
def recorded() -> tuple[set[str], ...]:
    """The names in each corpus."""
    paths = sorted(CORPUS.glob("*.xz"))
    return tuple(set(NAME.findall(lzma.decompress(path.read_bytes()).decode())) for path in paths)
