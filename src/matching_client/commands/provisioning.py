"""`matching admin provisioning`: how the opening of workspaces goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from advisor_matching.v1.types_pb2 import ProvisioningJobStatus
from matching_client.commands import admin_views, views
from matching_client.commands.call import Call, command
from matching_client.commands.options import All, MatchId, PageSize, PageToken, RequestId, span, text_of
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_option

group = typer.Typer(name="provisioning", help="How the opening of workspaces goes.")


@command(group, "stats", method="AdminService/GetProvisioningStats")
def stats(
    call: Call,
    window: Annotated[
        timedelta | None,
        typer.Option(parser=span, help="How far to look back, 1s to 366d; 24h unless said.", metavar="SPAN"),
    ] = None,
) -> None:
    """Sums up the jobs that were queued within a window."""
    answer = call.client.get_provisioning_stats(window=window)
    call.show(answer, lambda: admin_views.provisioning_stats(answer))


@command(group, "jobs", method="AdminService/ListProvisioningJobs")
def jobs(
    call: Call,
    status: Annotated[
        list[str] | None,
        words_option(ProvisioningJobStatus, "Only in this status; may be repeated.", "--status"),
    ] = None,
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists jobs, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_provisioning_jobs(
            statuses=status or (), page_size=page_size, page_token=token
        ),
        lambda page: page.jobs,
        admin_views.jobs,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "retry", method="AdminService/RetryProvisioning")
def retry(call: Call, match_id: MatchId, request_id: RequestId = None) -> None:
    """Queues a new job for a match that was rolled back, or that was finalized without one."""
    answer = call.client.retry_provisioning(str(match_id), request_id=text_of(request_id))
    call.show(answer, lambda: [*views.match(answer.match), *admin_views.jobs([answer.job])])
