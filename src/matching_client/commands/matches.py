"""`matching matches`: asking for an advisor, and looking at what was found."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from advisor_matching.v1.types_pb2 import MatchStatus
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.criteria import (
    Complexity,
    Exclude,
    Factors,
    Framework,
    Languages,
    Looking,
    Weights,
)
from matching_client.commands.options import (
    All,
    MatchId,
    PageSize,
    PageToken,
    ProjectId,
    RequestId,
    span,
    text_of,
)
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_option

group = typer.Typer(name="matches", help="Ask for an advisor, and look at what was found.")


@command(group, "create", method="MatchService/CreateMatch")
def create(
    call: Call,
    project_id: ProjectId,
    framework: Framework = "",
    language: Languages = None,
    factor: Factors = None,
    complexity: Complexity = None,
    exclude: Exclude = None,
    weight: Weights = None,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=span, help="How long it stays open, 1s to 168h; 2h unless said.", metavar="SPAN"),
    ] = None,
    fail_if_open: Annotated[
        bool, typer.Option("--fail-if-open", help="Fail where the project has an open match already.")
    ] = False,
    require_immediate: Annotated[
        bool, typer.Option("--require-immediate", help="Fail where nobody is free, rather than wait.")
    ] = False,
    allow_previous: Annotated[
        bool, typer.Option("--allow-previous", help="Also offer it to those who have declined it lately.")
    ] = False,
    request_id: RequestId = None,
) -> None:
    """Finds the best free advisor for a project and offers them the project.

    Where nobody is free the match is pending until somebody is. A project that has an open match gets that
    one. What to look for is the project's own data, unless options say otherwise.
    """
    answer = call.client.create_match(
        str(project_id),
        criteria=Looking(framework, language, factor, complexity, exclude, weight).criteria(),
        expires_in=expires_in,
        fail_if_open=fail_if_open,
        require_immediate=require_immediate,
        allow_previous=allow_previous,
        request_id=text_of(request_id),
    )
    call.show(answer, lambda: views.match(answer.match))
    if answer.already_open and not call.output.json:
        call.note("the project had this match already; nothing was created")


@command(group, "get", method="MatchService/GetMatch")
def get(call: Call, match_id: MatchId) -> None:
    """Shows a match."""
    match = call.client.get_match(str(match_id))
    call.show(match, lambda: views.match(match))


@command(group, "list", method="MatchService/ListProjectMatches")
def list_matches(
    call: Call,
    project_id: ProjectId,
    status: Annotated[
        list[str] | None, words_option(MatchStatus, "Only in this status; may be repeated.", "--status")
    ] = None,
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists the matches of a project, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_project_matches(
            str(project_id), statuses=status or (), page_size=page_size, page_token=token
        ),
        lambda page: page.matches,
        views.matches,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "claimable", method="MatchService/ListClaimableMatches")
def claimable(
    call: Call, *, page_size: PageSize = 0, page_token: PageToken = "", all_pages: All = False
) -> None:
    """Lists the pending matches that an advisor may claim, oldest first. Needs --user-id ADVISOR_ID."""
    client = call.person("is the advisor that looks for matches to claim")
    show_pages(
        call,
        lambda token: client.list_claimable_matches(page_size=page_size, page_token=token),
        lambda page: page.matches,
        views.matches,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "claim", method="MatchService/ClaimMatch")
def claim(call: Call, match_id: MatchId) -> None:
    """Takes a pending match for an advisor, who thereby accepts it. Needs --user-id ADVISOR_ID."""
    match = call.person("is the advisor that claims the match").claim_match(str(match_id))
    call.show(match, lambda: views.match(match))
