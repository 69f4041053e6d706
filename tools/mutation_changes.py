"""What a mutant is: the changes mutmut wrote into a module, and which of them are explained.

`tools/mutation.py` runs them. A mutant is known by its function and by the lines its change removes
and adds, not by mutmut's number, which another change of the function shifts.
"""

import ast
import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A function, the lines removed and added, without indentation, and which of the function's
    mutants of exactly these lines it is, from 1."""

    function: str
    removed: str
    added: str
    nth: int = 1

    def __str__(self) -> str:
        lines = [f"- {line}" for line in self.removed.split("\n") if line]
        lines += [f"+ {line}" for line in self.added.split("\n") if line]
        return "\n    ".join([self.function + (f", nth = {self.nth}" * (self.nth > 1)), *lines])


@dataclass(frozen=True)
class Mutant:
    """A change, its name and file in the mutated tree, and the lines of which a test must reach
    one to notice it."""

    change: Change
    name: str
    path: str
    lines: range
    diff: str


Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutants_in(path: str, text: str) -> Iterator[Mutant]:
    """The mutants in one module as mutmut wrote it: beside each function there are its mutants,
    named as `x_name__mutmut_1`, or in a class `xǁClassǁname__mutmut_1`."""
    lines = text.split("\n")
    stem = path.rpartition("/")[2].removesuffix(".py")
    functions = dict(_functions(text))
    seen: Counter[tuple[str, ...]] = Counter()
    for name, mutated in functions.items():
        mangled, _, number = name.partition("__mutmut_")
        if not number.isdigit():
            continue
        label = mangled[2:].replace("ǁ", ".")
        origin = functions[label]
        old = lines[origin.lineno - 1 : origin.end_lineno]
        new = lines[mutated.lineno - 1 : mutated.end_lineno]
        new[0] = new[0].replace(name, origin.name)
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        blocks = [block[1:] for block in matcher.get_opcodes() if block[0] != "equal"]
        removed = "\n".join(line.strip() for i, j, _, _ in blocks for line in old[i:j])
        added = "\n".join(line.strip() for _, _, i, j in blocks for line in new[i:j])
        what = (f"{stem}.{label}", removed, added)
        seen[what] += 1
        first, last = origin.lineno + blocks[0][0], origin.lineno + blocks[-1][1] - 1
        diff = "\n".join(list(difflib.unified_diff(old, new, lineterm=""))[2:])
        reached = reaching(origin, first, max(first, last))
        yield Mutant(Change(*what, nth=seen[what]), name, path, reached, diff)


def _functions(text: str) -> Iterator[tuple[str, Function]]:
    """Each function of a module and of its classes with its label; a mutant's is its name."""
    module = ast.parse(text)
    owners: list[ast.Module | ast.ClassDef] = [module]
    owners += [node for node in module.body if isinstance(node, ast.ClassDef)]
    for owner in owners:
        prefix = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
        for node in owner.body:
            if isinstance(node, Function):
                yield node.name if "__mutmut_" in node.name else prefix + node.name, node


def reaching(function: Function, first: int, last: int) -> range:
    """The lines of the statement in which a change from line first to line last stands; of an if or
    a loop those of its head. A change of the function's own head: all its lines."""
    around = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.stmt | ast.excepthandler)
        and node.lineno <= first <= (node.end_lineno or 0)
    ]
    statement = max(around, key=lambda node: node.lineno)
    end = statement.end_lineno or last
    body: list[ast.stmt] = getattr(statement, "body", [])
    if body and statement is not function and last < body[0].lineno:
        end = body[0].lineno - 1
    return range(statement.lineno, max(end, last) + 1)


def explanations(text: str) -> dict[Change, str]:
    """The reasons in the text of `equivalent.toml`.

    ValueError: an entry gives no reason, or a change stands twice.
    """
    found: dict[Change, str] = {}
    for entry in tomllib.loads(text).get("mutant", []):
        reason = " ".join(entry.pop("reason", "").split())
        for side in ("removed", "added"):
            lines = entry.get(side, "").strip().split("\n")
            entry[side] = "\n".join(line.strip() for line in lines)
        change = Change(**entry)
        if not reason or change in found:
            raise ValueError(f"{'a second time' if reason else 'without reason'}: {change}")
        found[change] = reason
    return found


def unexplained(verdicts: dict[Change, str], explained: Iterable[Change]) -> list[Change]:
    """The survivors for which there is no explanation."""
    known = set(explained)
    return [c for c, verdict in verdicts.items() if verdict == "survived" and c not in known]


def stale(
    verdicts: dict[Change, str], explained: Iterable[Change], known: Iterable[Change]
) -> list[str]:
    """What is wrong with explanations: there is no such mutant, or it does not survive."""
    there = set(known)
    said = {change: verdicts.get(change, "survived") for change in explained}
    return [f"explained, but there is no such mutant: {c}" for c in said if c not in there] + [
        f"explained, but {verdict}: {c}" for c, verdict in said.items() if verdict != "survived"
    ]
