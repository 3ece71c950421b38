"""Whether the data is sound, and the repair of what is not, as far as it follows from other rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import StorageUnavailable, TransactionConflict
from matching_server.operations.policy import Policy
from matching_server.operations.repairs import REPAIRS, Breach, repair
from matching_server.operations.runner import Runner
from matching_server.storage import invariants
from matching_server.storage.database import Transaction, fault_text
from matching_server.storage.invariants import INVARIANTS, Violation

MAX_REPAIRS = 10_000
"""Breaches of one invariant that one run looks at; what is left is for the next."""
EVERY_INVARIANT = tuple(invariant.name for invariant in INVARIANTS)
Transact = Callable[[Callable[[Transaction], bool]], bool]
"""Runs a piece of work in a transaction of its own."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RepairedInvariants:
    """The invariants that something was repaired for, with the number of breaches, and what still does not hold."""

    repaired: Mapping[str, int]
    violations: tuple[Violation, ...]


def audit_invariants(runner: Runner, _call: Call) -> list[Violation]:
    """Checks every invariant, all at one moment, in a transaction that cannot write."""
    return runner.database.read_only(lambda conn: _audit(conn, runner.policy))


def repair_invariants(
    runner: Runner, call: Call, names: Collection[str], encode: Callable[[RepairedInvariants], bytes]
) -> RepairedInvariants | bytes:
    """Repairs these invariants, breach by breach, each in a transaction of its own; safe while the service works.

    Returns:
        What was repaired and what is left, or the bytes of the answer that the same request got before. Whoever
        repeats a request while it is at work, or after it was cut off, hears what it had found at first.
    """
    first = runner.run_once(_found, call, encode, names, runner.policy)
    if isinstance(first, bytes) or not first.violations:
        return first

    def transact(work: Callable[[Transaction], bool]) -> bool:
        return runner.continue_run(lambda tx, _call: work(tx), call)

    repaired = _repair_all(runner, names, transact, patient=False)
    return runner.run_again(_left, call, encode, names, runner.policy, repaired)


def audit_patiently(runner: Runner) -> list[Violation]:
    """As ``audit_invariants``, for a command: each check may take as long as a large database needs."""
    return runner.database.read_only(lambda conn: _audit(conn, runner.policy, patient=True))


def repair_patiently(runner: Runner) -> RepairedInvariants:
    """As ``repair_invariants``, all of them, on behalf of the service itself."""
    repaired = _repair_all(runner, EVERY_INVARIANT, runner.system, patient=True)
    return RepairedInvariants(repaired, tuple(audit_patiently(runner)))


def _found(tx: Transaction, _call: Call, names: Collection[str], policy: Policy) -> RepairedInvariants:
    return RepairedInvariants({}, tuple(_audit(tx.conn, policy, names)))


def _left(
    tx: Transaction, _call: Call, names: Collection[str], policy: Policy, repaired: Mapping[str, int]
) -> RepairedInvariants:
    return RepairedInvariants(repaired, tuple(_audit(tx.conn, policy, names)))


def _repair_all(
    runner: Runner, names: Collection[str], transact: Transact, *, patient: bool
) -> dict[str, int]:
    """Each is looked at anew when its turn comes, since repairing one may have mended another."""
    repaired = {}
    for name in REPAIRS:
        if name not in names:
            continue
        look = partial(_audit, policy=runner.policy, names=[name], patient=patient, max_rows=MAX_REPAIRS)
        breaches = [row for violation in runner.database.read_only(look) for row in violation.rows]
        count = sum(_repair(runner, name, breach, transact) for breach in breaches)
        if count:
            repaired[name] = count
    return repaired


def _repair(runner: Runner, name: str, breach: Breach, transact: Transact) -> bool:
    try:
        done = transact(lambda tx: repair(tx, name, breach, runner.policy))
    except StorageUnavailable:
        raise
    except TransactionConflict:
        # Somebody is at these rows for longer than is waited: the next run may find them free.
        done = False
    except Exception as error:
        # What is broken in a way that nobody thought of must not keep the rest from being repaired.
        _log.error("invariant_repair_failed", invariant=name, fault=fault_text(error), **breach)
        done = False
    _log.info("invariant_repair", invariant=name, repaired=done, **breach)
    return done


def _audit(
    conn: Connection,
    policy: Policy,
    names: Collection[str] | None = None,
    *,
    patient: bool = False,
    max_rows: int = invariants.MAX_ROWS,
) -> list[Violation]:
    if patient:
        invariants.be_patient(conn)
    return invariants.audit(
        conn,
        policy.sweep.total_seconds(),
        names,
        max_attempts=policy.provision_max_attempts,
        max_rows=max_rows,
    )
