"""Questions 4 and 5 of exercise 11: a page that is written while it is read.

The memory of these questions is a process's, and calls go through a watcher: each word that is
loaded or stored is one step, and between two steps the other side may have run.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from kextlab.course.question import Answer, Check, Miss, Question
from kextlab.userland.mac import Kernel

WORDS, WORD = 4, 8
"""A reading: four words behind the word of its number."""
TRIES = 9
LOADS = 2_000
"""After so many words nobody believes any more that a reader will end."""


class Endless(Exception):
    """A reader does not end."""


def reading(n: int) -> bytes:
    """Reading n: its number in each word."""
    return n.to_bytes(WORD, "little") * WORDS


class Page:
    """A page, and a process's load and store word by word."""

    def __init__(self) -> None:
        self.mac = Kernel()
        self._m: ModuleType = self.mac.spawn("client").mach
        self.at: int = self._m.mach_vm_allocate(0x4000)
        self.loads = 0
        self.loaded: Callable[[int], None] = lambda index: None
        """Called after each word of the reading that was loaded."""
        self.stored: Callable[[], None] = lambda: None
        """Called after each word that was stored."""

    def number(self) -> int:
        """The number in the page."""
        return int.from_bytes(self._m.load(self.at, WORD), "little")

    def data(self) -> bytes:
        """The reading in the page."""
        found: bytes = self._m.load(self.at + WORD, WORD * WORDS)
        return found

    def put(self, number: int, *words: int) -> None:
        """The other side: a number, and the first words of the reading."""
        self._m.store(self.at, number.to_bytes(WORD, "little"))
        for index, word in enumerate(words, 1):
            self._m.store(self.at + index * WORD, word.to_bytes(WORD, "little"))

    # -- what the answer calls

    def load(self, address: int, size: int) -> bytes:
        """Word by word."""
        found = b""
        while len(found) < size:
            self.loads += 1
            if self.loads > LOADS:
                raise Endless
            some = min(WORD, size - len(found))
            here = address + len(found)
            found += self._m.load(here, some)
            self.loaded((here - self.at) // WORD)
        return found

    def store(self, address: int, data: bytes) -> None:
        """Word by word."""
        for at in range(0, len(data), WORD):
            self._m.store(address + at, data[at : at + WORD])
            self.stored()

    store_words = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._m, name)


def _said(data: object) -> str:
    if not isinstance(data, bytes):
        return repr(data)
    return str([int.from_bytes(data[at : at + WORD], "little") for at in range(0, len(data), WORD)])


# -- q11_4: read -------------------------------------------------------------------------------


def read_while(answer: Answer, n: int, after: int) -> Miss | None:
    """A new reading is stored, whole, after ``after`` words of the old one were loaded, once."""
    page, done = Page(), False
    page.put(2 * n, *[n] * WORDS)

    def overtaken(index: int) -> None:
        nonlocal done
        if index == after and not done:
            done = True
            page.put(2 * n + 2, *[n + 1] * WORDS)

    page.loaded = overtaken
    due = f"{_said(reading(n))} or {_said(reading(n + 1))}"
    try:
        said = answer["read"](page, page.at, TRIES, lambda: None)
    except Endless:
        return Miss("never-gives-up", "it reads for ever", due, page.mac)
    if said not in (reading(n), reading(n + 1)):
        return Miss("one-look-is-enough", f"it returns {_said(said)}", due, page.mac)
    return None


def _overtaken(answer: Answer, seed: int) -> Miss | None:
    return read_while(answer, 3 + seed, 1 + seed % (WORDS - 1))


def _in_work(answer: Answer, seed: int) -> Miss | None:
    """The writer stands in the middle, and goes on when the reader pauses."""
    page, n, pauses = Page(), 3 + seed, 0
    page.put(2 * n, *[n] * WORDS)
    page.put(2 * n + 1, *[n + 1] * (1 + seed % (WORDS - 1)))

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 1 + seed % 3:
            page.put(2 * n + 2, *[n + 1] * WORDS)

    due = _said(reading(n + 1))
    try:
        said = answer["read"](page, page.at, TRIES, pause)
    except (TimeoutError, Endless) as error:
        seen = "it reads for ever" if isinstance(error, Endless) else "it raises TimeoutError"
        seen += f"; it has paused {pauses} times"
        return Miss("never-pauses", seen, due, page.mac)
    if said != reading(n + 1):
        return Miss("same-is-enough", f"it returns {_said(said)}", due, page.mac)
    return None


def _dead(answer: Answer, seed: int) -> Miss | None:
    """The writer died in the middle."""
    page, n = Page(), 3 + seed
    page.put(2 * n, *[n] * WORDS)
    page.put(2 * n + 1, n + 1)
    try:
        said = answer["read"](page, page.at, TRIES, lambda: None)
    except TimeoutError:
        return None
    except Endless:
        return Miss("never-gives-up", "it reads for ever", "TimeoutError", page.mac)
    return Miss("last-try-counts", f"it returns {_said(said)}", "TimeoutError", page.mac)


READ = Question(
    "q11_4",
    "write a reader that is never fooled",
    ("read",),
    (
        Check("a reading that is overtaken is read again", _overtaken),
        Check("a reading in work is waited for", _in_work),
        Check("a writer that died in the middle is a TimeoutError", _dead),
    ),
    hidden=1,
)

# -- q11_5: publish ----------------------------------------------------------------------------


def publishes(answer: Answer, first: int, times: int) -> Miss | None:
    """Several readings; the page is looked at after every word."""
    page = Page()
    page.put(2 * first, *[first] * WORDS)
    seen: list[tuple[int, bytes]] = [(page.number(), page.data())]
    page.stored = lambda: seen.append((page.number(), page.data()))
    due = "whoever sees an even number finds the one reading of that number"
    known: dict[int, bytes] = {}
    for n in range(first + 1, first + 1 + times):
        answer["publish"](page, page.at, reading(n))
        for number, data in seen:
            if number % 2:
                continue
            if len({data[at : at + WORD] for at in range(0, len(data), WORD)}) > 1:
                told = f"the number is {number}, and the reading {_said(data)}"
                started = number != 2 * n - 2
                belief = "number-first" if started else "number-last"
                return Miss(belief, told, due, page.mac)
            if known.setdefault(number, data) != data:
                told = f"number {number} is that of {_said(known[number])} and of {_said(data)}"
                return Miss("number-comes-back", told, due, page.mac)
        if page.number() % 2:
            told = f"publish is done, and the number is {page.number()}"
            return Miss("odd-for-ever", told, "an even one", page.mac)
        if page.data() != reading(n):
            told = f"publish is done, and the page has {_said(page.data())}"
            return Miss("odd-for-ever", told, _said(reading(n)), page.mac)
    return None


def _publishes(answer: Answer, seed: int) -> Miss | None:
    return publishes(answer, 1 + seed, 3)


PUBLISH = Question(
    "q11_5",
    "complete the writer",
    ("publish",),
    (Check("an even number stands for one whole reading, at every moment", _publishes),),
    hidden=1,
)
