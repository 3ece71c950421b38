"""This process's picture of the pool, from which advisors are proposed; the claim in the database decides.

A hint makes it prompt: what this server writes is in it before the answer goes out, what others write as soon
as they tell. Looking makes it true: every second, and before a ranking that would rest on a look older than
``MAX_AGE_SECONDS``, as after a long sleep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import Connection

from matching_server.domain.effects import Load
from matching_server.domain.errors import DomainError
from matching_server.domain.scoring import (
    RUNNERS_UP,
    Candidate,
    Pool,
    PoolAdvisor,
    Ranking,
    RankingRequest,
    State,
    rank,
)
from matching_server.storage import pool as stored
from matching_server.storage.database import Database

MAX_AGE_SECONDS = 2.0
PROPOSED = 1 + RUNNERS_UP
"""Candidates of a proposal: whom to claim, and who is stored as having come next."""
_READ_AGAIN = 32
"""More than there are calls under way for the same advisors, as a rule."""

# Linux has one that goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_log = structlog.get_logger(__name__)


def boot_clock() -> float:
    """Seconds since some moment; goes on while the process is frozen or the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class Proposal:
    """A ranking whose best candidate is counted as taken here, until the block ends.

    So two calls that are under way together in one server are ranked as if one had come after the other.
    """

    def __init__(self, picture: Picture, ranking: Ranking) -> None:
        self.ranking = ranking
        self._picture = picture
        self._reserved = ranking.candidates[0].advisor.id if ranking.candidates else None

    @property
    def best(self) -> Candidate | None:
        """The first choice."""
        return self.ranking.candidates[0] if self.ranking.candidates else None

    def end(self, load: Load | None = None) -> None:
        """The claim has committed, with the load that it wrote, or it has not. Once is enough."""
        if self._reserved is not None:
            self._picture.end_proposal(self._reserved, load)
            self._reserved = None

    def refused(self) -> None:
        """The first choice was no longer as ranked: others are at work, who may have taken the next ones, too."""
        self.end()
        self._picture.read_best_again(self.ranking.request, self.ranking.decided_at)


class Picture:
    """The pool in memory, kept current from the database.

    Args:
        database: where the pool is stored.
        max_age: seconds for which a look is good enough to rank on.
    """

    def __init__(self, database: Database, *, max_age: float = MAX_AGE_SECONDS) -> None:
        self._database = database
        self._max_age = max_age
        self._pool = Pool()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._since = 0
        self._looked_at = float("-inf")

    def propose(self, request: RankingRequest, moment: datetime) -> Proposal:
        """Ranks the pool and counts the best candidate as taken.

        Raises:
            StorageUnavailable: the picture is too old, and the database does not answer.
        """
        self._look_if_old()
        with self._lock:
            ranking = rank(self._pool, request, moment, PROPOSED)
            if ranking.candidates:
                self._pool.reserve(ranking.candidates[0].advisor.id, moment)
        return Proposal(self, ranking)

    def rank(self, request: RankingRequest, moment: datetime, limit: int = PROPOSED) -> Ranking:
        """Ranks the pool as it is stored now; raises as ``propose`` does."""
        self.look()
        with self._lock:
            return rank(self._pool, request, moment, limit)

    def survey(
        self, request: RankingRequest, moment: datetime, limit: int
    ) -> tuple[Ranking, list[PoolAdvisor]]:
        """The same, with everybody who was ranked or left out."""
        self.look()
        with self._lock:
            everybody = [self._pool.at(position) for position in self._pool.positions(self._pool.ids())]
            return rank(self._pool, request, moment, limit), everybody

    def in_state(self, state: State) -> int:
        """How many advisors are in a state."""
        return self._pool.counts[state]

    def free_slots(self) -> int:
        """Slots of the free advisors that nobody has."""
        with self._lock:
            return self._pool.free_slots

    def look(self) -> None:
        """Takes over whatever has changed in the database, and forgets who is no longer there."""
        with self._looking:
            began = boot_clock()
            self._database.read_only(self._take_over)
            self._looked_at = began

    def set_loads(self, loads: Iterable[Load]) -> None:
        """Takes over loads that were written here."""
        with self._lock:
            unknown = [load.advisor_id for load in loads if not self._set_load(load)]
        if unknown:
            self.read_again(unknown)

    def hear(self, loads: Iterable[Load]) -> bool:
        """Takes over loads that another server tells of; returns whether that was all that there is to know."""
        with self._lock:
            heard = [self._set_load(load) for load in loads]
        return all(heard)

    def read_again(self, advisor_ids: Sequence[UUID]) -> None:
        """Takes over what is stored of these; where that fails, the next ranking looks for itself."""
        try:
            found = self._database.read(lambda conn: stored.some(conn, advisor_ids))
        except DomainError as error:
            _log.warning("picture_not_updated", advisors=len(advisor_ids), reason=error.reason.value)
            self._looked_at = float("-inf")
            return
        self._put(found)
        missing = set(advisor_ids) - {advisor.id for advisor in found}
        with self._lock:
            for advisor_id in missing:
                self._pool.remove(advisor_id)

    def read_best_again(self, request: RankingRequest, moment: datetime) -> None:
        """Takes over what is stored of those who would be ranked first."""
        with self._lock:
            ranking = rank(self._pool, request, moment, _READ_AGAIN)
        self.read_again([candidate.advisor.id for candidate in ranking.candidates])

    def end_proposal(self, advisor_id: UUID, load: Load | None) -> None:
        """See ``Proposal.end``."""
        with self._lock:
            if load is not None:
                self._set_load(load)
            self._pool.release(advisor_id)

    def _look_if_old(self) -> None:
        if boot_clock() - self._looked_at > self._max_age:
            self.look()

    def _take_over(self, conn: Connection) -> None:
        seen = stored.look(conn, self._since)
        if seen.changed:
            for page in stored.changed(conn, self._since):
                self._put(page)
        if len(self._pool) != seen.advisors:
            gone = self._pool.ids() - stored.ids(conn)
            with self._lock:
                for advisor_id in gone:
                    self._pool.remove(advisor_id)
        self._since = seen.horizon

    def _put(self, advisors: Iterable[PoolAdvisor]) -> None:
        for advisor in advisors:
            # Let go between two: a bulk import must not hold up who ranks.
            with self._lock:
                self._pool.put(advisor)

    def _set_load(self, load: Load) -> bool:
        return self._pool.set_load(
            load.advisor_id,
            load.current_projects,
            load.last_assigned_at,
            version=load.version,
            profile_version=load.profile_version,
        )
