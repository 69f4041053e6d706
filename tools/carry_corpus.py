"""Carry the recordings of a conformance folder into the repository, one compact file a release.

    python tools/carry_corpus.py ../shared/conformance tests/conformance/corpus

The conformance folder holds, for each release, a folder `xnu-*`, and for Mach IPC `mach`, with
`scenarios/*.jsonl` (written by hand, by topic) and `random.jsonl.xz` (generated). Out of each comes
`RELEASE.jsonl.xz`, for Mach IPC with its kind before the release: a merged header, then the
hand-written scenarios topic by topic, then the generated ones, every line as it stands in its
source. `README.md` beside them is written, too; its counts are those of the files.

The same sources give the same files, byte for byte (with the same liblzma: another version may
pack the same lines otherwise). Nothing is written unless every source is sound.
"""

import argparse
import json
import lzma
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kextlab.scenario.recording import FORMAT, Header, Recording, RecordingError, find, read

README = """\
# What the real kernel code answered

These are recordings: calls, and beside each call what XNU's own kernel control, kernel event and
Mach IPC code answered when it ran in user space, one freshly booted kernel a scenario. Only the
calls of the hand-written scenarios were written by people. The files hold answers, no XNU code.

| file | release | hand-written | generated | scenarios | steps |
|---|---|--:|--:|--:|--:|
{rows}

Each file is `kextlab-recording/1`, xz-compressed JSON Lines: a header, then one scenario a line
(hand-written by topic, then generated). `kextlab/scenario/recording.py` reads it,
and `kextlab replay tests/conformance/corpus` replays all of it.

`mach_ipc-` holds Mach IPC (ports, rights, messages), of macOS 11; the others kernel controls and
events.

The two releases differ for three reasons only: 1. xnu-11417 asks `setup` first whenever it is
present, xnu-7195 only for unit 0 of a dynamic control; 2. a datagram control socket of xnu-11417
counts bytes only, of xnu-7195 mbuf memory as well; 3. a list send without a `send` callback panics
in xnu-11417 and answers ENOTSUP in xnu-7195. xnu-7195.141.2 is macOS 11. In xnu-11417.101.15
(macOS 15) kern_control.c and the space rule of its socket buffers are of that version, the rest is
that of xnu-7195.141.2.

Everything in this folder, this page included, is written by

    python tools/carry_corpus.py ../shared/conformance tests/conformance/corpus

and `tests/conformance/test_corpus.py` proves it. Do not edit it by hand.
"""
ROW = "| `{name}` | {release} | {hand:,} | {generated:,} | {scenarios:,} | {steps:,} |"


@dataclass(frozen=True, slots=True)
class Corpus:
    """All recordings of one release. `lines` are JSON, the merged header first."""

    name: str  # of the file
    header: Header
    hand: int  # hand-written scenarios; the others are generated
    lines: list[str]

    def packed(self) -> bytes:
        """Return the file, xz-compressed as `xz -9e` on one thread does it."""
        text = "".join(line + "\n" for line in self.lines)
        return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def merge(folder: Path) -> Corpus:
    """Merge the recordings of one release in `folder`.

    RecordingError: a recording is missing or unsound, is not of the kind and release of the others,
    or holds a scenario name a second time.
    """
    hand = [read(path) for path in find([folder / "scenarios"])]
    recordings = [*hand, read(folder / "random.jsonl.xz")]
    kind, release = recordings[0].header.kind, recordings[0].header.release
    names: set[str] = set()
    lines: list[str] = []
    for recording in recordings:
        if (recording.header.kind, recording.header.release) != (kind, release):
            raise RecordingError(f"{recording.path}: not a {kind} of {release} as the others are")
        for scenario in recording.scenarios:
            if scenario.name in names:
                raise RecordingError(f"{recording.path}: a second scenario {scenario.name!r}")
            names.add(scenario.name)
        lines += _scenario_lines(recording)
    steps = sum(recording.header.steps for recording in recordings)
    header = Header(FORMAT, kind, release, len(lines), steps)
    first = json.dumps(asdict(header), separators=(",", ":"))
    by_hand = sum(recording.header.scenarios for recording in hand)
    name = release if kind == "pf_system" else f"{kind}-{release}"
    return Corpus(f"{name}.jsonl.xz", header, by_hand, [first, *lines])


def _scenario_lines(recording: Recording) -> list[str]:
    """Return the lines of a recording after its header, untouched."""
    data = recording.path.read_bytes()
    if recording.path.suffix == ".xz":
        data = lzma.decompress(data)
    return data.decode().split("\n")[1:-1]


def readme(corpora: list[Corpus]) -> str:
    """Return the page that stands beside the files."""
    rows = [
        ROW.format(
            name=corpus.name,
            release=corpus.header.release,
            hand=corpus.hand,
            generated=corpus.header.scenarios - corpus.hand,
            scenarios=corpus.header.scenarios,
            steps=corpus.header.steps,
        )
        for corpus in corpora
    ]
    return README.format(rows="\n".join(rows))


def carry(source: Path, target: Path) -> list[Corpus]:
    """Write the corpora of the conformance folder `source` and their README into `target`.

    RecordingError: as `merge`; or `source` has no folder `xnu-*`. Nothing is written then.
    """
    folders = sorted(path for path in source.glob("xnu-*") if path.is_dir())
    folders += [path for path in [source / "mach"] if folders and path.is_dir()]
    if not folders:
        raise RecordingError(f"{source}: no folder xnu-* in it")
    corpora = [merge(folder) for folder in folders]
    files = {corpus.name: corpus.packed() for corpus in corpora}
    files["README.md"] = readme(corpora).encode()
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (target / name).write_bytes(content)
    return corpora


def main() -> int:
    """Run the command line; return 0, or 2 when a source is not sound."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the conformance folder")
    parser.add_argument("target", type=Path, help="the folder to write to")
    options = parser.parse_args()
    try:
        corpora = carry(options.source, options.target)
    except RecordingError as why:
        print(f"carry_corpus: {why}", file=sys.stderr)
        return 2
    for corpus in corpora:
        size = (options.target / corpus.name).stat().st_size
        counts = f"{corpus.header.scenarios} scenarios, {corpus.header.steps} steps"
        print(f"{corpus.name}: {counts}, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
