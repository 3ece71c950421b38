"""How many streams a user may have, counted over all servers in the database.

Each server says every second or so that it lives, and takes out what has ended there. What is decided about a stream
is decided by the server that holds it, once those that stand against it are alive for certain: what a server that died
has left behind never ends anybody's stream.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from matching_server.domain import streams
from matching_server.domain.calls import Call
from matching_server.domain.streams import OpenStream
from matching_server.operations.runner import Runner
from matching_server.storage import open_streams
from matching_server.storage.database import Transaction

GRACE = timedelta(milliseconds=200)
"""Who closes a stream and opens another at once shall not lose a third: the end of the first may arrive later."""
_DEAD = timedelta(seconds=20)
"""A server that was not seen for longer counts as dead. With the pauses between looks that makes less than 30 s."""
_OPENING = timedelta(seconds=10)
"""A server that does not hold a stream so long after it was entered never will."""
_BATCH = 100


def enter(
    tx: Transaction, call: Call, *, watch_id: str | None, server_id: UUID, per_user: int
) -> tuple[OpenStream, bool]:
    """Enters the call's stream, as the newest of its user. Also whether others may have to go because of it."""
    user_id, watch_id = call.caller.user_id, watch_id or str(call.id)
    open_streams.lock_user(tx.conn, user_id)
    others = [stream for stream in open_streams.of_user(tx.conn, user_id) if stream.id != call.id]
    contested = streams.contested(others, watch_id, per_user)
    if contested:
        open_streams.contest(tx.conn, contested)
    stream = open_streams.enter(tx.conn, id_=call.id, user_id=user_id, watch_id=watch_id, server_id=server_id)
    return stream, bool(contested)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a server learns when it says that it lives.

    ``known`` is false where it had been taken for dead: it has been entered again, its streams have to be restored.
    """

    known: bool
    evicted: Sequence[UUID]


def beat(runner: Runner, server_id: UUID, *, ended: Sequence[UUID], tell: bool) -> Beat:
    """Says that the server lives, without the streams that ``ended``; ``tell`` has the others look, too."""

    def work(tx: Transaction) -> Beat:
        if ended:
            open_streams.remove(tx.conn, ended)
        known = open_streams.saw(tx.conn, server_id)
        if not known:
            open_streams.enter_server(tx.conn, server_id)
        tx.effects.streams_contested = tell
        per_user = runner.policy.streams_per_user
        return Beat(known, open_streams.to_evict(tx.conn, server_id, per_user=per_user, grace=GRACE))

    return runner.system(work)


def restore(runner: Runner, server_id: UUID, opened: Sequence[OpenStream]) -> None:
    """Enters streams again where they were; the oldest of too many will be found by the beats that follow."""
    by_user = sorted(opened, key=lambda stream: (stream.user_id, stream.number))
    for begin in range(0, len(by_user), _BATCH):
        runner.system(partial(_restore, server_id=server_id, opened=by_user[begin : begin + _BATCH]))


def _restore(tx: Transaction, *, server_id: UUID, opened: Sequence[OpenStream]) -> None:
    for user_id in sorted({stream.user_id for stream in opened}):
        open_streams.lock_user(tx.conn, user_id)
    open_streams.restore(tx.conn, server_id, opened)


def tidy_up(runner: Runner, server_id: UUID, held: Collection[UUID]) -> None:
    """Takes out the servers that have not been seen for 20 s, and what is entered for this one that it does not hold.

    Such are streams whose opening failed, although it was committed.
    """

    def work(tx: Transaction) -> None:
        open_streams.remove_dead(tx.conn, _DEAD)
        entered = open_streams.of_server(tx.conn, server_id, opened_before=_OPENING)
        open_streams.remove(tx.conn, entered.difference(held))

    runner.system(work)


def leave(runner: Runner, server_id: UUID) -> None:
    """Takes a server out that holds no stream any more."""
    runner.system(lambda tx: open_streams.remove_server(tx.conn, server_id))
