"""``predict`` and ``reveal``: say what will happen, then see.

    predict("03.second", "Which unit does the second client get?", ["1", "2"])
    ...
    reveal("03.second", unit, "The search counts from 1 and stops at the first gap.")

``predict`` returns at once; nothing waits for an answer. ``reveal`` is given what the kernel did,
and refuses a value that was no choice: a notebook cannot promise one thing and show another.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from kextlab.course.memory import Memory, Note, notebook_of


class Prediction:
    """An open question. Shows buttons where ipywidgets is there; ``choose`` does the same."""

    def __init__(self, note: Note, memory: Memory) -> None:
        self.note = note
        self._memory = memory

    def __repr__(self) -> str:
        given = self.note.given
        state = "" if given is None else f"\nyour prediction: {given}"
        listed = "\n".join(f"  {letter(at)}) {c}" for at, c in enumerate(self.note.choices))
        return f"Predict: {self.note.prompt}\n{listed}{state}"

    def choose(self, choice: object) -> None:
        """Predict ``choice``: one of the choices, or its letter.

        Raises:
            ValueError: it is neither.
        """
        choices = self.note.choices
        letters = [letter(at) for at in range(len(choices))]
        said = str(choice)
        if said not in choices and said in letters:
            said = choices[letters.index(said)]
        if said not in choices:
            raise ValueError(f"{choice!r} is no choice: there are {', '.join(choices)}")
        self.note.given = said
        self._memory.keep(self.note)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if find_spec("ipywidgets") is None:
            said = f'{self!r}\nTo answer: predict(...).choose("a")'
            display({"text/plain": said}, raw=True)  # type: ignore[no-untyped-call]
        else:
            display(self.widget())  # type: ignore[no-untyped-call]

    def widget(self) -> Any:
        """Radio buttons, none chosen. Any: ipywidgets has no types."""
        import ipywidgets

        note = self.note
        prompt = ipywidgets.HTML(f"<strong>Predict.</strong> {html.escape(note.prompt)}")
        buttons = ipywidgets.RadioButtons(
            options=note.choices, value=note.given, layout=ipywidgets.Layout(width="auto")
        )
        said = ipywidgets.HTML("noted" if note.given else "")

        def chosen(change: dict[str, Any]) -> None:
            self.choose(change["new"])
            said.value = "noted"

        buttons.observe(chosen, names="value")
        return ipywidgets.VBox([prompt, buttons, said])


def letter(at: int) -> str:
    """The letter of a choice: a, b, c ..."""
    return "abcdefghij"[at]


def predict(id: str, prompt: str, choices: Sequence[object]) -> Prediction:
    """Ask for a prediction; what was predicted before, if anything, still stands.

    Args:
        id: ``NN.words``, NN being the notebook.
        prompt: the question, one sentence.
        choices: what may happen, 2 to 10; shown as ``str`` says them.

    Raises:
        ValueError: another id, fewer or more choices, or two that look the same.
    """
    notebook = notebook_of(id)
    shown = [str(choice) for choice in choices]
    if not 2 <= len(shown) <= 10 or len(set(shown)) < len(shown):
        raise ValueError(f"choices = {shown}: expected 2 to 10, all different")
    memory = Memory()
    before = memory.read().get(id)
    note = Note(id, prompt, shown, seen_in=notebook)
    if before is not None and before.given in shown:
        note.given, note.asked = before.given, before.asked
    memory.keep(note)
    return Prediction(note, memory)


class Reveal:
    """What the kernel did, beside what was predicted."""

    def __init__(self, note: Note) -> None:
        self.note = note

    @property
    def verdict(self) -> str:
        """One line."""
        note = self.note
        if note.given is None:
            return f"No prediction made. It is: {note.truth}"
        if note.missed:
            return f"✕ You predicted {note.given}. It is: {note.truth}"
        return f"✓ As you predicted: {note.truth}"

    def __repr__(self) -> str:
        return f"{self.verdict}\n{self.note.why}".strip()

    def _repr_html_(self) -> str:
        return f"<strong>{html.escape(self.verdict)}</strong><p>{html.escape(self.note.why)}</p>"


def reveal(id: str, seen: object, why: str = "") -> Reveal:
    """Hold a prediction against what the kernel did.

    Args:
        id: of the ``predict`` before it.
        seen: what the kernel did; one of the choices.
        why: the reason, a sentence or two.

    Raises:
        ValueError: nothing was asked under this id, or ``seen`` was no choice.
    """
    notebook_of(id)
    memory = Memory()
    note = memory.read().get(id)
    if note is None:
        raise ValueError(f"nothing was asked as {id!r}; run the cell with its predict() first")
    if str(seen) not in note.choices:
        raise ValueError(f"{seen!r} was no choice of {id}: there were {', '.join(note.choices)}")
    note.truth, note.why = str(seen), why
    memory.keep(note)
    return Reveal(note)
