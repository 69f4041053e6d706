"""The words at the boundary of a static picture: nothing crosses them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kextlab import Kernel
from kextlab.views import units_picture
from kextlab.views.boundary import WIDE, Span, crossed, free
from tests.unit import scene_local_machines, scene_mach_machines, scene_machines

END = 640.0
places = st.integers(0, int(END)).map(float)
spans = st.lists(st.tuples(places, st.integers(1, 120)).map(lambda one: (one[0], one[0] + one[1])))


def clear(right: float, crossing: list[Span]) -> bool:
    return all(high <= right - WIDE or right <= low for low, high in crossing)


@given(spans)
def test_the_last_free_place_is_found(crossing: list[Span]) -> None:
    right = free(crossing, END)
    ends = [END, *(low for low, _ in crossing if WIDE <= low <= END)]
    best = max((end for end in ends if clear(end, crossing)), default=None)
    assert right == best


def test_an_arrow_is_wider_where_it_leaves_the_hatching_aslant() -> None:
    assert crossed(100, 100, 0.2) == (96, 104)
    left, right = crossed(100, 600, 0.2)
    assert left == 96
    assert 110 < right < 150
    assert crossed(600, 100, 0.2)[1] == 604


@pytest.mark.parametrize(
    "machine",
    [
        scene_local_machines.local,
        scene_mach_machines.both,
        scene_mach_machines.crowd,
        scene_mach_machines.page,
        scene_machines.full,
        lambda: scene_machines.many(12, 1_200),
    ],
)
def test_nothing_crosses_the_words(machine: Callable[[], Kernel]) -> None:
    svg = units_picture(machine()).svg
    parts = re.split(r'(?=<g transform="translate\(0 \d)', svg)
    found = 0
    for part in parts:
        for words in re.findall(r'<text x="([\d.]+)"[^>]*>system call boundary', part):
            right = float(words) + 8
            arrows = [float(x) for x in re.findall(r'd="M([\d.]+) [\d.]+C', part)]
            pipes = re.findall(r'<rect x="([\d.]+)" y="99" width="([\d.]+)"', part)
            crossing = [(x, x) for x in arrows]
            crossing += [(float(x), float(x) + float(wide)) for x, wide in pipes]
            assert crossing
            assert clear(right, crossing)
            found += 1
    assert found == len(parts) - (parts[0].find("system call boundary") < 0)
