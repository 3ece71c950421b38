"""What happened in a run: what was written, with the times at which it became so, and what callers were told.

``recorder`` takes it from a database, ``promises`` judges it. Times are seconds on the one clock of the machine
that the database and the callers share.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import NamedTuple, TypeVar

from matching_server.domain.model import MatchStatus

K = TypeVar("K")
V = TypeVar("V")

_DECLINED = (MatchStatus.CLIENT_DECLINED, MatchStatus.ADVISOR_DECLINED)
_HOLDING = frozenset(
    {MatchStatus.MATCHED, MatchStatus.CLIENT_APPROVED, MatchStatus.ADVISOR_ACCEPTED, MatchStatus.FINALIZED}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A match as it was asked for."""

    id: str
    project: str
    owner: str
    created: float
    """What the backlog is ordered by, together with the id; for one that was refused, when that was."""
    expires: float = inf
    """As it was asked for, without the renewal by a rollback; or when its project was deleted."""
    excluded: frozenset[str] = frozenset()
    allow_previous: bool = False
    assigned: bool = False
    """By an admin, who goes ahead of everybody."""
    emergency: bool = False
    """Assigned over the advisor's maximum."""

    @property
    def place(self) -> tuple[float, str]:
        """Its place in the order of those who wait."""
        return (self.created, self.id)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a match, and the times of the transaction that made it."""

    match: str
    status: MatchStatus
    began: float
    locked: float
    """When it had the project's lock: what its event is dated. A new match's may be earlier."""
    committed: float
    advisor: str | None = None
    actor: str | None = None
    released: bool = False
    """The advisor has been taken off the project, whatever the match's status says."""

    @property
    def holds_slot(self) -> bool:
        """Whether the match counts for its advisor from now on."""
        return self.status in _HOLDING and not self.released

    @property
    def claimed_by_advisor(self) -> bool:
        """The advisor has taken the match out of the queue by themselves."""
        return self.actor is not None and self.actor == self.advisor


@dataclass(frozen=True, slots=True)
class Version:
    """An advisor's availability from a commit on."""

    advisor: str
    committed: float
    slots: int
    load: int
    available: bool = True
    """Active, and with the status for it."""

    @property
    def free(self) -> bool:
        """Whether the advisor could be offered a project."""
        return self.available and self.load < self.slots


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller was told of a match, and when the call was made and answered."""

    match: str
    status: MatchStatus | None
    """``None``: nobody was free, and the caller would not wait. The request is known, and no match was made."""
    started: float
    ended: float
    asked: bool = True
    """The call was for an advisor, and not a decision."""

    @property
    def turned_away(self) -> bool:
        """Whether the caller has asked for an advisor and was told that nobody is free."""
        return self.asked and self.status in {None, MatchStatus.PENDING}


class Span(NamedTuple):
    """From one moment to another."""

    start: float
    end: float


class Waiting(NamedTuple):
    """When a pending match waited, and the step that ended it."""

    request: Request
    span: Span
    ended: Step | None


@dataclass(frozen=True)
class History:
    """A run from its very beginning. ``steps`` and ``versions`` are in the order of their commits."""

    requests: Mapping[str, Request]
    steps: Sequence[Step]
    versions: Sequence[Version]
    answers: Sequence[Answer] = field(default_factory=list)

    @cached_property
    def steps_of(self) -> Mapping[str, list[Step]]:
        """The steps of each match."""
        return _grouped((step.match, step) for step in self.steps)

    @cached_property
    def versions_of(self) -> Mapping[str, list[Version]]:
        """The versions of each advisor."""
        return _grouped((version.advisor, version) for version in self.versions)

    @cached_property
    def loads_of(self) -> Mapping[str, list[tuple[float, int]]]:
        """How many matches each advisor held from which commit on, by the steps alone."""
        loads: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        for step, advisor, change in loaded(self.steps):
            load = loads[advisor][-1][1] if loads[advisor] else 0
            loads[advisor].append((step.committed, load + change))
        return loads

    @cached_property
    def free_spans_of(self) -> Mapping[str, list[Span]]:
        """When each advisor could be offered a project: from one commit to another."""
        return {advisor: _free_spans(versions) for advisor, versions in self.versions_of.items()}

    @cached_property
    def waits(self) -> Sequence[Waiting]:
        """When pending matches waited, in the order in which the waiting began."""
        found = []
        for match, steps in self.steps_of.items():
            for number, step in enumerate(steps):
                if step.status is MatchStatus.PENDING:
                    ended = steps[number + 1] if number + 1 < len(steps) else None
                    span = Span(step.committed, ended.committed if ended else inf)
                    found.append(Waiting(self.requests[match], span, ended))
        return sorted(found, key=lambda wait: wait.span.start)

    def takes(self, request: Request, advisor: str) -> float:
        """From when on the advisor may be offered to that request; ``inf`` is never.

        Who declined, or was declined, is out for good: runs are shorter than the cool-down.
        """
        if advisor == request.owner or advisor in request.excluded:
            return inf
        pair = (request.project, advisor)
        if not request.allow_previous and self._declined.get(pair, inf) <= request.created:
            return inf
        active = self._active.get(pair, [])
        number = bisect_right(active, request.created, key=lambda span: span.start) - 1
        return active[number].end if number >= 0 else -inf

    @cached_property
    def _declined(self) -> Mapping[tuple[str, str], float]:
        """When a project and an advisor declined each other for the first time."""
        first: dict[tuple[str, str], float] = {}
        for step in self.steps:
            if step.status in _DECLINED and step.advisor is not None:
                first.setdefault((self.requests[step.match].project, step.advisor), step.committed)
        return first

    @cached_property
    def _active(self) -> Mapping[tuple[str, str], list[Span]]:
        """When an advisor worked on a project."""
        spans: defaultdict[tuple[str, str], list[Span]] = defaultdict(list)
        for steps in self.steps_of.values():
            since: float | None = None
            for step in [*steps, None]:
                if step is not None and step.status is MatchStatus.FINALIZED and step.holds_slot:
                    since = step.committed if since is None else since
                elif since is not None:
                    advisor = steps[-1].advisor
                    assert advisor is not None
                    pair = (self.requests[steps[-1].match].project, advisor)
                    spans[pair].append(Span(since, step.committed if step else inf))
                    since = None
        return {pair: sorted(found) for pair, found in spans.items()}


def loaded(steps: Iterable[Step]) -> Iterator[tuple[Step, str, int]]:
    """The steps that take a slot of an advisor (+1), or give one back (-1)."""
    holders: dict[str, str] = {}
    for step in steps:
        if step.holds_slot and step.match not in holders:
            assert step.advisor is not None
            holders[step.match] = step.advisor
            yield step, step.advisor, +1
        elif not step.holds_slot and step.match in holders:
            yield step, holders.pop(step.match), -1


def _free_spans(versions: Iterable[Version]) -> list[Span]:
    spans: list[Span] = []
    free_since: float | None = None
    for version in versions:
        if version.free and free_since is None:
            free_since = version.committed
        elif not version.free and free_since is not None:
            spans.append(Span(free_since, version.committed))
            free_since = None
    if free_since is not None:
        spans.append(Span(free_since, inf))
    return spans


def _grouped(pairs: Iterable[tuple[K, V]]) -> Mapping[K, list[V]]:
    groups: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups
