"""A watcher that comes back 10,000 events later, against reading the rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from benchmarks.harness import calls, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.load import GrpcCall
from benchmarks.harness.processes import cpu_seconds_of
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Connection, Server, Stage
from benchmarks.harness.watchers import Watchers
from matching_server.domain.event_json import payload_to_json
from matching_server.domain.events import ChatMessage, EventType, encode_event_id
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode

BEHIND = 10_000
PROJECT = seed.project_id(0)
MARKER = b"message.new"

_READ = """
    SELECT project_id, seq, type, payload, user_id, correlation_id, created_at
    FROM project_events WHERE project_id = %s AND seq > %s ORDER BY seq
"""


def measure(effort: Effort) -> Outcome:
    """The time until the last of 10,000 events has come, or of fewer where it is to be short."""
    behind = round(BEHIND * min(1.0, effort.seconds / FULL.seconds))
    rows = Comparison(f"{behind:,} events", "service", "psycopg", "ms", Goal(3.0, 1.5, "lower"))
    sends = Comparison("the same messages by bare grpcio", "service", "bare grpcio", "ms")
    cpu: list[float] = []
    with Stage() as stage:
        url = stage.database()
        conn = stage.connect(url)
        seed.insert_projects(conn, 1, seed.stacks(1))
        _insert_events(conn, behind)
        after = encode_event_id(_epoch(conn), PROJECT, 0)
        server, watchers = stage.server(url), stage.watchers()
        _, address = stage.fanout(threads=1, senders=1)
        message = _message(watchers, server, after, behind)

        def resume() -> float:
            made = calls.watch(server, [PROJECT], after=after)
            return _received(watchers, server.address, calls.WATCH, made, behind)

        def replay() -> float:
            made = [GrpcCall(behind.to_bytes(4, "big") + message)]
            return _received(watchers, address, "/bench.Fanout/Replay", made, behind)

        for strangers in effort.turns("resuming and reading"):
            before = cpu_seconds_of(server.pid)
            ours = _turn(effort.seconds / 2, resume)
            cpu.append(1e6 * (cpu_seconds_of(server.pid) - before) / (behind * len(ours)))
            read = _turn(effort.seconds / 4, lambda: _read(conn, behind))
            sent = _turn(effort.seconds / 4, replay)
            share = strangers.share()
            rows.add(statistics.median(ours), statistics.median(read), share)
            sends.add(statistics.median(ours), statistics.median(sent), share)
    notes = {
        "bytes of a message": len(message),
        "µs of the server's CPU an event": round(statistics.median(cpu), 1),
    }
    return Outcome([rows, sends], notes=notes)


def _message(watchers: Watchers, server: Server, after: str, behind: int) -> bytes:
    """One of the messages as it goes over the wire."""
    watchers.open(server.address, calls.WATCH, calls.watch(server, [PROJECT], after=after), marker=MARKER)
    message = watchers.hear(behind).receipts[0].body
    watchers.close()
    return message


def _turn(seconds: float, do: Callable[[], float]) -> list[float]:
    """As often as the time allows, and once at least."""
    deadline, taken = time.monotonic() + seconds, [do()]
    while time.monotonic() < deadline:
        taken.append(do())
    return taken


def _received(watchers: Watchers, address: str, method: str, made: list[GrpcCall], behind: int) -> float:
    """Milliseconds from asking for the stream to its last message."""
    began = watchers.open(address, method, made, marker=MARKER, keep=False)
    heard = watchers.hear(behind)
    watchers.close()
    return 1000 * (heard.last - began)


def _read(conn: Connection, behind: int) -> float:
    """Milliseconds of one SELECT, its rows fetched."""
    began = time.perf_counter()
    rows = conn.execute(_READ, (PROJECT, 0)).fetchall()
    taken = time.perf_counter() - began
    if len(rows) != behind:
        raise BenchmarkError(f"{behind} rows were to be read, and {len(rows)} were")
    return 1000 * taken


def _epoch(conn: Connection) -> UUID:
    row = conn.execute("SELECT epoch FROM event_log_epoch").fetchone()
    assert row is not None
    epoch: UUID = row[0]
    return epoch


def _insert_events(conn: Connection, number: int) -> None:
    """A chat of so many messages."""
    now, user = datetime.now(UTC), uuid4()
    rows = []
    for seq in range(1, number + 1):
        message = ChatMessage(
            id=uuid4(),
            project_id=PROJECT,
            user_id=user,
            actor_type=ActorType.CLIENT,
            message_type=ChatMessageType.USER,
            mode=ChatMode.UNIFIED,
            text=calls.TEXT,
            client_msg_id=str(uuid4()),
            response_data=None,
            seq=seq,
            created_at=now,
        )
        payload = Jsonb(payload_to_json(message))
        rows.append((PROJECT, seq, EventType.MESSAGE_NEW.value, payload, user, uuid4().hex, now))
    columns = ("project_id", "seq", "type", "payload", "user_id", "correlation_id", "created_at")
    seed.copy(conn, "project_events", columns, rows)
    conn.execute("INSERT INTO project_event_heads (project_id, last_seq) VALUES (%s, %s)", (PROJECT, number))
    conn.execute("VACUUM ANALYZE")


_METHOD = """\
One project with 10,000 chat messages in its log. A stream is opened with the id of the place before all of them; the
time is that from asking for it until the last message has come, read as bare HTTP/2. Against it one SELECT of the same
columns in the same order by psycopg, fetched as its default Python types. Either is done as often as its part of the
turn allows; medians count.

Shown beside it: `benchmarks/grpc_fanout.py`, a bare `grpc.server`, sending the bytes of one such message 10,000 times
on one stream from a callback. It reads nothing and makes nothing, so it is what is left to the service at best: grpcio
sends one message after the other, each with a batch of its own and a wait for its completion.

The goal is less than what grpcio takes for the sending alone: one message an event is the contract, and each costs
grpcio several times what psycopg takes for a row. Where many are behind at once, `ListProjectEvents` brings up to 200
in a message."""

ROWS = (
    Row(
        name="long_resume",
        title="Resuming 10,000 events behind",
        against="reading the rows with psycopg",
        method=_METHOD,
        measure=measure,
    ),
)
