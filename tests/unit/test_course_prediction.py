"""Predicting, revealing, and the way back to what was missed."""

import json
from pathlib import Path

import pytest

from kextlab.course import predict, retrieve, reveal
from kextlab.course.memory import FILE, Memory, Note
from kextlab.course.question import CourseError
from kextlab.course.retrieval import RECALL, due, recall_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_right_prediction_is_told() -> None:
    predict("03.x", "Which?", [1, 2]).choose(2)
    assert repr(reveal("03.x", 2, "Because.")) == "✓ As you predicted: 2\nBecause."


def test_a_wrong_prediction_is_told_with_the_truth() -> None:
    predict("03.x", "Which?", [1, 2]).choose("a")
    assert reveal("03.x", 2).verdict == "✕ You predicted 1. It is: 2"


def test_without_a_prediction_the_reveal_says_so() -> None:
    predict("03.x", "Which?", [1, 2])
    assert reveal("03.x", 2).verdict == "No prediction made. It is: 2"


def test_predicting_in_words_lists_the_choices() -> None:
    asked = predict("03.x", "Which?", ["one", "two"])
    assert repr(asked) == "Predict: Which?\n  a) one\n  b) two"
    asked.choose("b")
    assert repr(asked).endswith("your prediction: two")


def test_a_prediction_lasts_while_the_cell_is_run_again() -> None:
    predict("03.x", "Which?", [1, 2]).choose(1)
    assert predict("03.x", "Which?", [1, 2]).note.given == "1"
    assert predict("03.x", "Which?", [3, 4]).note.given is None


def test_a_reveal_that_was_no_choice_is_refused() -> None:
    predict("03.x", "Which?", [1, 2])
    with pytest.raises(ValueError, match=r"3 was no choice of 03\.x: there were 1, 2"):
        reveal("03.x", 3)


def test_a_reveal_without_its_question_is_refused() -> None:
    with pytest.raises(ValueError, match=r"nothing was asked as '03\.x'"):
        reveal("03.x", 3)


@pytest.mark.parametrize("choices", [[1], list(range(11)), [1, "1"]])
def test_choices_that_cannot_be_told_apart_are_refused(choices: list[object]) -> None:
    with pytest.raises(ValueError, match="expected 2 to 10, all different"):
        predict("03.x", "Which?", choices)


@pytest.mark.parametrize("name", ["x", "3.x", "03", "03.X"])
def test_an_id_names_its_notebook(name: str) -> None:
    with pytest.raises(ValueError, match="expected the notebook's number and words"):
        predict(name, "Which?", [1, 2])


def test_a_choice_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'c' is no choice: there are 1, 2"):
        predict("03.x", "Which?", [1, 2]).choose("c")


def test_the_buttons_note_the_choice() -> None:
    pytest.importorskip("ipywidgets")
    asked = predict("03.x", "Which <one>?", [1, 2])
    prompt, buttons, said = asked.widget().children
    assert "Which &lt;one&gt;?" in prompt.value
    assert buttons.value is None
    buttons.value = "2"
    assert said.value == "noted"
    assert Memory().read()["03.x"].given == "2"


# -- the file --------------------------------------------------------------------------------------


def test_answers_are_kept_beside_the_notebook(folder: Path) -> None:
    predict("03.x", "Which?", [1, 2]).choose(2)
    document = json.loads((folder / FILE).read_text())
    assert document["format"] == "kextlab-answers/1"
    assert document["notes"][0]["given"] == "2"
    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other", "notes": []}', "[1", "\xff"])
def test_a_file_that_is_not_ours_is_left_as_it_is(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text, encoding="latin-1")
    with pytest.raises(CourseError, match="does not hold your predictions any more"):
        predict("03.x", "Which?", [1, 2])
    assert (folder / FILE).read_text(encoding="latin-1") == text


def test_a_folder_that_cannot_be_written_keeps_nothing_and_the_lesson_goes_on() -> None:
    Memory(Path("not-there") / FILE).keep(Note("03.x", "Which?", ["1", "2"]))
    assert Memory(Path("not-there") / FILE).read() == {}


# -- retrieval -------------------------------------------------------------------------------------


def miss(name: str) -> None:
    predict(name, f"What of {name}?", ["right", "wrong"]).choose("wrong")
    reveal(name, "right", "So it is.")


def test_three_questions_come_from_earlier_notebooks() -> None:
    asked = [one.note.id for one in retrieve("03").predictions]
    assert len(asked) == 3
    assert all(name < "03" for name in asked)


def test_the_first_notebook_has_nothing_to_ask() -> None:
    assert repr(retrieve("00")) == "nothing to ask yet"


def test_a_missed_prediction_comes_back_first_in_a_later_notebook() -> None:
    miss("02.lost")
    assert retrieve("03").predictions[0].note.id == "02.lost"
    assert "02.lost" not in [one.note.id for one in retrieve("02").predictions]


def test_a_miss_answered_rightly_does_not_come_back() -> None:
    miss("02.lost")
    again = retrieve("03")
    again.predictions[0].choose("right")
    assert again.reveal().reveals[0].verdict == "✓ As you predicted: right"
    assert "02.lost" not in [one.note.id for one in retrieve("04").predictions]


@pytest.mark.parametrize("answer", ["wrong", None])
def test_a_miss_missed_again_or_not_answered_comes_back(answer: str | None) -> None:
    miss("02.lost")
    again = retrieve("03")
    if answer is not None:
        again.predictions[0].choose(answer)
    again.reveal()
    assert retrieve("04").predictions[0].note.id == "02.lost"


def test_what_was_asked_less_often_comes_before_what_was_asked() -> None:
    first = retrieve("03")
    for one in first.predictions:
        one.choose(one.note.truth)
    first.reveal()
    left = [*recall_of("00"), *recall_of("01")][3:]
    assert retrieve("04").predictions[0].note.id == left[0].id


def test_the_same_answers_give_the_same_questions() -> None:
    assert [note.id for note in due("03", {})] == [note.id for note in due("03", {})]
    assert due("03", {})[0].given is None


def test_the_answers_stand_below_their_questions() -> None:
    again = retrieve("03")
    said = repr(again.reveal())
    for one in again.predictions:
        assert f"{one.note.prompt}\nNo prediction made. It is: {one.note.truth}" in said


@pytest.mark.parametrize("path", sorted(RECALL.glob("*.toml")), ids=lambda path: path.name)
def test_every_question_to_be_recalled_can_be_answered(path: Path) -> None:
    questions = recall_of(path.stem)
    assert len(questions) >= 3
    for one in questions:
        assert one.id.startswith(f"{path.stem}.recall-")
        assert one.answer in one.choices
        assert 2 <= len(set(one.choices)) == len(one.choices)
    assert len({one.id for one in questions}) == len(questions)
