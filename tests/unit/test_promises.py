"""The judges of `tests/support/promises.py` see each breach, and blame nobody who kept their word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pytest

from matching_server.domain.model import MatchStatus
from tests.support import promises
from tests.support.happened import Answer, History, Request, Step, Version

S = MatchStatus
CHECKS = (
    promises.slots_given_twice,
    promises.loads_miscounted,
    promises.turned_away_while_free,
    promises.overtaken,
    promises.answers_never_true,
)
CLOSED = {S.CLIENT_DECLINED, S.ADVISOR_DECLINED, S.EXPIRED}
OWNER = "olga"


@dataclass
class Story:
    """Tells a history in the order of time; each sentence is a transaction, and takes 10 ms unless told otherwise."""

    requests: dict[str, Request] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def history(self) -> History:
        return History(self.requests, self.steps, self.versions, self.answers)

    def breaches(self) -> set[str]:
        """Which promises are broken."""
        return {check.__name__ for check in CHECKS if check(self.history)}

    def advisor(self, name: str, at: float = 0.0, **columns: Any) -> None:
        """An advisor comes, with one slot, or changes."""
        earlier = [version for version in self.versions if version.advisor == name]
        version = earlier[-1] if earlier else Version(name, at, slots=1, load=0)
        self.versions.append(replace(version, committed=at, **columns))

    def pending(self, match: str, at: float, **request: Any) -> None:
        """A match is asked for and has to wait."""
        self._request(match, at, request)
        self._step(match, S.PENDING, at, None, actor=OWNER)

    def matched(self, match: str, advisor: str, at: float, **how: Any) -> None:
        """A match gets its advisor: from the backlog where it waits, by its own call where it does not."""
        actor = how.pop("actor", None if match in self.requests else OWNER)
        times = {name: how.pop(name) for name in ("began", "locked") if name in how}
        if match not in self.requests:
            self._request(match, times.get("locked", at - 0.01), how)
        self._step(match, S.MATCHED, at, advisor, actor=actor, **times)
        self._load(advisor, at, +1)

    def moved(self, match: str, status: MatchStatus, at: float, *, released: bool = False) -> None:
        """A match takes another step."""
        advisor = self.steps_of(match)[-1].advisor
        self._step(match, status, at, advisor, actor=OWNER, released=released)
        if advisor is not None and (released or status in CLOSED):
            self._load(advisor, at, -1)

    def told(self, match: str, status: MatchStatus | None, started: float, ended: float, **how: Any) -> None:
        """A caller is answered."""
        if status is None:
            self._request(match, ended, how)
        self.answers.append(Answer(match, status, started, ended))

    def steps_of(self, match: str) -> list[Step]:
        return [step for step in self.steps if step.match == match]

    def _request(self, match: str, at: float, columns: dict[str, Any]) -> None:
        named = {"project": f"project of {match}", "owner": OWNER} | columns
        self.requests[match] = Request(id=match, created=at, **named)

    def _step(
        self,
        match: str,
        status: MatchStatus,
        at: float,
        advisor: str | None,
        *,
        actor: str | None,
        began: float | None = None,
        locked: float | None = None,
        released: bool = False,
    ) -> None:
        began = at - 0.01 if began is None else began
        locked = began if locked is None else locked
        self.steps.append(Step(match, status, began, locked, at, advisor, actor, released))

    def _load(self, advisor: str, at: float, change: int) -> None:
        last = next(version for version in reversed(self.versions) if version.advisor == advisor)
        self.versions.append(replace(last, committed=at, load=last.load + change))


@pytest.fixture
def story() -> Story:
    """Ada has one slot, and nothing has happened yet."""
    story = Story()
    story.advisor("ada")
    return story


def test_a_day_on_which_every_promise_is_kept(story: Story) -> None:
    story.matched("first", "ada", at=1.0)
    story.told("first", S.MATCHED, 0.9, 1.1)
    story.pending("second", at=2.0)
    story.told("second", S.PENDING, 1.9, 2.1)
    story.pending("third", at=3.0)
    story.told("late", None, 3.2, 3.4)
    story.moved("first", S.CLIENT_DECLINED, at=4.0)
    story.matched("second", "ada", at=4.5)
    story.told("second", S.MATCHED, 4.0, 5.0)
    story.moved("second", S.CLIENT_APPROVED, at=5.5)
    story.moved("second", S.FINALIZED, at=6.0)
    story.advisor("ada", at=7.0, slots=2)
    story.matched("third", "ada", at=7.2)
    assert story.breaches() == set()
    assert Counter(round(wait.seconds, 6) for wait in promises.waited_while_free(story.history)) == {
        0.5: 2,
        0.2: 1,
    }


# ---------------------------------------------------------------------------------------------------------- slots


def test_a_slot_that_is_given_twice_is_seen(story: Story) -> None:
    story.matched("first", "ada", at=1.0)
    story.matched("second", "ada", at=2.0)
    assert story.breaches() == {"slots_given_twice"}


def test_the_maximum_is_that_of_the_moment(story: Story) -> None:
    story.advisor("ada", at=0.5, slots=2)
    story.matched("first", "ada", at=1.0)
    story.advisor("ada", at=1.5, slots=1)
    assert story.breaches() == set(), "who has more than the maximum keeps it"
    story.moved("first", S.EXPIRED, at=2.0)
    story.matched("second", "ada", at=3.0)
    assert story.breaches() == set()
    story.matched("third", "ada", at=4.0)
    assert story.breaches() == {"slots_given_twice"}


def test_an_emergency_may_go_beyond_the_maximum(story: Story) -> None:
    story.matched("first", "ada", at=1.0)
    story.matched("second", "ada", at=2.0, assigned=True, emergency=True)
    assert story.breaches() == set()


def test_a_finalized_match_keeps_its_slot_until_it_is_over(story: Story) -> None:
    story.matched("first", "ada", at=1.0)
    story.moved("first", S.FINALIZED, at=2.0)
    story.moved("first", S.FINALIZED, at=3.0)
    assert promises.waited_while_free(story.history) == []
    story.moved("first", S.FINALIZED, at=4.0, released=True)
    story.matched("second", "ada", at=5.0)
    story.told("first", S.FINALIZED, 4.5, 4.6)
    assert story.breaches() == set()


@pytest.mark.parametrize("load", [0, 2])
def test_a_row_that_counts_otherwise_is_seen(story: Story, load: int) -> None:
    story.matched("first", "ada", at=1.0)
    story.advisor("ada", at=2.0, load=load)
    assert story.breaches() == {"loads_miscounted"}


def test_what_a_transaction_has_passed_through_is_not_judged(story: Story) -> None:
    story.matched("first", "ada", at=1.0)
    story.advisor("ada", at=2.0, load=0)
    story.advisor("ada", at=2.0, load=1)
    assert story.breaches() == set()


# ------------------------------------------------------------------------------------------------- being turned away


def wait_through(story: Story, **request: Any) -> set[str]:
    """Somebody asks while Ada is free, and is told to wait."""
    story.pending("match", at=5.05, **request)
    story.told("match", S.PENDING, 5.0, 5.1)
    return story.breaches()


def test_who_is_told_to_wait_while_somebody_is_free_is_seen(story: Story) -> None:
    assert wait_through(story) == {"turned_away_while_free"}


def test_so_is_who_would_not_wait(story: Story) -> None:
    story.told("late", None, 5.0, 5.1)
    assert story.breaches() == {"turned_away_while_free"}


@pytest.mark.parametrize(
    "request_of", [{"owner": "ada"}, {"excluded": frozenset({"ada"})}, {"expires": 5.09}], ids=str
)
def test_who_may_not_have_an_advisor_has_to_wait(story: Story, request_of: dict[str, Any]) -> None:
    assert wait_through(story, **request_of) == set()


@pytest.mark.parametrize("allowed", [False, True])
def test_who_declined_is_free_only_for_those_who_allow_it(story: Story, allowed: bool) -> None:
    story.matched("earlier", "ada", at=1.0, project="p")
    story.moved("earlier", S.ADVISOR_DECLINED, at=2.0)
    breaches = wait_through(story, project="p", allow_previous=allowed)
    assert breaches == ({"turned_away_while_free"} if allowed else set())


def test_what_happens_later_is_no_excuse(story: Story) -> None:
    wait_through(story, project="p")
    story.matched("match", "ada", at=6.0)
    story.moved("match", S.ADVISOR_DECLINED, at=7.0)
    assert story.breaches() == {"turned_away_while_free"}


@pytest.mark.parametrize("released", [False, True])
def test_who_works_on_the_project_is_free_for_it_once_they_no_longer_do(story: Story, released: bool) -> None:
    story.advisor("ada", at=0.5, slots=2)
    story.matched("earlier", "ada", at=1.0, project="p")
    story.moved("earlier", S.FINALIZED, at=2.0)
    if released:
        story.moved("earlier", S.FINALIZED, at=3.0, released=True)
    assert wait_through(story, project="p") == ({"turned_away_while_free"} if released else set())


def test_an_advisor_who_was_not_free_all_the_time_does_not_count(story: Story) -> None:
    story.matched("other", "ada", at=5.04)
    assert wait_through(story) == set()


@pytest.mark.parametrize("change", [{"available": False}, {"slots": 1, "load": 1}])
def test_an_advisor_who_has_only_just_become_free_does_not_count(
    story: Story, change: dict[str, Any]
) -> None:
    story.advisor("ada", at=0.5, **change)
    story.advisor("ada", at=5.0 - promises.SHOWN / 2, available=True, load=0)
    story.pending("match", at=5.05)
    story.told("match", S.PENDING, 5.0, 5.1)
    assert promises.turned_away_while_free(story.history) == []


def test_of_several_advisors_one_who_is_free_is_enough(story: Story) -> None:
    story.advisor("bob", available=False)
    story.advisor("bob", at=2.0, available=True)
    story.matched("other", "ada", at=4.0)
    assert wait_through(story) == {"turned_away_while_free"}


# -------------------------------------------------------------------------------------------------------- the order


def queue(story: Story, **older: Any) -> Story:
    """Ada is busy; one waits, and then another."""
    story.advisor("ada", at=0.5, available=False)
    story.pending("older", at=1.0, **older)
    story.pending("younger", at=2.0)
    story.advisor("ada", at=3.0, available=True)
    return story


def test_a_younger_one_that_is_served_first_is_seen(story: Story) -> None:
    queue(story).matched("younger", "ada", at=3.1)
    assert story.breaches() == {"overtaken"}
    [line] = promises.overtaken(story.history)
    assert "match younger was given advisor ada" in line
    assert "by the backlog pass" in line


def test_so_is_a_newcomer_that_takes_what_others_wait_for(story: Story) -> None:
    queue(story).matched("newcomer", "ada", at=3.5)
    assert story.breaches() == {"overtaken"}
    assert all("by its own call" in line for line in promises.overtaken(story.history))
    assert len(promises.overtaken(story.history)) == 2


def test_it_is_no_excuse_that_the_advisor_came_free_in_the_middle(story: Story) -> None:
    queue(story).matched("younger", "ada", at=3.1, began=2.5)
    assert story.breaches() == {"overtaken"}


@pytest.mark.parametrize(
    "older", [{"owner": "ada"}, {"excluded": frozenset({"ada"})}, {"expires": 3.05}], ids=str
)
def test_who_could_not_have_had_the_advisor_is_not_overtaken(story: Story, older: dict[str, Any]) -> None:
    queue(story, **older).matched("younger", "ada", at=3.1)
    assert story.breaches() == set()


def test_the_oldest_goes_first_and_then_the_next(story: Story) -> None:
    queue(story).advisor("ada", at=3.05, slots=2)
    story.matched("older", "ada", at=3.1)
    story.matched("younger", "ada", at=3.2)
    assert story.breaches() == set()


def test_who_is_being_served_or_closed_at_that_moment_is_not_overtaken(story: Story) -> None:
    queue(story).advisor("ada", at=3.05, slots=2)
    story.matched("younger", "ada", at=3.2, began=3.05)
    story.matched("older", "ada", at=3.4, began=3.0, locked=3.1)
    assert story.breaches() == set()


def test_who_was_not_yet_to_be_seen_is_not_overtaken(story: Story) -> None:
    """The older one's transaction took long: it has the earlier date, and could not be known of."""
    story.advisor("ada", at=0.5, slots=2, available=False)
    story.pending("older", at=1.0)
    story.pending("younger", at=2.0)
    story.steps[0] = replace(story.steps[0], committed=2.95)
    story.steps.reverse()
    story.advisor("ada", at=2.9, available=True)
    story.matched("younger", "ada", at=3.1, began=3.0)
    assert story.breaches() == set()


@pytest.mark.parametrize("how", [{"assigned": True}, {"actor": "ada"}])
def test_an_admin_and_an_advisor_choose_as_they_like(story: Story, how: dict[str, Any]) -> None:
    queue(story).matched("newcomer", "ada", at=3.5, **how)
    assert story.breaches() == set()


def test_equal_dates_are_ordered_by_id(story: Story) -> None:
    story.advisor("ada", at=0.5, available=False)
    story.pending("a", at=1.0)
    story.pending("b", at=1.0)
    story.advisor("ada", at=3.0, available=True)
    first, second = Story(**vars(story)), Story(**vars(story))
    first.steps, first.versions = list(story.steps), list(story.versions)
    first.matched("a", "ada", at=3.1)
    assert first.breaches() == set()
    second.matched("b", "ada", at=3.1)
    assert second.breaches() == {"overtaken"}


# ------------------------------------------------------------------------------------------------------- the waiting


def test_waiting_is_counted_from_where_both_are_there_to_where_one_goes(story: Story) -> None:
    queue(story).matched("older", "ada", at=3.7)
    story.moved("older", S.EXPIRED, at=5.0)
    story.moved("younger", S.CLIENT_DECLINED, at=6.5)
    waits = promises.waited_while_free(story.history)
    assert [(wait.match, round(wait.seconds, 6)) for wait in waits] == [
        ("younger", 1.5),
        ("younger", 0.7),
        ("older", 0.7),
    ]


def test_waiting_ends_with_the_time_of_the_match(story: Story) -> None:
    queue(story, expires=3.4)
    [older] = [wait for wait in promises.waited_while_free(story.history) if wait.match == "older"]
    assert older.seconds == pytest.approx(0.4)


@pytest.mark.parametrize("released", [False, True])
def test_waiting_for_those_whom_one_may_not_have_is_not_counted(story: Story, released: bool) -> None:
    story.advisor("ada", at=0.5, slots=2)
    story.matched("earlier", "ada", at=1.0, project="p")
    story.moved("earlier", S.FINALIZED, at=2.0)
    story.pending("match", at=3.0, project="p")
    if released:
        story.moved("earlier", S.FINALIZED, at=4.0, released=True)
    story.moved("match", S.CLIENT_DECLINED, at=5.0)
    waits = promises.waited_while_free(story.history)
    assert [round(wait.seconds, 6) for wait in waits] == ([1.0] if released else [])


def test_who_is_free_in_turn_is_not_free_all_the_time(story: Story) -> None:
    story.advisor("bob", available=False)
    queue(story).matched("older", "ada", at=3.5)
    story.advisor("bob", at=3.5, available=True)
    story.matched("younger", "bob", at=4.0)
    assert promises.waited_while_free(story.history)[0].seconds == pytest.approx(0.5)


def test_who_waits_in_vain_is_named(story: Story) -> None:
    queue(story, expires=9.0, excluded=frozenset({"bob"}))
    assert promises.waiting_in_vain(story.history, now=4.0) == ["younger", "older"]
    assert promises.waiting_in_vain(story.history, now=9.5) == ["younger"]
    assert promises.waited_while_free(story.history)[0].seconds == inf
    story.matched("younger", "ada", at=9.6)
    assert promises.waiting_in_vain(story.history, now=9.7) == []


# ------------------------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize(
    ("status", "started", "ended", "true"),
    [
        (S.PENDING, 0.9, 1.1, True),
        (S.PENDING, 1.5, 3.5, True),
        (S.MATCHED, 1.5, 3.5, True),
        (S.MATCHED, 1.5, 2.5, False),
        (S.PENDING, 3.5, 3.6, False),
        (S.MATCHED, 3.5, 3.6, True),
        (S.CLIENT_APPROVED, 3.5, 3.6, False),
        (S.PENDING, 0.5, 0.9, False),
        (S.EXPIRED, 6.5, 7.5, True),
        (S.EXPIRED, 5.5, 6.5, False),
    ],
)
def test_an_answer_has_to_have_been_so_in_the_course_of_the_call(
    story: Story, status: MatchStatus, started: float, ended: float, true: bool
) -> None:
    story.advisor("ada", at=0.5, available=False)
    story.pending("match", at=1.0, expires=7.0)
    story.advisor("ada", at=2.9, available=True)
    story.matched("match", "ada", at=3.0)
    story.told("match", status, started, ended)
    assert (promises.answers_never_true(story.history) == []) is true
