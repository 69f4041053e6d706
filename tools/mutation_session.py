"""Running mutants: what `tools/mutation.py` does once pytest has collected the tests.

Each mutant takes its function's place by its code object, in a forked child, so nothing of it is
left for the next. A function has no trampoline: `Session.wrap` stands in for mutmut's decorator.
"""

import functools
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, TypeVar

from mutation_changes import Change, Mutant

ROOT = Path(__file__).parents[1]
TREE = ROOT / "mutants"
REACH = TREE / "reach.json"
CORPUS = ROOT / "tests" / "conformance" / "corpus"
REPLAYED = (
    "test_every_step_of_every_scenario_matches",
    "test_each_release_differs_on_the_others_recording",
    "test_every_hand_written_scenario_matches",
)
"""The tests that ask no more than the scenarios do one by one."""
ALONE = 3.0
"""For how many seconds of tests a mutant runs alone."""
COMPANY = 16
MEMORY = 4 << 30
FILES = ("answer", "at", "error")
"""What a child may leave: its answer, the test it is at, why it could not start."""

T = TypeVar("T")
Tests = list[str]
Verdict = tuple[str, str, int]
"""killed, timed out, crashed or survived; by which test; how new the tests were."""


# ---------------------------------------------------------------- children


def forked(
    tasks: deque[T], work: Callable[[T, Path], object], jobs: int
) -> Iterator[tuple[T, int, Any]]:
    """Do each task in a child of its own: the task, how the child ended and what it answered, or
    what it last put into its file `at`. Tasks may be added meanwhile."""
    running: dict[int, tuple[T, Path]] = {}
    with tempfile.TemporaryDirectory() as place:
        try:
            while tasks or running:
                while tasks and len(running) < jobs:
                    task, folder = tasks.popleft(), Path(tempfile.mkdtemp(dir=place))
                    pid = os.fork()
                    if not pid:
                        _child(functools.partial(work, task), folder)
                    running[pid] = task, folder
                pid, status = os.wait()
                task, folder = running.pop(pid)
                said = [f.read_text() for f in map(folder.joinpath, FILES) if f.exists()]
                if not said:
                    raise RuntimeError(f"a child ended without an answer, status {status}: {task}")
                yield task, os.waitstatus_to_exitcode(status), json.loads(said[0])
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            for pid in running:
                os.kill(pid, signal.SIGKILL)


def _child(work: Callable[[Path], object], folder: Path) -> None:
    status = 1
    try:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        (folder / "answer").write_text(json.dumps(work(folder)))
        status = 0
    except BaseException:
        (folder / "error").write_text(json.dumps(traceback.format_exc()))
    finally:
        os._exit(status)


# ---------------------------------------------------------------- tests and mutants


@dataclass
class Party:
    """Mutants in company, the tests before them, and how many of them are being asked alone."""

    members: list[Mutant]
    tests: Tests
    asked: int = 0


class Session:
    """A pytest plugin: what happens in place of running the collected tests."""

    def __init__(self, paths: list[str], mutants: list[Mutant], before: dict[Change, Verdict]):
        self.paths = paths
        self.mutants = mutants
        self.before = before
        self.jobs = os.cpu_count() or 1
        self.verdicts: dict[Change, Verdict] = {}
        self.functions: dict[str, tuple[FunctionType, dict[str, FunctionType]]] = {}
        self.killers: dict[str, Tests] = defaultdict(list)
        self.tests: dict[str, Callable[[], bool]] = {}
        self.reach: dict[str, dict[str, Any]] = {}
        self.at: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.age = 0
        self.failure = ""

    def wrap(
        self, mutants: dict[str, FunctionType], is_classmethod: bool = False
    ) -> Callable[[FunctionType], FunctionType]:
        """In place of mutmut's decorator: a function stays as it is, and is known here."""

        def known(function: FunctionType) -> FunctionType:
            stem = function.__module__.rpartition(".")[2]
            self.functions[f"{stem}.{function.__qualname__}"] = function, mutants
            return function

        return known

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failure = f"{report.nodeid}\n{report.longrepr}"

    def pytest_runtestloop(self, session: Any) -> bool:
        import pytest

        def alone(*_: object, **__: object) -> None:
            pytest.skip("a child process would not be mutated")

        if session.testsfailed:
            return True
        session.config.pluginmanager.unregister(name="terminalreporter")
        subprocess.Popen.__init__ = alone  # type: ignore[method-assign]
        self.tests = dict(scenarios())
        for item in session.items:
            if getattr(item, "originalname", item.name) not in REPLAYED:
                self.tests[item.nodeid] = functools.partial(self._passes, item)
        gc.collect()
        gc.freeze()
        if self._learn():
            self._judge()
        return True

    def _passes(self, item: Any) -> bool:
        self.failure = ""
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failure

    # -- what each test reaches --

    def _learn(self) -> bool:
        """Run each test that is new or changed, unmutated; whether all passed."""
        old = json.loads(REACH.read_text()) if REACH.exists() else {}
        ages = [known["age"] for known in old.values()] + [
            age for _, _, age in self.before.values()
        ]
        newest = max(ages, default=0)
        digest = digests()
        failing = []
        batches: deque[Tests] = deque()
        for test in self.tests:
            if old.get(test, {}).get("digest") == digest(test):
                self.reach[test] = old[test]
            elif batches and len(batches[-1]) < 50 and family(batches[-1][0]) == family(test):
                batches[-1].append(test)
            else:
                batches.append([test])
        bar = progress("tests", sum(map(len, batches)))
        for batch, status, answer in forked(batches, self._measure, self.jobs):
            if status:
                failing.append(f"{batch}: {answer}")
                continue
            for test, found in zip(batch, answer, strict=True):
                self.reach[test] = {"digest": digest(test), "age": newest + 1, **found}
            bar.update(len(batch))
        bar.close()
        REACH.write_text(json.dumps(self.reach))
        for test, known in self.reach.items():
            for path, lines in known["lines"].items():
                for line in lines:
                    self.at[path, line].add(test)
        self.age = max(known["age"] for known in self.reach.values())
        print("\n".join(failing), end="")
        return not failing

    def _measure(self, batch: Tests, _: Path) -> list[dict[str, Any]]:
        """What tests cost and reach."""
        paths = {str(TREE / path): path for path in self.paths}
        found: list[dict[str, Any]] = []
        for test in batch:
            lines: dict[str, set[int]] = {file: set() for file in paths}
            start = time.process_time()
            sys.settrace(functools.partial(_call, lines))
            passed = self.tests[test]()
            sys.settrace(None)
            if not passed:
                raise AssertionError(f"fails unmutated: {test}\n{self.failure}")
            reached = {paths[file]: sorted(at) for file, at in lines.items() if at}
            found.append({"seconds": time.process_time() - start, "lines": reached})
        return found

    # -- which test notices each mutant --

    def _judge(self) -> None:
        """Each mutant alone, then what is left in company."""
        bar = progress("mutants", len(self.mutants))
        alone: deque[Mutant] = deque(self.mutants)
        left = []
        for mutant, status, test in forked(alone, self._alone, self.jobs):
            if not self._decided(mutant, status, test):
                left.append(mutant)
            bar.update(mutant.change in self.verdicts)
        queue = deque((party, party.members, party.tests) for party in self._parties(left))
        for (party, members, tests), status, test in forked(queue, self._together, self.jobs):
            if party.asked:
                party.asked -= 1
                if self._decided(members[0], status, test):
                    party.members.remove(members[0])
            elif test and len(members) > 1:
                party.tests = tests[tests.index(test) + 1 :]
                suspects = [mutant for mutant in members if test in self._reaching(mutant)]
                party.asked = len(suspects)
                queue.extendleft((party, [mutant], [test]) for mutant in suspects)
            else:
                for mutant in members:
                    if not self._decided(mutant, status, test):
                        self.verdicts[mutant.change] = ("survived", "", self.age)
                continue
            if not party.asked and party.members:
                queue.append((party, party.members, party.tests))
            bar.n = len(self.verdicts)
            bar.refresh()
        bar.close()

    def _decided(self, mutant: Mutant, status: int, test: str) -> bool:
        """Note that a test noticed a mutant, if one did."""
        if status == 1 and test not in self.tests:
            raise RuntimeError(f"{mutant.change}\n{test}")
        if test:
            ends = {0: "killed", -signal.SIGVTALRM: "timed out"}
            verdict = ends.get(status, "crashed")
            self.verdicts[mutant.change] = (verdict, test, self.age)
            self.killers[mutant.change.function].append(test)
        return bool(test)

    def _parties(self, mutants: Iterable[Mutant]) -> list[Party]:
        """Mutants in company: those with much before them together, no two of one function."""
        parties: list[Party] = []
        cost = {mutant: sum(map(self._seconds, self._reaching(mutant))) for mutant in mutants}
        for mutant in sorted(cost, key=lambda mutant: -cost[mutant]):
            for party in parties:
                functions = {member.change.function for member in party.members}
                if len(functions) < COMPANY and mutant.change.function not in functions:
                    party.members.append(mutant)
                    break
            else:
                parties.append(Party([mutant], []))
        for party in parties:
            tests = set().union(*map(self._reaching, party.members))
            party.tests = sorted(tests, key=self._patience)
        return parties

    def _reaching(self, mutant: Mutant) -> set[str]:
        """The tests that reach a mutant, without those it has survived before."""
        reached = set().union(*(self.at[mutant.path, line] for line in mutant.lines))
        verdict, _, age = self.before.get(mutant.change, ("", "", 0))
        if verdict != "survived":
            return reached
        return {test for test in reached if self.reach[test]["age"] > age}

    def _seconds(self, test: str) -> float:
        return float(self.reach[test]["seconds"])

    def _patience(self, test: str) -> tuple[int, float]:
        """What is quick comes first, generated scenarios second, what is slow last."""
        return 2 if self._seconds(test) > 0.5 else int(test.startswith("[r0")), self._seconds(test)

    def _alone(self, mutant: Mutant, folder: Path) -> str:
        """The quick test that fails on a mutant, or nothing."""
        reached = self._reaching(mutant)
        likely = [self.before.get(mutant.change, ("", "", 0))[1]]
        likely += reversed(self.killers[mutant.change.function])
        tests = [test for test in likely if test in reached]
        spent = 0.0
        for test in sorted(reached, key=self._patience):
            spent += self._seconds(test)
            if spent > ALONE:
                break
            tests.append(test)
        return self._fails([mutant], list(dict.fromkeys(tests)), folder)

    def _together(self, task: tuple[Party, list[Mutant], Tests], folder: Path) -> str:
        return self._fails(task[1], task[2], folder)

    def _fails(self, mutants: list[Mutant], tests: Tests, folder: Path) -> str:
        """The first test that fails with mutants in place, or nothing."""
        for mutant in mutants:
            function, others = self.functions[mutant.change.function]
            function.__code__ = others[mutant.name].__code__
            function.__defaults__ = others[mutant.name].__defaults__
            function.__kwdefaults__ = others[mutant.name].__kwdefaults__
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        for test in tests:
            (folder / "at").write_text(json.dumps(test))
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 + 5 * self._seconds(test))
            passed = self.tests[test]()
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            if not passed:
                return test
        return ""


def _call(lines: dict[str, set[int]], frame: FrameType, event: str, _: object) -> Any:
    """A trace function: notes the lines that run in some files."""
    seen = lines.get(frame.f_code.co_filename)
    if seen is None:
        return None

    def line(frame: FrameType, event: str, _: object) -> Any:
        seen.add(frame.f_lineno)
        return line

    return line


def scenarios() -> Iterator[tuple[str, Callable[[], bool]]]:
    """Every scenario of the recordings as a test."""
    from kextlab.scenario import recording, replay

    def matches(scenario: recording.Scenario, release: str) -> bool:
        return replay.replay(scenario, release).difference is None

    for path in sorted(CORPUS.glob("*.xz")):
        whole = recording.read(path)
        release = whole.header.release
        for scenario in whole.scenarios:
            name = f"[{scenario.name}] {release}"
            yield name, functools.partial(matches, scenario, release)


def family(test: str) -> str:
    """What tests of one kind share: the cases of one test, or all scenarios."""
    return test.split("[")[0]


def digests() -> Callable[[str], str]:
    """From a test's name to a digest of all that decides what the test does."""
    common = hashlib.sha256()
    for folder in ("kextlab", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".xz") and not path.name.startswith("test_"):
                common.update(path.read_bytes())

    @functools.cache
    def of(file: str) -> str:
        own = common.copy()
        own.update((ROOT / file).read_bytes() if file else b"")
        return own.hexdigest()

    return lambda test: of("" if test[0] == "[" else test.partition("::")[0])


def progress(unit: str, total: int) -> Any:
    """A bar on standard error."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(total=total, desc=unit, smoothing=0, file=sys.stderr)
