"""Each invariant finds what breaks it, and nothing else is found."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from matching_server.storage.invariants import INVARIANTS, MAX_ROWS, audit
from tests.support.history import History, every_fate
from tests.support.seed import insert_advisor, insert_advisors
from tests.support.violations import CASES, PLANTED, on_job


@pytest.fixture
def history(conn: Connection) -> History:
    return History(conn)


def test_there_are_twelve_with_names_of_their_own() -> None:
    assert [invariant.number for invariant in INVARIANTS] == list(range(1, 13))
    assert len({invariant.name for invariant in INVARIANTS}) == 12


def test_an_empty_database_is_sound(conn: Connection) -> None:
    assert audit(conn) == []


def test_every_fate_of_a_match_is_sound(history: History) -> None:
    every_fate(history)
    assert audit(history.conn) == []


@pytest.mark.parametrize("forgotten", range(1, 8))
def test_a_history_that_retention_cut_anywhere_is_sound(history: History, forgotten: int) -> None:
    every_fate(history)
    history.run(
        "UPDATE project_event_heads SET pruned_through = least(:forgotten, last_seq)", forgotten=forgotten
    )
    history.run("DELETE FROM project_events WHERE seq <= :forgotten", forgotten=forgotten)
    assert audit(history.conn) == []


def test_a_history_whose_projects_and_people_are_gone_is_sound(history: History) -> None:
    fates = every_fate(history)
    history.run("DELETE FROM projects WHERE id = :project", project=history.get(fates["ready"], "project_id"))
    released = history.get(fates["released"], "matched_advisor_id")
    history.run("DELETE FROM auth.users WHERE id = :advisor", advisor=released)
    assert audit(history.conn) == []


@pytest.mark.plants_violations
def test_a_breach_is_told_with_its_rows_and_only_by_the_names_asked_for(history: History) -> None:
    advisor = insert_advisor(history.conn)
    history.run("UPDATE advisor_availability SET current_projects = 2")
    [violation] = audit(history.conn)
    assert violation.rows == ({"advisor_id": str(advisor), "current_projects": "2", "counted": "0"},)
    assert f"advisor_id={advisor}" in str(violation)
    assert audit(history.conn, names=["one_unsettled_match"]) == []


@pytest.mark.plants_violations
def test_of_a_great_many_breaches_some_are_told(history: History) -> None:
    insert_advisors(history.conn, MAX_ROWS + 1)
    history.run("UPDATE advisor_availability SET current_projects = 1")
    [violation] = audit(history.conn)
    assert len(violation.rows) == MAX_ROWS


def test_what_is_late_by_less_than_two_sweeps_is_sound(history: History) -> None:
    history.set(history.offered(), "expires_at = clock_timestamp() - interval '5 s'")
    assert audit(history.conn, sweep_seconds=5) == []
    assert audit(history.conn, sweep_seconds=1) != []


def test_the_number_of_attempts_is_a_setting(history: History) -> None:
    every_fate(history)
    assert audit(history.conn, max_attempts=3) == []
    assert [violation.invariant for violation in audit(history.conn, max_attempts=2)] == ["failures_are_told"]


def test_every_invariant_is_broken_by_some_case() -> None:
    assert list(PLANTED) == [invariant.name for invariant in INVARIANTS]


@pytest.mark.plants_violations
@pytest.mark.parametrize(("name", "fault"), CASES, ids=[": ".join(case) for case in CASES])
def test_a_planted_violation_is_found_and_nothing_else(history: History, name: str, fault: str) -> None:
    fates = every_fate(history)
    PLANTED[name][fault](history, fates)
    assert [violation.invariant for violation in audit(history.conn)] == [name]


@pytest.mark.plants_violations
def test_a_negative_load_is_found_twice(history: History) -> None:
    insert_advisor(history.conn)
    history.run("ALTER TABLE advisor_availability DROP CONSTRAINT ck_advisor_availability_current_projects")
    history.run("UPDATE advisor_availability SET current_projects = -1")
    found = [violation.invariant for violation in audit(history.conn)]
    assert found == ["load_is_counted", "capacity_is_respected"]


@pytest.mark.plants_violations
def test_a_failed_job_that_was_not_rolled_back_is_found(history: History) -> None:
    fates = every_fate(history)
    on_job("queued", "status = 'failed'")(history, fates)
    found = [violation.invariant for violation in audit(history.conn)]
    assert found == ["finalized_was_decided", "failures_are_told"]
