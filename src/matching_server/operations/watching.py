"""Who may see a project's events, where a watch begins, and the events afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import EventIdUnknown, EventsCompacted, ProjectNotFound
from matching_server.domain.events import ProjectEvent, decode_event_id, encode_event_id
from matching_server.domain.model import Caller
from matching_server.domain.streams import OpenStream
from matching_server.operations import open_streams
from matching_server.operations.commands import ListEvents, WatchProject
from matching_server.operations.runner import Runner
from matching_server.storage import event_log, reach
from matching_server.storage.database import Database, Transaction
from matching_server.storage.event_log import LogBounds


@dataclass(frozen=True, slots=True)
class WatchRights:
    """What a caller may see of a project: everything, or the events of the matches offered to them."""

    everything: bool
    matches: frozenset[UUID] = frozenset()
    by_place: bool = False
    """The right comes from the caller's place in the project, and ends with it."""

    def allow(self, event: ProjectEvent) -> bool:
        """Whether the caller may see the event."""
        return self.everything or event.match_id in self.matches


@dataclass(frozen=True, slots=True)
class WatchStart:
    """A watch sees what comes after number ``seq``, of which there is something already up to ``last_seq``.

    ``stream`` is how it counts among its user's. ``contests``: older ones of the user may have to go.
    """

    project_id: UUID
    seq: int
    last_seq: int
    event_id: str
    rights: WatchRights
    stream: OpenStream
    contests: bool = False


def begin_watch(runner: Runner, call: Call, command: WatchProject, *, server_id: UUID) -> WatchStart:
    """Fixes where a watch begins: whatever commits later has a higher number. ``server_id`` is who will hold it.

    Raises:
        ProjectNotFound: no such project for the caller.
        EventIdInvalid, EventIdUnknown: the id is none, or none of this log.
        EventsCompacted: events after the id have been pruned.
    """
    return runner.run(_begin, call, command, server_id=server_id, per_user=runner.policy.streams_per_user)


def _begin(
    tx: Transaction, call: Call, command: WatchProject, *, server_id: UUID, per_user: int
) -> WatchStart:
    rights = watch_rights(tx.conn, call.caller, command.project_id)
    if rights is None:
        raise ProjectNotFound(command.project_id)
    epoch = event_log.epoch(tx.conn)
    bounds = event_log.bounds(tx.conn, command.project_id)
    seq = _start(epoch, command, bounds)
    stream, contests = open_streams.enter(
        tx, call, watch_id=command.watch_id, server_id=server_id, per_user=per_user
    )
    event_id = encode_event_id(epoch, command.project_id, seq)
    return WatchStart(command.project_id, seq, bounds.last_seq, event_id, rights, stream, contests)


def _start(epoch: UUID, command: WatchProject, bounds: LogBounds) -> int:
    if command.last_event_id is None:
        return bounds.pruned_through if command.from_start else bounds.last_seq
    return _position(epoch, command.project_id, bounds, command.last_event_id, "last_event_id")


def _position(epoch: UUID, project_id: UUID, bounds: LogBounds, event_id: str, field: str) -> int:
    """The number that an id names, after which nothing is missing."""
    seq = decode_event_id(event_id, epoch, project_id, field)
    if seq > bounds.last_seq:
        raise EventIdUnknown
    if seq < bounds.pruned_through:
        raise compacted(epoch, project_id, bounds)
    return seq


def compacted(epoch: UUID, project_id: UUID, bounds: LogBounds) -> EventsCompacted:
    """The error that names the oldest place from which nothing is missing."""
    return EventsCompacted(encode_event_id(epoch, project_id, bounds.pruned_through))


def watch_rights(conn: Connection, caller: Caller, project_id: UUID) -> WatchRights | None:
    """What the caller may see of a project's events now, ``None`` for nothing at all."""
    parts = reach.parts(conn, caller, project_id)
    if parts is None:
        return None
    owned, advised, offered = parts
    if owned or advised:
        return WatchRights(everything=True, by_place=not owned)
    return WatchRights(everything=False, matches=frozenset(offered), by_place=True)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of a log's events, and the id of the position reached; ``epoch`` is the log's."""

    events: tuple[ProjectEvent, ...]
    epoch: UUID
    event_id: str


def list_events(runner: Runner, call: Call, command: ListEvents) -> EventPage:
    """The events that the caller may see; fewer than asked for where the end of the log was reached.

    Raises:
        ProjectNotFound: no such project for the caller.
        EventIdInvalid, EventIdUnknown: the id is none, or none of this log.
        EventsCompacted: events after the id have been pruned.
    """
    # At one moment: events that are pruned between two looks would be missing in silence.
    return runner.database.read_only(lambda conn: _list(conn, call, command))


def _list(conn: Connection, call: Call, command: ListEvents) -> EventPage:
    project_id = command.project_id
    rights = watch_rights(conn, call.caller, project_id)
    if rights is None:
        raise ProjectNotFound(project_id)
    epoch, bounds = event_log.epoch(conn), event_log.bounds(conn, project_id)
    seq = bounds.pruned_through
    if command.after_event_id is not None:
        seq = _position(epoch, project_id, bounds, command.after_event_id, "after_event_id")
    found = event_log.read_after(
        conn, project_id, seq, command.size, of_matches=None if rights.everything else rights.matches
    )
    # What the caller may not see is behind them, too, once the end was reached.
    reached = found[-1].seq if len(found) == command.size else bounds.last_seq
    return EventPage(tuple(found), epoch, encode_event_id(epoch, project_id, reached))


class EventSource:
    """What the streams read of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.epoch = database.read(event_log.epoch)

    def after(self, project_id: UUID, seq: int, limit: int) -> list[ProjectEvent]:
        """The events after number ``seq``, in order."""
        return self._database.read(lambda conn: event_log.read_after(conn, project_id, seq, limit))

    def was_replaced(self) -> bool:
        """Whether the database has other logs than when this was last asked, such as those of a backup."""
        before, self.epoch = self.epoch, self._database.read(event_log.epoch)
        return before != self.epoch

    def moved_on(self, shown: Mapping[UUID, int]) -> list[UUID]:
        """Projects whose log goes beyond these numbers."""
        return self._database.read(lambda conn: event_log.moved_on(conn, shown))

    def owned(self, watched: Sequence[tuple[UUID, Caller]]) -> list[bool]:
        """Whether each of these callers may watch as the project's owner, as most do."""
        owned = self._database.read(lambda conn: reach.owned_among(conn, watched))
        return [place in owned for place in range(len(watched))]

    def rights(self, caller: Caller, project_id: UUID) -> WatchRights | None:
        """What the caller may see now."""
        return self._database.read(lambda conn: watch_rights(conn, caller, project_id))

    def compacted(self, project_id: UUID) -> EventsCompacted:
        """The error for a watch whose next event is gone."""
        bounds = self._database.read(lambda conn: event_log.bounds(conn, project_id))
        return compacted(self.epoch, project_id, bounds)
