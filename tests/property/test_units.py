"""The fast list of units against XNU's own: one linked list that is walked."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kextlab.bsd.kctl_units import Units

MAXUNIT = 65536
EDGES = [0, 1, 2, 3, 5, 65533, 65534, 65535, 65536, 0xFFFFFFFE, 0xFFFFFFFF]


@dataclass(eq=False)
class Client:
    unit: int
    name: int
    prev: Any = None
    next: Any = None
    position: int = -1


class Both:
    """``Units`` and the naive list, given the same things to do."""

    def __init__(self) -> None:
        self.units: Units[Client] = Units()
        self.naive: list[Client] = []
        self.made = 0

    def walk(self) -> tuple[int, Client | None] | None:
        """ctl_setup_kctl: the unit, and the client before which it goes."""
        unit = 1
        for client in self.naive:
            if client.unit > unit:
                return unit, client
            unit = (client.unit + 1) & 0xFFFFFFFF
            if unit == MAXUNIT:
                return None
        return unit, None

    def lookup(self, unit: int) -> Client | None:
        """kcb_find: the first of that unit."""
        return next((client for client in self.naive if client.unit == unit), None)

    def insert(self, unit: int, before: Client | None) -> Client:
        client = Client(unit, self.made)
        self.made += 1
        at = len(self.naive) if before is None else self.naive.index(before)
        self.naive.insert(at, client)
        self.units.insert(client, before)
        return client

    def auto(self) -> Client | None:
        found = self.walk()
        assert self.units.free_unit() == found
        return self.insert(*found) if found is not None else None

    def remove(self, client: Client) -> None:
        self.naive.remove(client)
        self.units.remove(client)

    def rename(self, client: Client, unit: int) -> None:
        old, client.unit = client.unit, unit
        self.units.renamed(client, old)

    def any(self, at: int) -> Client:
        return self.naive[at % len(self.naive)]

    def check(self) -> None:
        """Order, links, ends, count, index, search."""
        order = []
        client = self.units.first
        while client is not None:
            order.append(client)
            client = client.next
        assert order == self.naive
        assert [client.prev for client in order] == [None, *order][: len(order)]
        assert self.units.last is (order[-1] if order else None)
        assert self.units.count == len(order)
        positions = [client.position for client in order]
        assert positions == sorted(set(positions))
        for unit in {client.unit for client in order} | {0, 1, 65535}:
            assert self.units.find(unit) is self.lookup(unit)
        assert set(self.units.by_unit) == {client.unit for client in order}
        assert self.units.free_unit() == self.walk()


units = st.one_of(st.integers(0, 12), st.sampled_from(EDGES))
operations = st.lists(
    st.one_of(
        st.just(("auto", 0, 0)),
        st.tuples(st.just("explicit"), units, st.just(0)),
        st.tuples(st.just("remove"), st.just(0), st.integers(0, 99)),
        st.tuples(st.just("rename"), units, st.integers(0, 99)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(operations)
def test_units_answers_as_the_walk_whatever_came_before(
    steps: list[tuple[str, int, int]],
) -> None:
    both = Both()
    for kind, unit, at in steps:
        if kind == "auto":
            both.auto()
        elif kind == "explicit":
            both.insert(unit, None)
        elif both.naive and kind == "remove":
            both.remove(both.any(at))
        elif both.naive:
            both.rename(both.any(at), unit)
        both.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_long_run_of_comings_and_goings_stays_with_the_walk(seed: int) -> None:
    chance = random.Random(seed)
    both = Both()
    for step in range(3000):
        kind = chance.random()
        if kind < 0.45 or not both.naive:
            both.auto()
        elif kind < 0.55:
            both.insert(chance.choice([chance.randrange(1, 400), *EDGES]), None)
        elif kind < 0.95:
            both.remove(both.any(chance.randrange(1 << 16)))
        else:
            both.rename(both.any(chance.randrange(1 << 16)), chance.randrange(0, 400))
        if step % 50 == 0:
            both.check()
    both.check()


def test_more_insertions_into_one_gap_than_positions_renumber_the_list() -> None:
    both = Both()
    first, last = both.insert(1, None), both.insert(60000, None)
    far = last.position
    for _ in range(200):
        both.auto()
    both.check()
    assert first.position < last.position
    assert last.position > far


def test_insertions_at_the_head_keep_the_order() -> None:
    both = Both()
    both.insert(5, None)
    for _ in range(200):
        client = both.auto()
        assert client is both.naive[0]
        both.rename(client, 3)  # so that unit 1 is free again, before it
    both.check()


def test_unit_65535_ends_the_walk_only_when_it_is_reached() -> None:
    both = Both()
    both.insert(65535, None)
    assert both.units.free_unit() == (1, both.naive[0])
    both.rename(both.insert(1, both.naive[0]), 65535)
    gap = both.naive[0]
    assert both.units.free_unit() == (1, gap)
    both.rename(gap, 1)
    both.rename(both.naive[1], 2)
    both.insert(65535, None)
    assert both.units.free_unit() == (3, both.naive[2])


def test_every_unit_taken_leaves_none() -> None:
    both = Both()
    for unit in range(1, 65536):
        both.units.insert(Client(unit, unit), None)
    assert both.units.free_unit() is None
    taken = both.units.find(40000)
    assert taken is not None
    both.units.remove(taken)
    found = both.units.free_unit()
    assert found is not None
    assert (found[0], found[1].unit if found[1] else None) == (40000, 40001)


def test_what_is_remembered_does_not_grow_with_clients_that_come_and_go() -> None:
    units: Units[Client] = Units()
    last = Client(9, 0)
    units.insert(last, None)
    for name in range(1, 500):
        client = Client(7, name)
        units.insert(client, last)
        units.remove(client)
    assert len(units._gaps) < 100
    assert units.free_unit() == (1, last)
