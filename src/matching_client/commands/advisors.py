"""`matching advisors`: the profiles that matching chooses from."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from advisor_matching.v1.types_pb2 import Advisor
from matching_client import AdvisorNotFound
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.options import AdvisorId, All, PageSize, PageToken, Reason
from matching_client.commands.pages import show_pages

group = typer.Typer(name="advisors", help="The profiles that matching chooses from.")

_Many = list[str] | None


@command(group, "add", method="DirectoryService/UpsertAdvisor")
def add(
    call: Call,
    advisor_id: AdvisorId,
    name: Annotated[str | None, typer.Option(help="Name to show. Needed for a new advisor.")] = None,
    profile_email: Annotated[str | None, typer.Option(help="E-mail address of the advisor.")] = None,
    skill: Annotated[_Many, typer.Option(help="May be repeated, as the three below.")] = None,
    specialty: Annotated[_Many, typer.Option(help="Such as e-commerce.")] = None,
    language: Annotated[_Many, typer.Option(help="A programming language.")] = None,
    framework: Annotated[_Many, typer.Option(help="Such as react.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA time zone, such as Europe/Berlin.")] = None,
    rating: Annotated[float | None, typer.Option(min=0, max=5, help="Mean rating.")] = None,
    avatar_url: Annotated[str | None, typer.Option(help="Address of a picture.")] = None,
    active: Annotated[bool | None, typer.Option(help="Whether they take part in matching.")] = None,
) -> None:
    """Adds an advisor, or changes the profile of one who is there: what is left out stays as it is.

    A list that is given replaces the one that was there.
    """
    advisor = _present(call, advisor_id)
    for field, values in (
        ("skills", skill),
        ("specialties", specialty),
        ("languages", language),
        ("frameworks", framework),
    ):
        if values is not None:
            advisor.ClearField(field)
            getattr(advisor, field).extend(values)
    single = {
        "display_name": name,
        "email": profile_email,
        "timezone": timezone,
        "rating": rating,
        "avatar_url": avatar_url,
        "active": active,
    }
    for field, value in single.items():
        if value is not None:
            setattr(advisor, field, value)
    if not advisor.display_name:
        raise ValueError("there is no such advisor yet: a new one needs a --name")
    stored = call.client.upsert_advisor(advisor)
    call.show(stored, lambda: views.advisor(stored))


@command(group, "get", method="DirectoryService/GetAdvisor")
def get(call: Call, advisor_id: AdvisorId) -> None:
    """Shows an advisor's profile, active or not."""
    advisor = call.client.get_advisor(str(advisor_id))
    call.show(advisor, lambda: views.advisor(advisor))


@command(group, "list", method="DirectoryService/ListAdvisors")
def list_advisors(
    call: Call,
    skill: Annotated[str, typer.Option(help="Only with this skill or specialty.")] = "",
    framework: Annotated[str, typer.Option(help="Only with this framework.")] = "",
    available: Annotated[
        bool | None,
        typer.Option("--available/--taken", help="Only those who can be offered a project now, or cannot."),
    ] = None,
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists the active advisors that meet every filter given, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_advisors(
            skill=skill, framework=framework, available=available, page_size=page_size, page_token=token
        ),
        lambda page: page.advisors,
        views.advisors,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "deactivate", method="DirectoryService/DeactivateAdvisor")
def deactivate(call: Call, advisor_id: AdvisorId, reason: Reason = "") -> None:
    """Takes an advisor out of matching and closes their open offers."""
    advisor = call.client.deactivate_advisor(str(advisor_id), reason=reason)
    call.show(advisor, lambda: views.advisor(advisor))


def _present(call: Call, advisor_id: UUID) -> Advisor:
    """The profile as it is; a blank one where there is none."""
    try:
        return call.client.get_advisor(str(advisor_id))
    except AdvisorNotFound:
        return Advisor(id=str(advisor_id))
