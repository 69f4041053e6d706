"""What a benchmark says: one JSON object, a table for a person, the table of the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.measure import BenchmarkError, Result, Series, Table, Target

README = Path(__file__).with_name("README.md")
BEGIN = "<!-- figures: written by `make bench`, do not edit -->"
END = "<!-- end of figures -->"
GARBAGE = "garbage collected before every turn, collection on during it"


def machine() -> dict[str, str]:
    """What the figures hold for. Names no host and no user."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "load": load,
        "date": date.today().isoformat(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


# -- JSON --------------------------------------------------------------------------------------


def to_json(result: Result, where: dict[str, str]) -> dict[str, Any]:
    """The object of ``--json``: plain values, times in ``unit``."""
    return {
        "name": result.name,
        "operation": result.operation,
        "unit": result.unit,
        "figure": result.ours.median / result.seconds,
        "ours": _series(result, result.ours),
        "peers": {
            peer.name: _series(result, peer) | {"ratio": result.ratios[peer.name]}
            for peer in result.peers
        },
        "ratio": result.ratios,
        "ratio_is": result.ratio_is,
        "absent": result.absent,
        "targets": [
            {
                "text": target.text,
                "value": target.value,
                "least": target.least,
                "most": target.most,
                "met": target.met,
            }
            for target in result.targets
        ],
        "tables": {
            table.name: [dict(zip(table.headings, row, strict=True)) for row in table.rows]
            for table in result.tables
        },
        "method": f"{result.method}; {GARBAGE}",
        "machine": where,
    }


def _series(result: Result, series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "figure": series.median / result.seconds,
        "minimum": series.minimum / result.seconds,
        "per_second": 1 / series.median,
        "turns": len(series.samples),
    }


# -- rows, for both kinds of table ---------------------------------------------------------------


def _number(value: str | float) -> str:
    """Three figures, or whole with separators from 100 on."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def headings(result: Result) -> tuple[str, ...]:
    """Of the table of subjects."""
    return ("", f"median {result.unit}", f"minimum {result.unit}", "per second", "ratio")


def subjects(result: Result) -> Iterator[tuple[str, ...]]:
    """Ours, each peer, each peer that is absent."""
    for series in (result.ours, *result.peers):
        ratio = result.ratios.get(series.name)
        yield (
            series.name,
            _number(series.median / result.seconds),
            _number(series.minimum / result.seconds),
            _number(1 / series.median),
            "" if ratio is None else f"{ratio:.2f}",
        )
    for name, why in result.absent.items():
        yield name, "absent", why, "", ""


def verdict(target: Target) -> str:
    """Met or not, in words, with what was measured."""
    if target.value is None:
        return f"not measured: {target.text}"
    word = "met" if target.met else "NOT met"
    return f"{word}: {target.text} (measured {target.value:.2f})"


# -- for a person ------------------------------------------------------------------------------


def print_text(result: Result, where: dict[str, str]) -> None:
    """Tables and verdicts on the terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"[bold]{result.name}[/]: {escape(result.operation)}")
    _print_table(headings(result), subjects(result))
    console.print(f"ratio: {result.ratio_is}", style="dim", markup=False)
    for table in result.tables:
        console.print(f"\n{table.title}", markup=False)
        _print_table(table.headings, _rows(table))
    for target in result.targets:
        colour = {True: "green", False: "red", None: "yellow"}[target.met]
        symbol = {True: "✓", False: "✗", None: "-"}[target.met]
        console.print(f"[{colour}]{symbol}[/] {escape(verdict(target))}", soft_wrap=True)
    conditions = ", ".join(f"{key} {value}" for key, value in where.items())
    console.print(f"{result.method}; {GARBAGE}\n{conditions}\n", style="dim", markup=False)


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False)
    for at, title in enumerate(titles):
        grid.add_column(title, justify="right" if at else "left")
    for row in rows:
        grid.add_row(*map(escape, row))
    Console(highlight=False).print(grid)


def _rows(table: Table) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        yield tuple(map(_number, row))


# -- the README --------------------------------------------------------------------------------


def write(results: Sequence[Result], where: dict[str, str], path: Path = README) -> None:
    """Put the figures between the markers of the README.

    Raises:
        BenchmarkError: the markers are not there, once each and in order.
    """
    page = path.read_text(encoding="utf-8")
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise BenchmarkError(f"{path}: the figures go between {BEGIN!r} and {END!r}, once each")
    path.write_text(f"{head}{BEGIN}\n\n{figures(results, where)}\n{END}{tail}", encoding="utf-8")


def figures(results: Sequence[Result], where: dict[str, str]) -> str:
    """What stands between the markers."""
    lines = [
        f"Measured on {where['date']} with {where['python']} on {where['system']}, "
        f"{where['processors']} processors ({where['processor']}), load {where['load']} "
        "at the start.",
        "",
        *_markdown(("benchmark", "target", "measured", "verdict"), _verdicts(results)),
    ]
    for result in results:
        lines += ["", f"### {result.name}: {result.operation}", ""]
        lines += _markdown(headings(result), subjects(result))
        lines += ["", f"Ratio: {result.ratio_is}. Measured in {result.method}."]
        for table in result.tables:
            lines += ["", f"{table.title}:", "", *_markdown(table.headings, _rows(table))]
    return "\n".join(lines) + "\n"


def _verdicts(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    for result in results:
        for target in result.targets:
            measured = "" if target.value is None else f"{target.value:.2f}"
            word = {True: "met", False: "**not met**", None: "not measured"}[target.met]
            yield result.name, target.text, measured, word


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(titles) + " |"
    yield "|---" + "|---:" * (len(titles) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
