"""`matching events` and `matching watch`: what happened in a project, and what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from advisor_matching.v1.types_pb2 import ProjectEvent
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.options import All, PageSize, ProjectId
from matching_client.commands.words import completing

if TYPE_CHECKING:
    from matching_client import Watch

group = typer.Typer(name="events", help="What happened in a project.")

EVENT_TYPES = [
    "advisor.match_pending",
    "advisor.matched",
    "advisor.client_approved",
    "advisor.accepted",
    "advisor.match_declined",
    "advisor.match_expired",
    "advisor.finalized",
    "advisor.workspace_ready",
    "advisor.provisioning_failed",
    "advisor.released",
    "message.new",
]
"""Offered by completion; the service says which there are."""


@command(group, "list", method="EventService/ListProjectEvents")
def list_events(
    call: Call,
    project_id: ProjectId,
    after: Annotated[str, typer.Option(help="Only after this event.", metavar="EVENT_ID")] = "",
    page_size: PageSize = 0,
    all_pages: All = False,
) -> None:
    """Lists the events that are kept, oldest first."""
    page = call.client.list_project_events(str(project_id), after_event_id=after, page_size=page_size)
    if not all_pages:
        call.show(page, lambda: views.events(page.events))
        if not call.output.json:
            call.note(f"go on with --after {page.last_event_id}")
        return
    found: list[ProjectEvent] = []
    while page.events:
        found += page.events
        page = call.client.list_project_events(
            str(project_id), after_event_id=page.last_event_id, page_size=page_size
        )
    if not call.output.json:
        call.output.blocks(views.events(found))
    for event in found if call.output.json else ():
        call.output.line(event)


def watch(
    call: Call,
    project_id: ProjectId,
    since: Annotated[
        str | None, typer.Option(help="Begin after this event, so that none is missed.", metavar="EVENT_ID")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest event that is kept.")
    ] = False,
    type: Annotated[
        list[str] | None,
        typer.Option(help="Only such events; may be repeated.", autocompletion=completing(EVENT_TYPES)),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="End after the first event of this type.", autocompletion=completing(EVENT_TYPES)),
    ] = None,
) -> None:
    """Shows what happens in a project as it happens, until Ctrl-C; with --json a line an event.

    Broken connections are resumed without a loss. At the end the last event's id is told, to go on from.
    """
    if since and from_start:
        raise ValueError("--since and --from-start exclude each other")
    if until and until not in EVENT_TYPES:
        raise ValueError(f"--until {until}: there is no such event; there are {', '.join(EVENT_TYPES)}")
    if until and type and until not in type:
        type = [*type, until]
    watching = call.client.watch(
        str(project_id), last_event_id=since, from_start=from_start, types=type or ()
    )
    try:
        with watching:
            _print_events(call, watching, until)
    except KeyboardInterrupt:
        pass
    finally:
        if watching.last_event_id:
            call.note(f"go on with --since {watching.last_event_id}")


def _print_events(call: Call, watching: Watch, until: str | None) -> None:
    if not call.output.json:
        call.output.cells(views.EVENT_HEADINGS, views.EVENT_WIDTHS)
    for event in watching:
        if call.output.json:
            call.output.line(event)
        else:
            call.output.cells(views.event(event), views.EVENT_WIDTHS)
        if event.type == until:
            return
