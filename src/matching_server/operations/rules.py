"""Preference rules, by which admins steer whom projects are offered to."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import RuleNotFound
from matching_server.domain.rules import PreferenceRule, RuleTerms
from matching_server.operations.commands import Page, PageOf
from matching_server.operations.runner import Runner
from matching_server.storage import rules
from matching_server.storage.database import Transaction


def create_preference_rule(
    runner: Runner, call: Call, terms: RuleTerms, encode: Callable[[PreferenceRule], bytes]
) -> PreferenceRule | bytes:
    """Adds a rule.

    Returns:
        The rule as stored, or the bytes of the answer that the same request got before.

    Raises:
        AdvisorNotFound, ProjectNotFound: what the rule is about does not exist.
    """
    return runner.run_once(_create, call, encode, terms)


def list_preference_rules(runner: Runner, call: Call, page: Page) -> PageOf[PreferenceRule]:
    """A page of the rules, those outside their time included, newest first."""

    def read(conn: Connection, call: Call) -> list[PreferenceRule]:
        return rules.list_page(conn, before=page.before, limit=page.size + 1)

    return PageOf.cut(runner.read(read, call), page.size, lambda rule: (rule.created_at, rule.id))


def delete_preference_rule(runner: Runner, call: Call, rule_id: UUID) -> None:
    """Deletes a rule; one that is deleted stays so.

    Raises:
        RuleNotFound: there never was such a rule.
    """
    runner.run(_delete, call, rule_id)


def _create(tx: Transaction, call: Call, terms: RuleTerms) -> PreferenceRule:
    # Any change can let a waiting match be served: another rule of REQUIRE adds somebody who may serve it.
    tx.effects.capacity_freed = True
    return rules.add(tx, terms, call.caller.user_id)


def _delete(tx: Transaction, call: Call, rule_id: UUID) -> None:
    if not rules.delete(tx, rule_id):
        raise RuleNotFound(rule_id)
    tx.effects.capacity_freed = True
