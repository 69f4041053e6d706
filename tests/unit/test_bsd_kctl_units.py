"""The list of units in small: where the walk stops, which client is found, positions."""

from dataclasses import dataclass
from typing import Any

import pytest

from kextlab.bsd.kctl_units import Units


@dataclass(eq=False)
class Client:
    unit: int
    prev: Any = None
    next: Any = None
    position: int = -1


def listed(*numbers: int) -> tuple[Units[Client], list[Client]]:
    units: Units[Client] = Units()
    clients = [Client(number) for number in numbers]
    for client in clients:
        units.insert(client, None)
    return units, clients


@pytest.mark.parametrize(
    ("numbers", "unit", "before"),
    [
        ((), 1, None),
        ((1, 2), 3, None),
        ((1, 3), 2, 1),
        ((2,), 1, 0),
        ((2, 1), 1, 0),  # unit-order-quirk: 1 is taken, and handed out again
        ((1, 5, 2), 2, 1),
        ((0,), 1, None),
        ((0xFFFFFFFF,), 1, 0),
        ((1, 0xFFFFFFFF, 0), 2, 1),
        ((65534,), 1, 0),
        ((65535,), 1, 0),
    ],
)
def test_the_walk_stops_before_the_first_larger_unit(
    numbers: tuple[int, ...], unit: int, before: int | None
) -> None:
    units, clients = listed(*numbers)
    assert units.free_unit() == (unit, None if before is None else clients[before])


def renumber(client: Client, unit: int) -> int:
    old, client.unit = client.unit, unit
    return old


def test_a_gap_before_the_end_is_found_first() -> None:
    units, clients = listed(3, 65535)
    assert units.free_unit() == (1, clients[0])


def test_a_stop_that_a_rename_took_away_is_passed() -> None:
    units, (one, two) = listed(5, 6)
    units.renamed(one, renumber(one, 1))
    assert units.free_unit() == (2, two)
    units.renamed(two, renumber(two, 2))
    assert units.free_unit() == (3, None)


def test_the_first_in_the_list_is_found_whatever_came_later() -> None:
    units, (last,) = listed(5)
    first = Client(5)
    units.insert(first, last)
    assert units.find(5) is first
    units.remove(first)
    assert units.find(5) is last
    units.remove(last)
    assert units.find(5) is None
    assert (units.first, units.last, units.count) == (None, None, 0)


def test_removing_from_the_middle_closes_the_list() -> None:
    units, (one, two, three) = listed(1, 2, 3)
    units.remove(two)
    assert (one.next, three.prev, units.first, units.last) == (three, one, one, three)


def test_a_renamed_client_is_found_by_its_new_unit() -> None:
    units, (one, _) = listed(1, 2)
    units.renamed(one, renumber(one, 9))
    assert (units.find(1), units.find(9)) == (None, one)
    assert units.free_unit() == (1, one)


def test_a_stop_that_was_taken_away_and_comes_back_is_found() -> None:
    units, (client,) = listed(65534)
    units.renamed(client, renumber(client, 1))
    units.renamed(client, renumber(client, 65534))
    assert units.free_unit() == (1, client)


def test_a_gap_that_an_insertion_closes_is_passed() -> None:
    units, (_, three) = listed(1, 3)
    units.insert(Client(2), three)
    assert units.free_unit() == (4, None)


def test_an_insertion_that_finds_room_moves_nobody() -> None:
    units, (one, two) = listed(1, 3)
    before = one.position, two.position
    units.insert(Client(2), two)
    assert (one.position, two.position) == before


@pytest.mark.parametrize("at_head", [True, False])
def test_more_insertions_in_one_place_than_there_are_positions_keep_the_order(
    at_head: bool,
) -> None:
    units, clients = listed(*((9,) if at_head else (8, 9)))
    before = clients[-1]
    for _ in range(100):
        client = Client(5)
        units.insert(client, before)
        assert client.position < before.position
        before = client if at_head else before
    order = []
    at = units.first
    while at is not None:
        order.append(at.position)
        at = at.next
    assert order == sorted(set(order))
    assert len(order) == 100 + len(clients)


def test_clients_that_left_are_forgotten() -> None:
    units, _ = listed(1)
    for unit in (9, 65535):
        client = Client(unit)
        units.insert(client, None)
        units.remove(client)
    assert (units._gaps, units._ends) == ([], [])
    assert units.free_unit() == (2, None)


def test_unit_65535_is_found_and_is_the_last() -> None:
    units, _ = listed(*range(1, 65535))
    assert units.free_unit() == (65535, None)
    units.insert(Client(65535), None)
    assert units.free_unit() is None
