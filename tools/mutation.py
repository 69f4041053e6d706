"""Mutation testing: which small changes of the kernel's rules does no test notice?

    python tools/mutation.py                         every mutant (`make mutation`)
    python tools/mutation.py sockbuf kern_event.KernEvent.pru_attach
                                                     those of modules, classes or functions
    python tools/mutation.py --survivors             those that did not fall the last time

mutmut writes mutants of the modules that `[tool.mutmut]` in pyproject.toml lists into `mutants/`.
pytest collects the tests once. First each test runs unmutated, to learn which lines it reaches and
what it costs. Then each mutant is put in its function's place in a forked child, and the tests that
reach its lines run, the quickest first, until one fails; a test that needs five times its time and
two seconds more has failed too. What outlasts the quick tests goes on in company, up to 16 mutants
of different functions at once, and when a test fails each of them is asked alone. Recordings are
replayed scenario by scenario, in place of the tests that replay them whole.

A survivor that no test can notice is explained in `tests/mutation/equivalent.toml`. One without an
explanation, or an explanation that is stale, makes the exit status 1. `mutants/results.json` keeps
the verdicts, `mutants/reach.json` what the tests reach: the next run asks a survivor only what is
new. After any change in `kextlab/` everything is.

Left out: code that runs at import; what child processes do, so a test ends where it starts one;
two mutants that hide each other from every test they meet in company.
"""

import argparse
import functools
import json
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import astuple
from pathlib import Path

from mutation_changes import Change, explanations, mutants_in, stale, unexplained
from mutation_session import CORPUS, ROOT, TREE, Session, Verdict

RESULTS = TREE / "results.json"
EQUIVALENT = ROOT / "tests" / "mutation" / "equivalent.toml"


def mutated() -> list[str]:
    """Let mutmut write the mutated tree; the modules that have mutants."""
    from mutmut.__main__ import create_mutants
    from mutmut.configuration import config
    from mutmut.utils.file_utils import copy_src_dir

    shutil.rmtree(TREE / "kextlab", ignore_errors=True)
    TREE.mkdir(exist_ok=True)
    with open(os.devnull, "w") as null, redirect_stdout(null):
        copy_src_dir()
        create_mutants(os.cpu_count() or 1)
    return list(config().only_mutate)


def run(session: Session) -> None:
    """Collect the tests, with the mutated tree in the package's place, and hand them over."""
    import mutmut.mutation.trampoline
    import pytest
    from mutmut.configuration import config

    mutmut.mutation.trampoline.wrap_in_trampoline = session.wrap  # type: ignore[assignment]
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    sys.path.insert(0, str(TREE))
    from kextlab.scenario import recording

    assert Path(recording.__file__).is_relative_to(TREE)
    fresh, kept = recording.read, functools.cache(recording.read)
    recording.read = lambda path: (kept if Path(path).parent == CORPUS else fresh)(path)
    arguments = ["-s", "-qq", "--tb=short", "--assert=plain"]
    for plugin in ("cacheprovider", "xdist", "pytest_cov"):
        arguments += ["-p", f"no:{plugin}"]
    chosen = config()
    arguments += [*chosen.pytest_add_cli_args, *chosen.pytest_add_cli_args_test_selection]
    pytest.main(arguments, plugins=[session])


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="modules, classes or functions")
    parser.add_argument("--survivors", action="store_true", help="only those not yet killed")
    chosen = parser.parse_args(arguments)
    os.chdir(ROOT)
    explained = explanations(EQUIVALENT.read_text(encoding="utf-8"))
    start = time.monotonic()
    paths = mutated()
    everything = [m for path in paths for m in mutants_in(path, (TREE / path).read_text())]
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    before: dict[Change, Verdict] = {Change(*row[:4]): tuple(row[4:]) for row in rows}
    mutants = [
        mutant
        for mutant in everything
        if f"{mutant.change.function}.".startswith(tuple(f"{name}." for name in chosen.names) or "")
        and (not chosen.survivors or before.get(mutant.change, ["survived"])[0] == "survived")
    ]
    if chosen.names and not mutants:
        parser.error(f"no such mutants; the modules: {', '.join(Path(p).stem for p in paths)}")
    session = Session(paths, mutants, before)
    run(session)
    known = {mutant.change: mutant for mutant in everything}
    after = {c: v for c, v in {**before, **session.verdicts}.items() if c in known}
    RESULTS.write_text(json.dumps([[*astuple(c), *v] for c, v in after.items()], indent=0))
    verdicts = {change: verdict[0] for change, verdict in session.verdicts.items()}
    survivors = unexplained(verdicts, explained)
    wrong = stale(verdicts, explained, known)
    for change in survivors:
        print(f"survived: {change.function}, {known[change].name}\n{known[change].diff}\n")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    counts = Counter(verdicts.values())
    print(
        f"{len(verdicts)} of {len(everything)} mutants in {time.monotonic() - start:.0f} s: "
        f"{counts['killed']} killed, {counts['timed out']} timed out, {counts['crashed']} crashed, "
        f"{counts['survived']} survived, {len(survivors)} of them unexplained"
    )
    return 1 if survivors or wrong or len(verdicts) < len(mutants) else 0


if __name__ == "__main__":
    sys.exit(main())
