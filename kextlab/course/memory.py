"""What a learner predicted and missed, kept beside the notebook in one small JSON file.

The file stands in the folder a notebook runs in and belongs to the learner: delete it and the
course starts afresh. It is read and written whole, so that two open notebooks lose at most one
answer to each other.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kextlab.course.question import CourseError

FILE: Final = "kextlab-answers.json"
FORMAT: Final = "kextlab-answers/1"
ID: Final = re.compile(r"(\d\d)\.[a-z][a-z0-9-]*")


@dataclass(slots=True)
class Note:
    """One prediction.

    Attributes:
        id: ``NN.words``; NN is the notebook it belongs to.
        prompt, choices: what was asked.
        given: what the learner chose, None if nothing.
        truth: what the kernel did, None before the reveal.
        why: one sentence.
        seen_in: the last notebook that asked it, ``"NN"``.
        asked: how many notebooks have asked it.
    """

    id: str
    prompt: str
    choices: list[str]
    given: str | None = None
    truth: str | None = None
    why: str = ""
    seen_in: str = ""
    asked: int = 1

    @property
    def missed(self) -> bool:
        """Whether it was answered, and wrongly."""
        return None not in (self.given, self.truth) and self.given != self.truth


class Memory:
    """The notes of one folder.

    Args:
        path: the file; in the current folder by default. It need not be there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path.cwd() / FILE

    def read(self) -> dict[str, Note]:
        """Every note, by id, in the order in which they were first asked.

        Raises:
            CourseError: the file is there and is none of ours.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise ValueError(document["format"])
            return {note["id"]: Note(**note) for note in document["notes"]}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CourseError(f"cannot read {self.path}: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError):
            raise CourseError(
                f"{self.path} does not hold your predictions any more; move it away to start afresh"
            ) from None

    def keep(self, note: Note) -> None:
        """Write one note, in place of an older one of the same id. A folder that cannot be written
        keeps nothing, and the lesson goes on.

        Raises:
            CourseError: the file is none of ours, and so is left as it is.
        """
        notes = self.read()
        notes[note.id] = note
        document = {"format": FORMAT, "notes": [asdict(one) for one in notes.values()]}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self.path)
        except OSError:
            return


def notebook_of(name: str) -> str:
    """The ``NN`` of an id ``NN.words``.

    Raises:
        ValueError: it is no such id.
    """
    match = ID.fullmatch(name)
    if match is None:
        raise ValueError(f"id = {name!r}: expected the notebook's number and words, as 03.second")
    return match[1]
