"""``retrieve("03")``: three questions from earlier notebooks, what was missed first.

The questions stand in ``recall/NN.toml``. Who answers again after a while remembers longer, so
every notebook ends with three: first the learner's own missed predictions, then those of ``recall``
asked least often, of the notebooks furthest back first. The choice depends on the answers kept
beside the notebook alone.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from kextlab.course.memory import Memory, Note, notebook_of
from kextlab.course.prediction import Prediction, Reveal

RECALL: Final = Path(__file__).parent / "recall"
HOW_MANY: Final = 3


@dataclass(frozen=True, slots=True)
class Recall:
    """One question: ``answer`` is one of ``choices``; ``recording`` shows that it is true."""

    id: str
    prompt: str
    choices: tuple[str, ...]
    answer: str
    why: str
    recording: str


@cache
def recall_of(notebook: str) -> tuple[Recall, ...]:
    """The questions a notebook ``"NN"`` leaves for later ones; none if it has no file."""
    path = RECALL / f"{notebook}.toml"
    if not path.is_file():
        return ()
    read = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    return tuple(Recall(**{**one, "choices": tuple(one["choices"])}) for one in read)


def due(notebook: str, notes: dict[str, Note]) -> list[Note]:
    """Up to three questions to ask in ``notebook``, in order; ``given`` is open again."""
    earlier = [f"{at:02}" for at in range(int(notebook))]
    missed = [note for note in notes.values() if note.missed and note.seen_in < notebook]
    again = {note.id for note in missed}
    recalled = [one for name in earlier for one in recall_of(name) if one.id not in again]
    fresh = [
        Note(one.id, one.prompt, list(one.choices), truth=one.answer, why=why_of(one), asked=0)
        for one in recalled
    ]
    for note in fresh:
        if note.id in notes:
            note.asked = notes[note.id].asked
    fresh.sort(key=lambda note: note.asked)  # stable: the notebook furthest back first
    picked = [*missed, *fresh][:HOW_MANY]
    return [replace(note, given=None, asked=note.asked + 1, seen_in=notebook) for note in picked]


def why_of(one: Recall) -> str:
    """Its reason with its recording."""
    return f"{one.why} (recorded: {one.recording})"


class Retrieval:
    """The three questions of one notebook: shown as buttons, then ``reveal()``."""

    def __init__(self, notes: list[Note], memory: Memory) -> None:
        self.predictions = [Prediction(note, memory) for note in notes]
        self._memory = memory

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.predictions)) or "nothing to ask yet"

    def _ipython_display_(self) -> None:
        for prediction in self.predictions:
            prediction._ipython_display_()

    def reveal(self) -> Revealed:
        """The answers. What was answered wrongly comes back in a later notebook, and so does a
        miss that was asked again and not answered."""
        for prediction in self.predictions:
            if prediction.note.given is not None:
                self._memory.keep(prediction.note)
        return Revealed([Reveal(prediction.note) for prediction in self.predictions])


class Revealed:
    """The answers of a ``Retrieval``."""

    def __init__(self, reveals: list[Reveal]) -> None:
        self.reveals = reveals

    def __repr__(self) -> str:
        return "\n\n".join(f"{one.note.prompt}\n{one!r}" for one in self.reveals)

    def _repr_html_(self) -> str:
        from html import escape

        return "".join(f"<p>{escape(r.note.prompt)}</p>{r._repr_html_()}" for r in self.reveals)


def retrieve(notebook: str) -> Retrieval:
    """Three questions from the notebooks before ``"NN"``.

    Raises:
        ValueError: it is no number of a notebook.
    """
    notebook_of(f"{notebook}.recall")
    memory = Memory()
    return Retrieval(due(notebook, memory.read()), memory)
