"""Which calls have been made: spent nonces, and the answers to requests that carry an id."""

from __future__ import annotations

from sqlalchemy import Connection, text

from matching_server.domain.calls import Call, RequestKey
from matching_server.domain.errors import AuthenticationFault, IdempotencyMismatch, Unauthenticated

_ADMIT = text(
    """
    WITH spent AS (
        INSERT INTO used_nonces (kid, nonce, call_id) SELECT :kid, :nonce, :call_id
        WHERE CAST(:kid AS text) IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT (SELECT count(*) FROM spent) AS spent, r.method, r.body_hash, r.answer
    FROM (VALUES (1)) AS one
    LEFT JOIN idempotent_requests r ON r.caller = :caller AND r.request_id = :request_id
        AND r.created_at > clock_timestamp() - interval '24 hours'
    """
)
_WHO_SPENT = text("SELECT call_id FROM used_nonces WHERE kid = :kid AND nonce = :nonce")
_ANSWER = text(
    """
    INSERT INTO idempotent_requests AS r (caller, request_id, method, body_hash, answer)
    VALUES (:caller, :request_id, :method, :body_hash, :answer)
    ON CONFLICT (caller, request_id) DO UPDATE SET method = excluded.method,
        body_hash = excluded.body_hash, answer = excluded.answer, created_at = excluded.created_at
        WHERE r.created_at <= clock_timestamp() - interval '24 hours'
    RETURNING 1
    """
)
_LOOK_UP = text(
    """
    SELECT method, body_hash, answer FROM idempotent_requests
    WHERE caller = :caller AND request_id = :request_id
        AND created_at > clock_timestamp() - interval '24 hours'
    """
)
_AMEND = text(
    "UPDATE idempotent_requests SET answer = :answer WHERE caller = :caller AND request_id = :request_id"
)


class AnsweredMeanwhile(Exception):
    """Another attempt at the same request committed its answer first: this transaction must not."""


def admit(conn: Connection, call: Call) -> bytes | None:
    """Spends the call's nonce in this transaction and looks its request id up.

    Returns the answer that the same request got earlier, ``None`` where it is new.

    Raises:
        Unauthenticated: the nonce was spent by another call (REPLAYED).
        IdempotencyMismatch: the request id came with another body or method before.
    """
    if call.nonce is None and call.request_key is None:
        return None
    key, nonce = call.request_key, call.nonce
    row = conn.execute(
        _ADMIT,
        {
            "kid": nonce.kid if nonce else None,
            "nonce": nonce.value if nonce else None,
            "call_id": call.id,
            "caller": call.caller.user_id,
            "request_id": key.request_id if key else None,
        },
    ).one()
    if nonce is not None and not row.spent:
        spender = conn.execute(_WHO_SPENT, {"kid": nonce.kid, "nonce": nonce.value}).scalar_one_or_none()
        # An earlier attempt of this very call committed, and its answer was lost with the connection.
        if spender != call.id:
            raise Unauthenticated(AuthenticationFault.REPLAYED, "this signed call was made before")
    if key is None or row.answer is None:
        return None
    return _same_request(key, row.method, row.body_hash, row.answer)


def answer_of(conn: Connection, call: Call) -> bytes | None:
    """The answer that the same request got, without spending anything.

    Raises:
        IdempotencyMismatch: the request id belongs to another request.
    """
    key = call.request_key
    if key is None:
        return None
    row = conn.execute(_LOOK_UP, {"caller": call.caller.user_id, "request_id": key.request_id}).one_or_none()
    return _same_request(key, row.method, row.body_hash, row.answer) if row else None


def _same_request(key: RequestKey, method: str, body_hash: bytes, answer: bytes) -> bytes:
    if method != key.method or bytes(body_hash) != key.body_hash:
        raise IdempotencyMismatch(f"request_id {key.request_id} was used for another request")
    return bytes(answer)


def store_answer(conn: Connection, call: Call, answer: bytes) -> None:
    """Keeps the answer for repeats of the request.

    Raises:
        AnsweredMeanwhile: a concurrent attempt was first.
    """
    key = call.request_key
    if key is None:
        return
    stored = conn.execute(
        _ANSWER,
        {
            "caller": call.caller.user_id,
            "request_id": key.request_id,
            "method": key.method,
            "body_hash": key.body_hash,
            "answer": answer,
        },
    ).one_or_none()
    if stored is None:
        raise AnsweredMeanwhile


def amend_answer(conn: Connection, call: Call, answer: bytes) -> None:
    """Replaces the kept answer by what the same call found out in a later transaction."""
    if call.request_key is not None:
        conn.execute(
            _AMEND,
            {
                "caller": call.caller.user_id,
                "request_id": call.request_key.request_id,
                "answer": answer,
            },
        )
