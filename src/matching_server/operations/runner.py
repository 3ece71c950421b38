"""Runs use cases: one use case, one transaction, and afterwards what it left to do.

A use case is a function of an open ``Transaction`` and the ``Call``; it may return a ``DomainError`` instead
of raising it where what it wrote has to be kept (an expiry that it came across, say).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.effects import Effects
from matching_server.domain.errors import DomainError, Unauthenticated
from matching_server.operations.picture import Picture
from matching_server.operations.policy import Policy
from matching_server.storage import requests
from matching_server.storage.database import Database, Transaction

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Runner:
    """Gives use cases their transaction.

    Args:
        database: where they run.
        policy: the settings that they decide by.
        picture: the pool as this process sees it; it takes over what is committed here.
        after_commit: called with the effects of every committed transaction; must not raise.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        picture: Picture,
        after_commit: Callable[[Effects], None],
    ) -> None:
        self.database = database
        self.policy = policy
        self.picture = picture
        self._after_commit = after_commit

    def read(
        self,
        use_case: Callable[Concatenate[Connection, Call, P], T],
        call: Call,
        *args: P.args,
        **kw: P.kwargs,
    ) -> T:
        """Runs a use case that writes nothing."""
        return self.database.read(lambda conn: use_case(conn, call, *args, **kw))

    def run(
        self,
        use_case: Callable[Concatenate[Transaction, Call, P], T | DomainError],
        call: Call,
        *args: P.args,
        **kw: P.kwargs,
    ) -> T:
        """Runs a use case in a transaction that also spends the call's nonce.

        Raises:
            DomainError: what the use case raised (nothing is kept) or returned (what it wrote is kept).
        """

        def work(tx: Transaction) -> T | DomainError:
            requests.admit(tx.conn, call)
            return use_case(tx, call, *args, **kw)

        value: T = self._commit(work, call)
        return value

    def run_once(
        self,
        use_case: Callable[Concatenate[Transaction, Call, P], T | DomainError],
        call: Call,
        encode: Callable[[T], bytes],
        *args: P.args,
        **kw: P.kwargs,
    ) -> T | bytes:
        """As ``run``, for calls that carry a request id: a repeat gets the bytes of the first answer.

        The answer is stored in the use case's own transaction, so it is there exactly if the effect is.
        """

        def work(tx: Transaction) -> T | bytes | DomainError:
            answered = requests.admit(tx.conn, call)
            if answered is not None:
                return answered
            value = use_case(tx, call, *args, **kw)
            if call.request_key is not None and not isinstance(value, DomainError):
                requests.store_answer(tx.conn, call, encode(value))
            return value

        try:
            answer: T | bytes = self._commit(work, call)
        except Unauthenticated:
            # A replay is refused, whether or not the answer that it is after is kept.
            raise
        except (requests.AnsweredMeanwhile, DomainError):
            # A concurrent attempt at the same request may have won; then its answer is the answer.
            answered = self._answered(call)
            if answered is None:
                raise
            return answered
        return answer

    def run_again(
        self,
        use_case: Callable[Concatenate[Transaction, Call, P], T],
        call: Call,
        encode: Callable[[T], bytes],
        *args: P.args,
        **kw: P.kwargs,
    ) -> T:
        """A second transaction of a call that ``run_once`` began: its answer replaces the one that is kept."""

        def work(tx: Transaction) -> T:
            value = use_case(tx, call, *args, **kw)
            if call.request_key is not None:
                requests.amend_answer(tx.conn, call, encode(value))
            return value

        value: T = self._commit(work, call)
        return value

    def continue_run(
        self,
        use_case: Callable[Concatenate[Transaction, Call, P], T],
        call: Call,
        *args: P.args,
        **kw: P.kwargs,
    ) -> T:
        """A further transaction of a call whose nonce an earlier one has spent."""
        value: T = self._commit(lambda tx: use_case(tx, call, *args, **kw), call)
        return value

    def system(self, work: Callable[[Transaction], T], correlation_id: str | None = None) -> T:
        """Runs what the service does by itself, on nobody's behalf."""
        committed = self.database.transact(work, correlation_id=correlation_id)
        self.committed(committed.effects)
        return committed.value

    def committed(self, effects: Effects) -> None:
        """Does what a committed transaction has left to do, before anybody is answered."""
        if effects.loads:
            self.picture.set_loads(effects.loads)
        if effects.profiles_changed:
            self.picture.read_again(list(effects.profiles_changed))
        self._after_commit(effects)

    def _commit(self, work: Callable[[Transaction], R], call: Call) -> Any:
        """Commits; typed by its callers, since a type checker cannot take DomainError out of a variable."""
        committed = self.database.transact(
            work, actor=call.caller.user_id, correlation_id=call.correlation_id
        )
        self.committed(committed.effects)
        if isinstance(committed.value, DomainError):
            raise committed.value
        return committed.value

    def _answered(self, call: Call) -> bytes | None:
        """The kept answer; whoever gets it has spent the call's nonce, as if they had been later."""
        if self.database.read(lambda conn: requests.answer_of(conn, call)) is None:
            return None
        return self.database.transact(lambda tx: requests.admit(tx.conn, call)).value
