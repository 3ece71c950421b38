"""The streams that are open on all servers, and when each server was last seen alive.

A stream has to go when enough newer ones of its user have been seen alive since they are so many, and a moment longer.
A server that is seen has taken out first what has ended, so being seen vouches for every stream that it has entered.

Rows are locked in the order of their numbers, by whomever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, select, text

from matching_server.domain.streams import OpenStream
from matching_server.storage.tables import open_streams

_LOCK_USER = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:user_id AS text), 20260301))")
# An earlier attempt of the same call may have committed, and its answer been lost.
_ENTER = text(
    """
    INSERT INTO open_streams AS s (id, user_id, watch_id, server_id) VALUES (:id, :user_id, :watch_id, :server_id)
    ON CONFLICT (id) DO UPDATE SET server_id = excluded.server_id
    RETURNING s.id, s.user_id, s.watch_id, s.number, s.opened_at
    """
)
_CONTEST = text(
    """
    WITH ordered AS (SELECT id FROM open_streams WHERE id = ANY (:ids) ORDER BY number FOR UPDATE)
    UPDATE open_streams s SET contested_at = clock_timestamp() FROM ordered WHERE s.id = ordered.id
    """
)
# What is looked at by the next beats decides; to put too many before it costs a look.
_CONTEST_ALL = text(
    """
    WITH ordered AS (SELECT id FROM open_streams WHERE user_id = ANY (:user_ids) ORDER BY number FOR UPDATE)
    UPDATE open_streams s SET contested_at = clock_timestamp() FROM ordered WHERE s.id = ordered.id
    """
)
_PUT_BACK = text(
    """
    INSERT INTO open_streams (id, user_id, watch_id, number, opened_at, server_id)
    SELECT id, user_id, watch_id, number, opened_at, CAST(:server_id AS uuid)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:user_ids AS uuid[]), CAST(:watch_ids AS text[]),
        CAST(:numbers AS bigint[]), CAST(:opened AS timestamptz[]))
        AS stream (id, user_id, watch_id, number, opened_at)
    ON CONFLICT (id) DO NOTHING
    """
)
_REMOVE = text(
    """
    WITH ordered AS (SELECT id FROM open_streams WHERE id = ANY (:ids) ORDER BY number FOR UPDATE)
    DELETE FROM open_streams s USING ordered WHERE s.id = ordered.id
    """
)
_SEEN = text("UPDATE stream_servers SET seen_at = clock_timestamp() WHERE id = :server_id")
_ENTER_SERVER = text("INSERT INTO stream_servers (id) VALUES (:server_id) ON CONFLICT DO NOTHING")
_TO_EVICT = text(
    """
    SELECT s.id FROM open_streams s
    WHERE s.server_id = :server_id AND s.contested_at IS NOT NULL AND (
        SELECT count(DISTINCT newer.watch_id) >= :per_user OR bool_or(newer.watch_id = s.watch_id)
        FROM open_streams newer JOIN stream_servers server ON server.id = newer.server_id
        WHERE newer.user_id = s.user_id AND newer.number > s.number
            AND server.seen_at >= greatest(newer.opened_at, s.contested_at) + :grace
    )
    """
)
_OF_SERVER = text(
    "SELECT id FROM open_streams WHERE server_id = :server_id AND opened_at < clock_timestamp() - :opened_before"
)
_REMOVE_SERVERS = """
    WITH gone AS (
        DELETE FROM stream_servers WHERE id IN (SELECT id FROM stream_servers WHERE {} FOR UPDATE SKIP LOCKED)
        RETURNING id
    ), ordered AS (
        SELECT s.id FROM open_streams s JOIN gone ON gone.id = s.server_id ORDER BY number FOR UPDATE OF s
    )
    DELETE FROM open_streams s USING ordered WHERE s.id = ordered.id
    """
_REMOVE_DEAD = text(_REMOVE_SERVERS.format("seen_at < clock_timestamp() - :unseen_for"))
_REMOVE_SERVER = text(_REMOVE_SERVERS.format("id = :server_id"))


def lock_user(conn: Connection, user_id: UUID) -> None:
    """Has those who enter streams of a user wait for each other, to the end of the transaction."""
    conn.execute(_LOCK_USER, {"user_id": user_id})


def of_user(conn: Connection, user_id: UUID) -> list[OpenStream]:
    """The streams of a user, oldest first."""
    columns = open_streams.c
    rows = conn.execute(
        select(columns.id, columns.user_id, columns.watch_id, columns.number, columns.opened_at)
        .where(columns.user_id == user_id)
        .order_by(columns.number)
    )
    return [OpenStream(*row) for row in rows]


def enter(conn: Connection, *, id_: UUID, user_id: UUID, watch_id: str, server_id: UUID) -> OpenStream:
    """Adds a stream as the newest of its user; where it has been entered, it stays what it was."""
    params = {"id": id_, "user_id": user_id, "watch_id": watch_id, "server_id": server_id}
    return OpenStream(*conn.execute(_ENTER, params).one())


def contest(conn: Connection, ids: Sequence[UUID]) -> None:
    """Has the servers of these streams look whether they have to go."""
    conn.execute(_CONTEST, {"ids": list(ids)})


def remove(conn: Connection, ids: Collection[UUID]) -> None:
    """Takes streams out that have ended."""
    conn.execute(_REMOVE, {"ids": list(ids)})


def saw(conn: Connection, server_id: UUID) -> bool:
    """The server is alive, now. ``False``: nobody knows it any more."""
    return conn.execute(_SEEN, {"server_id": server_id}).rowcount == 1


def enter_server(conn: Connection, server_id: UUID) -> None:
    """Adds a server, seen now."""
    conn.execute(_ENTER_SERVER, {"server_id": server_id})


def restore(conn: Connection, server_id: UUID, streams: Sequence[OpenStream]) -> None:
    """Puts streams back in their places, and has all of their users' looked at. Their users must be locked."""
    conn.execute(
        _PUT_BACK,
        {
            "server_id": server_id,
            "ids": [stream.id for stream in streams],
            "user_ids": [stream.user_id for stream in streams],
            "watch_ids": [stream.watch_id for stream in streams],
            "numbers": [stream.number for stream in streams],
            "opened": [stream.opened_at for stream in streams],
        },
    )
    conn.execute(_CONTEST_ALL, {"user_ids": list({stream.user_id for stream in streams})})


def to_evict(conn: Connection, server_id: UUID, *, per_user: int, grace: timedelta) -> list[UUID]:
    """The server's streams that have to go, because newer ones are alive for certain after ``grace``."""
    params = {"server_id": server_id, "per_user": per_user, "grace": grace}
    return list(conn.execute(_TO_EVICT, params).scalars())


def of_server(conn: Connection, server_id: UUID, *, opened_before: timedelta) -> set[UUID]:
    """The streams entered for a server longer ago than that."""
    params = {"server_id": server_id, "opened_before": opened_before}
    return set(conn.execute(_OF_SERVER, params).scalars())


def remove_dead(conn: Connection, unseen_for: timedelta) -> None:
    """Takes servers out that have not been seen for so long, with their streams."""
    conn.execute(_REMOVE_DEAD, {"unseen_for": unseen_for})


def remove_server(conn: Connection, server_id: UUID) -> None:
    """Takes a server out, with its streams."""
    conn.execute(_REMOVE_SERVER, {"server_id": server_id})
