"""The queue over time, as data and as a figure."""

import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from kextlab.views import log, queue_figure
from kextlab.views.queues import Point, queues
from kextlab.views.tokens import TOKENS
from tests.unit.views_machines import client, echoing, send


def test_a_queue_holds_what_was_sent_and_not_read() -> None:
    mac, s = echoing(5, 10)
    s.recv(100)
    points = queues(mac.trace)[1].points
    assert [(point.bytes, point.records) for point in points if point.hiwat] == [
        (0, 0),
        (5, 1),
        (15, 2),
        (10, 1),
    ]
    assert {point.hiwat for point in points} == {0, 8192}


def test_points_are_in_order_and_each_says_something_new() -> None:
    mac, _ = echoing(5, 10, 2048, 2048)
    points = queues(mac.trace)[1].points
    assert points == sorted(points, key=lambda point: point.step)
    assert all(Point(a.step, b.bytes, b.records, b.hiwat) != a for a, b in pairwise(points))


def test_a_refusal_has_its_step_its_size_and_its_errno() -> None:
    mac, _ = echoing(*[2048] * 4, 100)
    (refusal,) = queues(mac.trace)[1].refusals
    assert (refusal.bytes, refusal.name, refusal.unit) == (100, "ENOBUFS", 1)
    assert queues(mac.trace, refusal.step)[1].refusals == []
    assert "The kernel refused 100 bytes" in str(log(mac, refusal.step)[0])


def test_queues_are_told_apart_by_socket() -> None:
    mac, _ = echoing(5)
    other = client(mac, "client2")
    send(other, (7,))
    found = queues(mac.trace)
    assert {number: queue.unit for number, queue in found.items()} == {1: 1, 2: 2}
    assert [queue.points[-1].bytes for queue in found.values()] == [5, 7]


def test_a_queue_without_refusals_is_drawn() -> None:
    picture = queue_figure(echoing(5, 10)[0].trace, 1)
    ElementTree.fromstring(picture.svg)
    assert "15 bytes in 2 datagrams at its fullest" in picture.text
    assert "refused" not in picture.svg


def test_the_figure_has_axes_with_units_and_the_limit() -> None:
    picture = queue_figure(echoing(*[2048] * 4, 100, 1)[0].trace, unit=1)
    words = "".join(ElementTree.fromstring(picture.svg).itertext())
    for label in ("bytes queued", "datagrams", "step of the trace", "sb_hiwat: 8,192 bytes fit"):
        assert label in words
    assert "1 byte refused (ENOBUFS), 2 times" in words
    assert picture.text.count("the kernel refused") == 2


def test_the_figure_has_title_and_alternative_text() -> None:
    picture = queue_figure(echoing(5)[0].trace, 1)
    root = ElementTree.fromstring(picture.svg)
    named = {element.get("id"): element.text for element in root.iter()}
    title, words = str(root.get("aria-labelledby")).split()
    assert (root.get("role"), named[title], named[words]) == ("img", picture.title, picture.text)


def test_the_figure_uses_colours_of_the_table_only() -> None:
    svg = queue_figure(echoing(*[2048] * 4, 100)[0].trace, 1).svg
    colours = {colour for pair in TOKENS.values() for colour in pair}
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= colours


def test_the_same_trace_gives_the_same_figure() -> None:
    first, second = (queue_figure(echoing(5, 10)[0].trace, 1).svg for _ in range(2))
    assert first == second


def test_a_socket_that_is_not_there_is_named_with_those_that_are() -> None:
    mac, _ = echoing(5)
    with pytest.raises(
        ValueError, match="no socket in this trace is socket 9; there are: socket 1"
    ):
        queue_figure(mac.trace, 9)


def test_a_unit_that_two_sockets_had_is_refused() -> None:
    mac, s = echoing(5)
    s.close()
    again = client(mac, "again")
    with pytest.raises(ValueError, match="more than one socket had unit 1"):
        queue_figure(mac.trace, unit=1)
    again.close()


def test_matplotlib_is_not_imported_before_a_figure_is_asked_for() -> None:
    probe = "import sys, kextlab.views; print({'numpy', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
