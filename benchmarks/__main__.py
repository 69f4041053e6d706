"""``python -m benchmarks NAME``: run one benchmark, or all of them.

Exit codes: 0 it was run, whatever the figures say; 1 what was run did not do its work; 2 it could
not be run as asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from benchmarks import (
    check,
    connect,
    echo,
    imports,
    live,
    mach,
    replay,
    report,
    rewind,
    scrub,
    trace,
)
from benchmarks.browser import NeedsChromium
from benchmarks.measure import BenchmarkError, Result

BENCHMARKS: dict[str, Callable[[bool], Result]] = {
    "echo": echo.run,
    "connect": connect.run,
    "trace": trace.run,
    "import": imports.run,
    "replay": replay.run,
    "rewind": rewind.run,
    "scrub": scrub.run,
    "live": live.run,
    "check": check.run,
    "mach_msg": mach.run_messages,
    "shared_page": mach.run_shared_page,
    "names": mach.run_names,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        print(f"benchmarks: {message}", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what ``arguments`` ask for; the exit code."""
    parser = _Parser(prog="python -m benchmarks", description="Speed, beside a peer in one run.")
    names = ", ".join(BENCHMARKS)
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of {names}")
    parser.add_argument("--all", action="store_true", help="run every benchmark")
    parser.add_argument("--json", action="store_true", help="print one object on one line for each")
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    parser.add_argument(
        "--write", action="store_true", help="with --all: rewrite the README's table"
    )
    asked = parser.parse_args(arguments)
    if asked.all == (asked.name is not None):
        parser.error(f"name one benchmark ({names}), or pass --all")
    if not asked.all and asked.name not in BENCHMARKS:
        parser.error(f"there is no benchmark {asked.name!r}: there are {names}")
    if asked.write and (asked.quick or not asked.all):
        parser.error("--write takes the figures of a whole run: --all --write, without --quick")
    where = report.machine()
    results = []
    try:
        for name in BENCHMARKS if asked.all else [asked.name]:
            try:
                result = BENCHMARKS[name](asked.quick)
            except NeedsChromium as error:
                print(f"benchmarks: {name} {error}", file=sys.stderr)
                if not asked.all:
                    return 2
                continue
            results.append(result)
            if asked.json:
                print(json.dumps(report.to_json(result, where), ensure_ascii=False), flush=True)
            else:
                report.print_text(result, where)
        if asked.write:
            report.write(results, where)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
