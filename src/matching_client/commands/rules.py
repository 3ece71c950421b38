"""`matching admin rules`: what admins prefer, require and exclude."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from advisor_matching.v1.types_pb2 import PreferenceRule, ProjectComplexity, RuleEffect
from matching_client.commands import admin_views
from matching_client.commands.call import Call, command
from matching_client.commands.options import (
    AdvisorId,
    All,
    PageSize,
    PageToken,
    Reason,
    RequestId,
    moment,
    text_of,
)
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_argument, words_option

group = typer.Typer(name="rules", help="What admins prefer, require and exclude.")

_Moment = datetime | None


@command(group, "add", method="AdminService/CreatePreferenceRule")
def add(
    call: Call,
    advisor_id: AdvisorId,
    effect: Annotated[str, words_argument(RuleEffect, "EFFECT", "What the rule does")],
    boost: Annotated[float, typer.Option(min=-100, max=100, help="Points, for a boost.")] = 0.0,
    project: Annotated[UUID | None, typer.Option(help="Only for this project.", metavar="PROJECT_ID")] = None,
    framework: Annotated[str, typer.Option(help="Only for projects with this framework.")] = "",
    complexity: Annotated[
        str | None, words_option(ProjectComplexity, "Only for projects so demanding.", "--complexity")
    ] = None,
    active_from: Annotated[
        _Moment, typer.Option("--from", parser=moment, help="When it begins; now.", metavar="TIME")
    ] = None,
    active_until: Annotated[
        _Moment, typer.Option("--until", parser=moment, help="When it ends; never.", metavar="TIME")
    ] = None,
    reason: Reason = "",
    request_id: RequestId = None,
) -> None:
    """Adds a rule about an advisor, for all projects unless an option says for which."""
    scope: dict[str, Any] = {"project_id": text_of(project), "framework": framework, "complexity": complexity}
    given = {name: value for name, value in scope.items() if value}
    if len(given) > 1:
        raise ValueError("--project, --framework and --complexity exclude each other")
    rule = PreferenceRule(
        advisor_id=str(advisor_id),
        effect=effect,
        boost=boost,
        reason=reason,
        active_from=active_from,
        active_until=active_until,
    )
    rule.MergeFrom(PreferenceRule(**given))
    stored = call.client.create_preference_rule(rule, request_id=text_of(request_id))
    call.show(stored, lambda: admin_views.rules([stored]))


@command(group, "list", method="AdminService/ListPreferenceRules")
def list_rules(
    call: Call, *, page_size: PageSize = 0, page_token: PageToken = "", all_pages: All = False
) -> None:
    """Lists the rules, active or not, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_preference_rules(page_size=page_size, page_token=token),
        lambda page: page.rules,
        admin_views.rules,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "delete", method="AdminService/DeletePreferenceRule")
def delete(call: Call, rule_id: Annotated[UUID, typer.Argument(help="The rule.", metavar="RULE_ID")]) -> None:
    """Deletes a rule; a repeat changes nothing."""
    call.client.delete_preference_rule(str(rule_id))
    call.show({}, lambda: ["deleted"])
