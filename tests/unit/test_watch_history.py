"""Each judge of what watchers were told sees its kind of fault, and nothing in a history that is good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.support.watch_history import (
    Connection,
    Event,
    Heartbeat,
    Log,
    Watcher,
    judge,
    ordered,
    reliable,
    resumable,
    unique,
)

PINGS = frozenset({"ping"})


def event(seq: int) -> Event:
    """Pings and pongs take turns; the odd ones are pings."""
    return Event(seq, f"id-{seq}", "ping" if seq % 2 else "pong", f"digest-{seq}")


def id_of(seq: int) -> str:
    return f"id-{seq}"


def log(*, pruned_through: int = 0, through: int = 12) -> Log:
    events = [event(seq) for seq in range(pruned_through + 1, through + 1)]
    return Log(id_of(pruned_through), pruned_through, events)


def connection(after: int, *told: int | Event | Heartbeat, live: bool = False) -> Connection:
    """One that began after that number, resumed there unless it is ``live``; a number stands for its event."""
    heard = [event(each) if isinstance(each, int) else each for each in told]
    return Connection("" if live else id_of(after), start=id_of(after), told=heard)


def beat(seq: int) -> Heartbeat:
    return Heartbeat(id_of(seq))


def good() -> Watcher:
    """From 2 to 12 over three connections and one that came to nothing, each ended somewhere else."""
    return Watcher(
        "good",
        connections=[
            connection(2, 3, 4, 5, beat(5), live=True),
            connection(5),
            connection(5, 6, 7, 8),
            Connection(resumed_from=id_of(8), end="UNAVAILABLE"),
            connection(8, beat(8), 9, 10, 11, 12, beat(12)),
        ],
    )


def good_filtered() -> Watcher:
    """The pings alone, from the start; what it resumed from was once a heartbeat."""
    first = Connection(from_start=True, start=id_of(0), told=[event(1), event(3), beat(4)])
    return Watcher(
        "filtered",
        PINGS,
        [first, connection(4, event(5), event(7)), connection(7, event(9), event(11), beat(12))],
    )


def change(number: int, *told: int | Event | Heartbeat) -> Callable[[Watcher], None]:
    """Another course of one of the connections of ``good``."""

    def plant(watcher: Watcher) -> None:
        watcher.connections[number].told = [event(each) if isinstance(each, int) else each for each in told]

    return plant


def retold(seq: int, **changes: object) -> Event:
    return replace(event(seq), **changes)  # type: ignore[arg-type]


def test_good_histories_pass() -> None:
    assert judge([good(), good_filtered()], log()) == {}


def test_a_log_that_was_pruned_before_a_watcher_came_is_good_from_there_on() -> None:
    watcher = Watcher("late", connections=[Connection(from_start=True, start=id_of(9), told=[])])
    watcher.connections[0].told = [event(10), event(11), event(12)]
    assert judge([watcher], log(pruned_through=9)) == {}


FAULTS: dict[str, tuple[Callable[[Watcher], None], set[str]]] = {
    "swapped": (change(2, 6, 8, 7), {"ordered"}),
    "doubled": (change(2, 6, 7, 7, 8), {"ordered", "unique"}),
    "lost in the middle": (change(2, 6, 8), {"ordered", "reliable"}),
    "lost at a resume": (change(4, 10, 11, 12), {"ordered", "reliable", "resumable"}),
    "doubled at a resume": (change(4, 8, 9, 10, 11, 12), {"ordered", "unique", "resumable"}),
    "lost at the first connection's begin": (change(0, 4, 5, beat(5)), {"reliable", "resumable"}),
    "from before the start": (change(0, 2, 3, 4, 5, beat(5)), {"reliable", "resumable"}),
    "lost at the end": (change(4, 9, 10, 11), {"reliable"}),
    "lost behind a heartbeat": (change(4, 9, 10, 11, beat(12)), {"reliable", "resumable"}),
    "invented": (change(4, 9, 10, 11, 12, 13), {"reliable"}),
    "another's": (change(2, 6, 7, retold(8, id="other-8")), {"reliable", "unique"}),
    "of another type": (change(2, 6, 7, retold(8, type="ping")), {"reliable", "unique"}),
    "of other contents": (change(2, 6, 7, retold(8, digest="other")), {"reliable", "unique"}),
    "one id for two": (change(2, 6, 7, retold(8, id=id_of(7))), {"reliable", "unique"}),
    "a heartbeat ahead of what was told": (
        change(4, 9, beat(10), 10, 11, 12),
        {"resumable"},
    ),
    "a later heartbeat ahead": (change(4, 9, beat(9), beat(11), 10, 11, 12), {"resumable"}),
    "a heartbeat at the begin, ahead": (change(4, beat(9), 9, 10, 11, 12), {"resumable"}),
    "a heartbeat behind what was told": (change(4, 9, 10, beat(9), 11, 12), {"resumable"}),
    "a heartbeat of another log": (change(4, 9, 10, Heartbeat("other-10"), 11, 12), {"resumable"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_by_the_judges_whose_it_is_and_by_no_other(name: str) -> None:
    plant, expected = FAULTS[name]
    watcher, witness = good(), good_filtered()
    # Told of 8, so that its identity is known from elsewhere.
    witness.types = frozenset()
    witness.connections = [Connection(from_start=True, start=id_of(0), told=[event(n) for n in range(1, 13)])]
    plant(watcher)
    violations = judge([witness, watcher], log())
    assert violations.keys() == expected
    assert all(line.startswith("good") for lines in violations.values() for line in lines)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((5, 9, 11, beat(12)), {"reliable"}),
        ((7, 9, 11, beat(12)), {"reliable", "resumable"}),
        ((5, 5, 7, 9, 11, beat(12)), {"ordered", "unique"}),
        ((7, 5, 9, 11, beat(12)), {"ordered", "resumable"}),
        ((5, 7, 9, beat(12), 11), {"resumable"}),
        ((5, 6, 7, 9, 11, beat(12)), {"reliable"}),
        ((3, 5, 7, 9, 11, beat(12)), {"ordered", "unique", "resumable"}),
        ((5, 7, 9, beat(11)), {"reliable", "resumable"}),
    ],
    ids=[
        "lost in the middle",
        "lost at a resume",
        "doubled",
        "swapped",
        "heartbeat ahead",
        "not asked for",
        "doubled at a resume",
        "lost at the end",
    ],
)
def test_faults_are_seen_behind_a_filter(told: Sequence[int | Heartbeat], expected: set[str]) -> None:
    watcher = good_filtered()
    watcher.connections[1:] = [connection(4, *told)]
    if expected == {"reliable"} and 7 not in told:
        # No heartbeat may vouch for what was lost: that would be another fault.
        watcher.connections[1].told.pop()
    assert judge([watcher], log()).keys() == expected


@pytest.mark.parametrize("start", [4, 6])
def test_a_start_other_than_the_id_that_was_asked_for_is_seen(start: int) -> None:
    watcher = good()
    watcher.connections[2].start = id_of(start)
    assert judge([watcher], log()).keys() == {"resumable"}


def test_a_start_from_the_beginning_that_is_not_there_is_seen() -> None:
    watcher = good_filtered()
    watcher.connections[0].start = id_of(1)
    watcher.connections[0].told = [event(3), beat(4)]
    assert judge([watcher], log()).keys() == {"resumable"}


def test_a_place_in_no_log_is_no_start() -> None:
    watcher = Watcher("lost", connections=[Connection(start="other-3", told=[event(4)])])
    assert judge([watcher], log()).keys() == {"reliable", "resumable"}


def test_who_was_never_told_a_start_shows_nothing_and_is_no_proof() -> None:
    watcher = Watcher("nobody", connections=[Connection(end="UNAVAILABLE")])
    assert reliable(watcher, log()) == ["nobody: was never told a start"]


def test_violations_say_who_was_told_what_and_where() -> None:
    watcher = good()
    change(4, 8, 10, 11, beat(12), 14)(watcher)
    assert ordered(watcher) == [
        "good, connection 5: 8 after 8",
        "good, connection 5: 10 after 8",
        "good, connection 5: 14 after 11",
    ]
    assert unique([watcher]) == ["good, connection 5: 8 again, after good, connection 3"]
    assert reliable(watcher, log()) == [
        "good, connection 5: 14 is not in the log",
        "good: was never told 9, 12, of 12",
    ]
    assert resumable(watcher, log()) == [
        "good, connection 5: began after 8 with 8",
        "good, connection 5: a heartbeat names 12, but 9, 12 had not been told",
    ]


def test_a_long_list_is_told_by_its_beginning_and_its_length() -> None:
    watcher = Watcher("quiet", connections=[connection(0)])
    assert reliable(watcher, log()) == ["quiet: was never told 1, 2, 3, 4, 5, … (12), of 12"]
