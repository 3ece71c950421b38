"""The pool as ranking reads it: every advisor at a position, a property a column.

A picture, kept current by whoever owns it: ``put`` and ``set_load`` take what was read from storage and ignore
what is older than what is known; ``reserve`` counts a slot that is about to be taken, so that whoever is
ranked next sees the load that will be. Not thread-safe.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from matching_server.domain.model import AdvisorSummary, AvailabilityStatus, ProjectComplexity
from matching_server.domain.scoring.formula import PoolAdvisor
from matching_server.domain.scoring.words import WordIndex
from matching_server.domain.scoring.working_hours import overlap_on

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
NEVER = -(2**63)
"""Stands for no last assignment: the longest wait of all."""
_ROOM = 64
_KEPT_ZONE_TABLES = 256


class State(IntEnum):
    """Whether an advisor can be offered a project now, and if not why, the least curable reason first."""

    FREE = 0
    AT_CAPACITY = 1
    BUSY = 2
    OFFLINE = 3
    INACTIVE = 4
    ABSENT = 5


_OF_STATUS = {AvailabilityStatus.BUSY: State.BUSY, AvailabilityStatus.OFFLINE: State.OFFLINE}
_COMPLEXITIES = tuple(ProjectComplexity)


class Pool:
    """The advisors of the pool. A position stays an advisor's for as long as they are in it."""

    def __init__(self, advisors: Iterable[PoolAdvisor] = ()) -> None:
        self.end = 0
        """Positions in use lie below."""
        self.counts = [0] * len(State)
        """Advisors in each state."""
        self.state = np.full(_ROOM, State.ABSENT, np.uint8)
        self.load_ratio = np.zeros(_ROOM)
        """Slots taken, reserved ones included / slots."""
        self.free = np.zeros(_ROOM, np.int32)
        """Free slots."""
        self.free_share = np.zeros(_ROOM)
        """Free slots / slots."""
        self.assigned = np.zeros(_ROOM, np.int64)
        """When last assigned, in microseconds since 1970; ``NEVER``."""
        self.rating_order = np.zeros(_ROOM)
        """The rating, negative: the best first."""
        self.id_high, self.id_low = np.zeros(_ROOM, np.uint64), np.zeros(_ROOM, np.uint64)
        self.zone = np.zeros(_ROOM, np.int32)
        self.likes = np.zeros((len(_COMPLEXITIES), _ROOM), np.uint8)
        """By complexity: 1 where it is preferred, or none is."""
        self.likes_any_framework = np.zeros(_ROOM, np.uint8)
        self.languages, self.frameworks = WordIndex(), WordIndex()
        self.factors, self.liked_frameworks = WordIndex(), WordIndex()
        self._advisors: list[PoolAdvisor | None] = []
        self._reserved: list[int] = []
        self._reserved_at: list[int] = []
        self._index: dict[UUID, int] = {}
        self._gaps: list[int] = []
        self._zones: dict[str | None, int] = {}
        self._zone_tables: dict[tuple[str | None, date, int], npt.NDArray[np.float64]] = {}
        for advisor in advisors:
            self.put(advisor)

    def __len__(self) -> int:
        """Advisors, inactive ones included."""
        return len(self._index)

    def __contains__(self, advisor_id: UUID) -> bool:
        return advisor_id in self._index

    @property
    def active(self) -> int:
        """Advisors that take part in matching: what the pool's size means."""
        return len(self) - self.counts[State.INACTIVE]

    @property
    def free_slots(self) -> int:
        """Slots of the free advisors that nobody has."""
        return int(self.free[: self.end][self.state[: self.end] == State.FREE].sum())

    def ids(self) -> set[UUID]:
        """Everybody's id."""
        return set(self._index)

    def position(self, advisor_id: UUID) -> int | None:
        """Where an advisor is, ``None`` where they are not in the pool."""
        return self._index.get(advisor_id)

    def positions(self, advisor_ids: Iterable[UUID]) -> list[int]:
        """Where those of them are who are in the pool."""
        found = (self._index.get(id_) for id_ in advisor_ids)
        return [position for position in found if position is not None]

    def at(self, position: int) -> PoolAdvisor:
        """The advisor at a position, reserved slots counted as taken."""
        advisor = self._advisors[position]
        assert advisor is not None
        reserved = self._reserved[position]
        if not reserved:
            return advisor
        return replace(
            advisor,
            current_projects=advisor.current_projects + reserved,
            last_assigned_at=from_micros(int(self.assigned[position])),
        )

    def put(self, advisor: PoolAdvisor) -> None:
        """Takes an advisor in, or takes over what has changed of them."""
        position = self._index.get(advisor.id)
        if position is None:
            position = self._new_position(advisor.id)
        else:
            known = self._advisors[position]
            assert known is not None
            if advisor.version <= known.version:
                return
        self._advisors[position] = _with_shared_words(advisor)
        self.rating_order[position] = -(advisor.summary.rating or 0.0)
        self.zone[position] = self._zones.setdefault(advisor.timezone, len(self._zones))
        preferences = advisor.preferences
        self.likes[:, position] = [
            not preferences.preferred_complexity or complexity in preferences.preferred_complexity
            for complexity in _COMPLEXITIES
        ]
        self.likes_any_framework[position] = not preferences.preferred_frameworks
        self.languages.put(position, advisor.languages)
        self.frameworks.put(position, advisor.frameworks)
        self.factors.put(position, advisor.factors)
        self.liked_frameworks.put(position, preferences.preferred_frameworks)
        self._show_load(position)

    def set_load(
        self,
        advisor_id: UUID,
        current_projects: int,
        last_assigned_at: datetime | None,
        *,
        version: int,
        profile_version: int,
    ) -> bool:
        """Takes over an advisor's load; returns whether what is known of them is then whole.

        Where it is not, since they are new or their profile has changed, they have to be read again.
        """
        position = self._index.get(advisor_id)
        if position is None:
            return False
        known = self._advisors[position]
        assert known is not None
        if version <= known.version:
            return True
        if profile_version != known.profile_version:
            return False
        self._advisors[position] = replace(
            known, current_projects=current_projects, last_assigned_at=last_assigned_at, version=version
        )
        self._show_load(position)
        return True

    def remove(self, advisor_id: UUID) -> None:
        """Forgets an advisor who is no longer stored."""
        position = self._index.pop(advisor_id, None)
        if position is None:
            return
        for words in (self.languages, self.frameworks, self.factors, self.liked_frameworks):
            words.put(position, ())
        self._advisors[position] = None
        self._set_state(position, State.ABSENT)
        self._gaps.append(position)

    def reserve(self, advisor_id: UUID, moment: datetime) -> None:
        """A slot of theirs is about to be taken."""
        self._reserve(advisor_id, 1, moment)

    def release(self, advisor_id: UUID) -> None:
        """It was taken, which their load says from now on, or it was not."""
        self._reserve(advisor_id, -1, None)

    def zone_table(self, owner_zone: str | None, day: date | None) -> npt.NDArray[np.float64]:
        """The overlap of working hours by zone number, for a date of the owner's."""
        if day is None:
            return np.full(max(len(self._zones), 1), 0.5)
        key = (owner_zone, day, len(self._zones))
        table = self._zone_tables.get(key)
        if table is None:
            table = np.array([float(overlap_on(zone, owner_zone, day)) for zone in self._zones])
            if len(self._zone_tables) >= _KEPT_ZONE_TABLES:
                self._zone_tables.clear()
            self._zone_tables[key] = table
        return table

    def _reserve(self, advisor_id: UUID, slots: int, moment: datetime | None) -> None:
        position = self._index.get(advisor_id)
        if position is not None:
            self._reserved[position] = max(0, self._reserved[position] + slots)
            if moment is not None:
                self._reserved_at[position] = to_micros(moment)
            self._show_load(position)

    def _show_load(self, position: int) -> None:
        advisor = self._advisors[position]
        assert advisor is not None
        reserved = self._reserved[position]
        load, slots = advisor.current_projects + reserved, advisor.max_concurrent_projects
        assigned = to_micros(advisor.last_assigned_at)
        self.assigned[position] = max(assigned, self._reserved_at[position]) if reserved else assigned
        self.load_ratio[position] = load / slots
        self.free[position] = max(slots - load, 0)
        self.free_share[position] = max(slots - load, 0) / slots
        if not advisor.active:
            state = State.INACTIVE
        else:
            state = _OF_STATUS.get(advisor.status, State.AT_CAPACITY if load >= slots else State.FREE)
        self._set_state(position, state)

    def _set_state(self, position: int, state: State) -> None:
        self.counts[self.state[position]] -= 1
        self.counts[state] += 1
        self.state[position] = state

    def _new_position(self, advisor_id: UUID) -> int:
        if self._gaps:
            position = self._gaps.pop()
            self._reserved[position] = 0
        else:
            position, self.end = self.end, self.end + 1
            if self.end > len(self.state):
                self._make_room()
            self._advisors.append(None)
            self._reserved.append(0)
            self._reserved_at.append(NEVER)
            self.counts[State.ABSENT] += 1
        self._index[advisor_id] = position
        self.id_high[position], self.id_low[position] = divmod(advisor_id.int, 1 << 64)
        return position

    def _make_room(self) -> None:
        def doubled(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.concatenate([column, np.zeros_like(column)], axis=-1)

        self.state = np.concatenate([self.state, np.full_like(self.state, State.ABSENT)])
        self.load_ratio, self.free_share = doubled(self.load_ratio), doubled(self.free_share)
        self.free = doubled(self.free)
        self.assigned, self.rating_order = doubled(self.assigned), doubled(self.rating_order)
        self.id_high, self.id_low = doubled(self.id_high), doubled(self.id_low)
        self.zone, self.likes = doubled(self.zone), doubled(self.likes)
        self.likes_any_framework = doubled(self.likes_any_framework)


def _with_shared_words(advisor: PoolAdvisor) -> PoolAdvisor:
    """The same advisor, equal words being one object: a hundred thousand profiles repeat few."""
    summary = advisor.summary
    return replace(
        advisor,
        summary=AdvisorSummary(
            summary.id,
            summary.display_name,
            _shared(summary.skills),
            _shared(summary.specialties),
            summary.rating,
            summary.avatar_url,
        ),
        languages=_shared(advisor.languages),
        frameworks=_shared(advisor.frameworks),
    )


def _shared(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(sys.intern, words))


def to_micros(moment: datetime | None) -> int:
    """Microseconds since 1970; ``NEVER`` for no moment."""
    return NEVER if moment is None else (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime | None:
    """The moment again."""
    return None if micros == NEVER else _EPOCH + micros * _MICROSECOND
