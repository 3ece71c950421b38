"""`matching availability`: whether advisors take projects, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from advisor_matching.v1.types_pb2 import AvailabilityPreferences, AvailabilityStatus, ProjectComplexity
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.options import text_of
from matching_client.commands.words import words_option

if TYPE_CHECKING:
    from matching_client import MatchingClient

group = typer.Typer(name="availability", help="Whether advisors take projects, and how many.")

Advisor = Annotated[
    UUID | None,
    typer.Argument(help="The advisor; left out: the one whom --user-id names.", metavar="[ADVISOR_ID]"),
]


@command(group, "get", method="AvailabilityService/GetAvailability")
def get(call: Call, advisor_id: Advisor = None) -> None:
    """Shows whether an advisor can be offered a project, and why not."""
    availability = _client(call, advisor_id).get_availability(text_of(advisor_id))
    call.show(availability, lambda: views.availability(availability))


@command(group, "set", method="AvailabilityService/UpdateAvailability")
def set_availability(
    call: Call,
    advisor_id: Advisor = None,
    status: Annotated[str | None, words_option(AvailabilityStatus, "The new status.", "--status")] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=100, help="Projects at a time at most.")] = None,
    auto_accept: Annotated[
        bool | None, typer.Option(help="Accept every offer in the moment it is made. Replaces all wishes.")
    ] = None,
    likes_complexity: Annotated[
        list[str] | None,
        words_option(
            ProjectComplexity, "A wish; may be repeated. Replaces all wishes.", "--likes-complexity"
        ),
    ] = None,
    likes_framework: Annotated[
        list[str] | None, typer.Option(help="A wish; may be repeated. Replaces all wishes.")
    ] = None,
    decline_open_offers: Annotated[
        bool, typer.Option("--decline-open-offers", help="Also decline every offer that is not finalized.")
    ] = False,
) -> None:
    """Changes an advisor's status, slots or wishes; what is left out stays as it is.

    Wishes are replaced together: --auto-accept, --likes-complexity and --likes-framework.
    """
    wishes = None
    if auto_accept is not None or likes_complexity or likes_framework:
        wishes = AvailabilityPreferences(
            auto_accept=bool(auto_accept),
            preferred_complexity=likes_complexity,
            preferred_frameworks=likes_framework,
        )
    availability = _client(call, advisor_id).update_availability(
        text_of(advisor_id),
        status=status,
        max_concurrent_projects=slots,
        preferences=wishes,
        decline_open_offers=decline_open_offers,
    )
    call.show(availability, lambda: views.availability(availability))


def _client(call: Call, advisor_id: UUID | None) -> MatchingClient:
    return call.client if advisor_id else call.person("the advisor is, or name ADVISOR_ID")
