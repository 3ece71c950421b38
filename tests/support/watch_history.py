"""What watchers of a project were told, set against its log: a history of each, and its judges.

``ordered``, ``unique``, ``reliable`` and ``resumable`` are checks of their own. Each gives its violations as lines
for people to read; none is good. They do no I/O: ``read_log`` is what fetches the truth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from sys import intern
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection as Database
from sqlalchemy import text

from advisor_matching.v1.types_pb2 import ProjectEvent
from matching_server.domain.events import encode_event_id

_SHOWN = 5
"""Numbers that a violation lists."""


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the log. ``digest`` is of what it says, and of who did it and when."""

    seq: int
    id: str
    type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life, with the id to resume from."""

    id: str


@dataclass(slots=True)
class Connection:
    """One attempt to watch: what was asked for, where it began, what came of it, and how it ended."""

    resumed_from: str = ""
    """The id in the request; empty where there was none."""
    from_start: bool = False
    start: str = ""
    """The id that the initial metadata announced; empty: it was never established."""
    told: list[Event | Heartbeat] = field(default_factory=list)
    end: str = ""
    """Empty: nobody noted it."""

    def hear(self, event: ProjectEvent) -> None:
        """Notes a message of the stream."""
        if event.WhichOneof("payload") == "heartbeat":
            self.told.append(Heartbeat(event.heartbeat.last_event_id))
        else:
            # Interned, since many are told the same: a long run has a million of these.
            digest = intern(_told_digest(event.SerializeToString()))
            self.told.append(Event(event.seq, intern(event.id), intern(event.type), digest))

    @property
    def position(self) -> str:
        """The id to resume from; empty where it is not known."""
        return self.told[-1].id if self.told else self.start

    @property
    def events(self) -> list[Event]:
        """What it told, heartbeats aside."""
        return [told for told in self.told if isinstance(told, Event)]


@dataclass(slots=True)
class Watcher:
    """Who watched a project, through all connections. ``types`` are those it asked for, none meaning all."""

    name: str
    types: frozenset[str] = frozenset()
    connections: list[Connection] = field(default_factory=list)

    @property
    def established(self) -> list[Connection]:
        """The connections that were told where they start."""
        return [connection for connection in self.connections if connection.start]

    @property
    def position(self) -> str:
        """The id to resume from; empty where it is not known."""
        return self.established[-1].position if self.established else ""

    def numbered(self) -> Iterator[tuple[str, Event]]:
        """Every event it was told, and where: which watcher, which connection."""
        for number, connection in enumerate(self.connections, 1):
            for event in connection.events:
                yield f"{self.name}, connection {number}", event

    def wants(self, event: Event) -> bool:
        """Whether it asked for such events."""
        return not self.types or event.type in self.types


@dataclass(frozen=True)
class Log:
    """A project's log in the end. ``start`` is the id of the place before its first event."""

    start: str
    pruned_through: int
    events: Sequence[Event]

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The number of each id that names a place in it."""
        return {self.start: self.pruned_through} | {event.id: event.seq for event in self.events}

    @cached_property
    def by_seq(self) -> Mapping[int, Event]:
        """Its events by their numbers."""
        return {event.seq: event for event in self.events}

    @property
    def end(self) -> str:
        """The id of its end."""
        return self.events[-1].id if self.events else self.start

    def between(self, after: int, through: int) -> Iterator[Event]:
        """The events after the one number, the other included."""
        numbers = range(max(after, self.pruned_through) + 1, through + 1)
        return (self.by_seq[seq] for seq in numbers if seq in self.by_seq)


# ------------------------------------------------------------------------------------------------------- the judges


def ordered(watcher: Watcher) -> list[str]:
    """Numbers rise by one, within a connection and over resumes; with a filter, they rise."""
    violations, last = [], None
    for where, event in watcher.numbered():
        if last is not None and not (event.seq > last if watcher.types else event.seq == last + 1):
            violations.append(f"{where}: {event.seq} after {last}")
        last = event.seq
    return violations


def unique(watchers: Iterable[Watcher]) -> list[str]:
    """No watcher is told an event twice, and an id names one event, an event has one id, whoever is told.

    The watchers are those of one project.
    """
    violations = []
    events: dict[str, Event] = {}
    ids: dict[int, str] = {}
    for watcher in watchers:
        seen: dict[int, str] = {}
        for where, event in watcher.numbered():
            if event.seq in seen:
                violations.append(f"{where}: {event.seq} again, after {seen[event.seq]}")
            seen[event.seq] = where
            if events.setdefault(event.id, event) != event:
                violations.append(f"{where}: {event.id} names {event}, and {events[event.id]}")
            if ids.setdefault(event.seq, event.id) != event.id:
                violations.append(f"{where}: {event.seq} has the id {event.id}, and {ids[event.seq]}")
    return violations


def reliable(watcher: Watcher, log: Log) -> list[str]:
    """It was told all that the log holds after its start, of the types it asked for, and nothing else."""
    if not watcher.established:
        return [f"{watcher.name}: was never told a start"]
    start = log.places.get(watcher.established[0].start)
    if start is None:
        return [f"{watcher.name}: started at {watcher.established[0].start}, which is no place in the log"]
    violations, told = [], set[int]()
    for where, event in watcher.numbered():
        told.add(event.seq)
        stored = log.by_seq.get(event.seq)
        if stored is None:
            violations.append(f"{where}: {event.seq} is not in the log")
        elif stored != event:
            violations.append(f"{where}: was told {event}, but the log holds {stored}")
        elif not watcher.wants(event):
            violations.append(f"{where}: {event.seq} is a {event.type}, which it did not ask for")
        elif event.seq <= start:
            violations.append(f"{where}: {event.seq} was there before its start at {start}")
    through = log.places[log.end]
    lost = [
        event.seq for event in log.between(start, through) if watcher.wants(event) and event.seq not in told
    ]
    if lost:
        violations.append(f"{watcher.name}: was never told {_some(lost)}, of {through}")
    return violations


def resumable(watcher: Watcher, log: Log) -> list[str]:
    """A connection begins right after the id it resumed from, and every heartbeat names a place up to which all was
    told before it, with nothing told beyond.
    """
    return [
        f"{watcher.name}, connection {number}: {violation}"
        for number, connection in enumerate(watcher.connections, 1)
        if connection.start
        for violation in _misplaced(watcher, connection, log)
    ]


def judge(watchers: Sequence[Watcher], log: Log) -> dict[str, list[str]]:
    """What each judge has to say of a project's watchers; judges without anything to say are left out."""
    said = {
        "ordered": [line for watcher in watchers for line in ordered(watcher)],
        "unique": unique(watchers),
        "reliable": [line for watcher in watchers for line in reliable(watcher, log)],
        "resumable": [line for watcher in watchers for line in resumable(watcher, log)],
    }
    return {name: lines for name, lines in said.items() if lines}


def _misplaced(watcher: Watcher, connection: Connection, log: Log) -> Iterator[str]:
    wanted_start = connection.resumed_from or (log.start if connection.from_start else connection.start)
    if connection.start != wanted_start:
        yield f"asked for what follows {wanted_start}, and began at {connection.start}"
    start = log.places.get(wanted_start)
    if start is None:
        yield f"began at {wanted_start}, which is no place in the log"
        return
    told, complete, first = set[int](), start, True
    for message in connection.told:
        if isinstance(message, Event):
            told.add(message.seq)
            passed = (
                [one.seq for one in log.between(start, message.seq - 1) if watcher.wants(one)]
                if first
                else []
            )
            if first and (passed or message.seq <= start):
                yield f"began after {start} with {message.seq}" + (
                    f", passing {_some(passed)}" if passed else ""
                )
            first = False
            continue
        place = log.places.get(message.id)
        if place is None:
            yield f"a heartbeat names {message.id}, which is no place in the log"
            continue
        ahead = [
            one.seq for one in log.between(complete, place) if watcher.wants(one) and one.seq not in told
        ]
        if ahead:
            yield f"a heartbeat names {place}, but {_some(ahead)} had not been told"
        if place < max(told, default=start):
            yield f"a heartbeat names {place}, but {max(told, default=start)} had been reached"
        complete = max(complete, place)


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    return shown if len(numbers) <= _SHOWN else f"{shown}, … ({len(numbers)})"


# -------------------------------------------------------------------------------------------------------- the truth


def read_log(database: Database, project: str) -> Log:
    """What the log of the project holds now, read past the service's own reading."""
    epoch = database.execute(text("SELECT epoch FROM event_log_epoch")).scalar_one()
    pruned = text("SELECT pruned_through FROM project_event_heads WHERE project_id = :project")
    pruned_through = database.execute(pruned, {"project": project}).scalar() or 0
    rows = database.execute(
        text("SELECT * FROM project_events WHERE project_id = :project ORDER BY seq"), {"project": project}
    )
    log = (epoch, UUID(project))
    events = [
        Event(
            row.seq,
            encode_event_id(*log, row.seq),
            row.type,
            _digest(row.type, row.user_id, row.created_at, _stored_values(row.type, row.payload)),
        )
        for row in rows
    ]
    return Log(encode_event_id(*log, pruned_through), pruned_through, events)


_PAYLOADS = {
    "advisor.workspace_ready": "workspace_ready",
    "advisor.provisioning_failed": "provisioning_failed",
    "advisor.released": "released",
    "message.new": "message",
}
"""The field of a payload by its event; every other one tells of a match."""


@lru_cache(maxsize=2_000)
def _told_digest(data: bytes) -> str:
    event = ProjectEvent.FromString(data)
    payload = getattr(event, _PAYLOADS.get(event.type, "match"))
    user = None if event.user_id == "system" else event.user_id
    return _digest(event.type, user, event.timestamp, _told_values(payload))


def _digest(type_: str, user: object, at: object, values: Mapping[str, Any]) -> str:
    said = [type_, str(user) if user else None, _microseconds(at), values]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _told_values(payload: Message) -> dict[str, Any]:
    """What a payload says, in the words of the rows."""
    return {
        each.name: value
        for each, stated in payload.ListFields()
        if (value := _told_value(each, stated)) not in (None, "", 0, {})
    }


def _told_value(each: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return _microseconds(value)
    if each.enum_type is not None:
        prefix = each.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return str(each.enum_type.values_by_number[value].name).removeprefix(prefix).lower()
    return _told_values(value) if isinstance(value, Message) else value


def _stored_values(type_: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of what its event can tell."""
    descriptor = ProjectEvent.DESCRIPTOR.fields_by_name[_PAYLOADS.get(type_, "match")].message_type
    return _values_of(descriptor, payload)


def _values_of(descriptor: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for each in descriptor.fields:
        value = row.get(each.name)
        if value is not None and each.message_type is not None:
            is_time = each.message_type.full_name == Timestamp.DESCRIPTOR.full_name
            value = _microseconds(value) if is_time else _values_of(each.message_type, value)
        if value not in (None, "", 0, {}):
            values[each.name] = value
    return values


def _microseconds(at: object) -> int:
    if isinstance(at, Timestamp):
        return at.ToMicroseconds()
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    assert isinstance(moment, datetime)
    stated = Timestamp()
    stated.FromDatetime(moment)
    return stated.ToMicroseconds()
