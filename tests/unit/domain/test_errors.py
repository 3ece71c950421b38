"""The tree of errors and the reasons of the contract cover each other."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest

from matching_server.domain import errors
from matching_server.domain.errors import (
    DomainError,
    DuplicateMatchRequest,
    EtagMismatch,
    EventIdInvalid,
    EventsCompacted,
    FieldViolation,
    InvalidArgument,
    InvalidTransition,
    MatchExpired,
    Reason,
    nobody_free,
)
from matching_server.domain.model import MatchStatus, PendingReason


def tree(root: type[DomainError] = DomainError) -> set[type[DomainError]]:
    return {root}.union(*(tree(child) for child in root.__subclasses__()))


GROUPS: set[type[DomainError]] = {errors.NotFound, errors.PreconditionFailed}
"""Never raised as such: they carry the root's reason."""
RAISED = sorted(
    (error for error in tree() - GROUPS if error.__module__ == errors.__name__), key=lambda e: e.__name__
)


def test_every_reason_has_a_class_or_is_listed() -> None:
    missing = set(Reason) - {error.reason for error in RAISED}
    assert missing == set(), "a reason without a class"


def test_a_reason_belongs_to_one_class() -> None:
    assert [reason for reason, times in Counter(error.reason for error in RAISED).items() if times > 1] == []


@pytest.mark.parametrize("error", sorted(GROUPS, key=str))
def test_a_group_has_no_reason_of_its_own(error: type[DomainError]) -> None:
    assert "reason" not in vars(error)


def test_the_reason_is_spelled_as_in_the_contract() -> None:
    assert all(reason.name == reason.value for reason in Reason)


def test_not_found_names_what_was_looked_for() -> None:
    for error in errors.NotFound.__subclasses__():
        id_ = uuid4()
        if error is not errors.JobNotFound:
            assert str(error(id_)) == f"no {error.noun} with id {id_}"
        assert str(id_) in str(error(id_))
        assert error.noun in error.__name__.lower()


def test_errors_tell_machines_what_they_are_about() -> None:
    match, project = uuid4(), uuid4()
    assert DuplicateMatchRequest(project, match).metadata == {"match_id": str(match)}
    assert MatchExpired(match).metadata == {"match_id": str(match)}
    assert EtagMismatch(match).metadata == {"match_id": str(match)}
    assert EventsCompacted("e1").metadata == {"oldest_event_id": "e1"}
    step = InvalidTransition(MatchStatus.PENDING, MatchStatus.ADVISOR_ACCEPTED)
    assert step.metadata == {"from": "pending", "to": "advisor_accepted"}


def test_bad_fields_are_told_together() -> None:
    error = InvalidArgument([FieldViolation("a.b", "is odd"), FieldViolation("c", "is missing")])
    assert str(error) == "a.b: is odd; c: is missing"
    assert [violation.field for violation in error.violations] == ["a.b", "c"]
    assert EventIdInvalid.of("last_event_id", "is odd").violations == (
        FieldViolation("last_event_id", "is odd"),
    )


@pytest.mark.parametrize("why", list(PendingReason))
def test_who_would_not_wait_is_told_what_a_pending_match_would_say(why: PendingReason) -> None:
    assert nobody_free(why).reason.value == why.name
