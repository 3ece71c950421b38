"""What is shown of matches, decisions, people, projects and messages, and of what happens to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from advisor_matching.v1 import types_pb2 as pb
from matching_client.commands.output import Block, Listing, Record
from matching_client.commands.times import clock, due, local
from matching_client.commands.words import word


def listed(values: Iterable[str]) -> str:
    """Several words in one cell."""
    return ", ".join(values)


def number(value: float, *, given: bool = True) -> str:
    """A number without needless digits; empty where it is not given."""
    return f"{value:g}" if given else ""


def yes_or_no(value: bool) -> str:
    """A truth."""
    return "yes" if value else "no"


def match(one: pb.Match) -> list[Block]:
    """A match, its advisor, and what both sides said."""
    advisor = one.matched_advisor
    return [
        Record(
            [
                ("match", one.id),
                ("status", word(pb.MatchStatus, one.status)),
                ("why so", pending_or_closed(one)),
                ("project", one.project_id),
                ("advisor", f"{advisor.display_name} ({advisor.id})" if advisor.id else ""),
                ("skills", listed([*advisor.skills, *advisor.specialties])),
                ("rating", number(advisor.rating, given=advisor.HasField("rating"))),
                ("score", number(one.score, given=one.HasField("score"))),
                ("why chosen", one.match_reason),
                ("client", _decision(one.client_decision)),
                ("advisor says", _decision(one.advisor_decision)),
                ("workspace", word(pb.WorkspaceProvisioning, one.workspace_provisioning)),
                ("assignment", word(pb.AssignmentType, one.assignment_type)),
                ("before", word(pb.MatchStatus, one.previous_status)),
                ("asked by", one.requested_by),
                ("asked at", local(one.created_at)),
                ("changed at", local(one.updated_at)),
                ("expires at", due(one.expires_at)),
                ("etag", one.etag),
            ]
        )
    ]


def matches(many: Sequence[pb.Match]) -> list[Block]:
    """Matches in a table."""
    rows = [
        (
            one.id,
            word(pb.MatchStatus, one.status),
            one.matched_advisor.display_name,
            number(one.score, given=one.HasField("score")),
            word(pb.WorkspaceProvisioning, one.workspace_provisioning) or pending_or_closed(one),
            local(one.created_at),
            one.project_id,
        )
        for one in many
    ]
    headings = ("match", "status", "advisor", "score", "workspace", "asked at", "project")
    return [Listing(headings, rows, empty="no matches")]


def availability(one: pb.Availability) -> list[Block]:
    """Whether an advisor can be offered a project."""
    wishes = one.preferences
    return [
        Record(
            [
                ("advisor", one.advisor_id),
                ("available", yes_or_no(one.is_available)),
                ("because", one.reason),
                ("status", word(pb.AvailabilityStatus, one.status)),
                ("slots taken", f"{one.current_capacity} of {one.max_capacity}"),
                ("accepts by itself", yes_or_no(wishes.auto_accept)),
                (
                    "likes complexity",
                    listed(word(pb.ProjectComplexity, v) for v in wishes.preferred_complexity),
                ),
                ("likes frameworks", listed(wishes.preferred_frameworks)),
                ("last active", local(one.last_active)),
                ("changed at", local(one.updated_at)),
            ]
        )
    ]


def stack(one: pb.TechStack) -> list[tuple[str, str]]:
    """Technologies, as a part of a record."""
    return [
        ("framework", one.framework),
        ("languages", listed(one.languages)),
        ("factors", listed(one.complexity_factors)),
    ]


def project(one: pb.Project) -> list[Block]:
    """A project."""
    return [
        Record(
            [
                ("project", one.id),
                ("name", one.name),
                ("owner", one.owner_id),
                *stack(one.technology_stack),
                ("complexity", word(pb.ProjectComplexity, one.project_complexity)),
                ("owner's zone", one.owner_timezone),
                ("owner's locale", one.owner_locale),
            ]
        )
    ]


def advisor(one: pb.Advisor) -> list[Block]:
    """An advisor's profile."""
    return [
        Record(
            [
                ("advisor", one.id),
                ("name", one.display_name),
                ("e-mail", one.email),
                ("active", yes_or_no(one.active)),
                ("frameworks", listed(one.frameworks)),
                ("languages", listed(one.languages)),
                ("skills", listed(one.skills)),
                ("specialties", listed(one.specialties)),
                ("time zone", one.timezone),
                ("rating", number(one.rating, given=one.HasField("rating"))),
                ("picture", one.avatar_url),
            ]
        )
    ]


def advisors(many: Sequence[pb.Advisor]) -> list[Block]:
    """Advisors in a table."""
    rows = [
        (
            one.id,
            one.display_name,
            listed(one.frameworks),
            listed(one.languages),
            listed([*one.skills, *one.specialties]),
            number(one.rating, given=one.HasField("rating")),
            one.timezone,
        )
        for one in many
    ]
    headings = ("advisor", "name", "frameworks", "languages", "skills", "rating", "time zone")
    return [Listing(headings, rows, empty="no advisors")]


def messages(many: Sequence[pb.ChatMessage]) -> list[Block]:
    """Chat messages in a table."""
    rows = [
        (local(one.created_at), word(pb.ActorType, one.actor_type), one.user_id, one.text) for one in many
    ]
    return [Listing(("written at", "by", "user", "text"), rows, empty="no messages")]


EVENT_HEADINGS = ("time", "event", "what happened")
EVENT_WIDTHS = (12, 27)
"""Columns of time and event, where a table grows as things happen."""


def event(one: pb.ProjectEvent) -> tuple[str, str, str]:
    """An event as a row: when, its name, and what happened, in words."""
    return clock(one.timestamp), one.type, " ".join(_happened(one).split())


def events(many: Sequence[pb.ProjectEvent]) -> list[Block]:
    """Events in a table."""
    rows = [(local(one.timestamp), one.type, _happened(one)) for one in many]
    return [Listing(EVENT_HEADINGS, rows, empty="no events")]


def pending_or_closed(one: pb.Match) -> str:
    """Why a match is pending, or closed without an agreement."""
    return word(pb.PendingReason, one.pending_reason) or word(pb.ClosedReason, one.closed_reason)


def _decision(one: pb.DecisionRecord) -> str:
    if not one.decision:
        return ""
    because = f": {one.reason}" if one.reason else ""
    return f"{word(pb.Decision, one.decision)} at {local(one.decided_at)}{because}"


def _happened(one: pb.ProjectEvent) -> str:
    match one.WhichOneof("payload"):
        case "match":
            return _step(one.match)
        case "message":
            return f"{word(pb.ActorType, one.message.actor_type)}: {one.message.text}"
        case "workspace_ready":
            return f"the workspace is open to advisor {one.workspace_ready.advisor_id}"
        case "provisioning_failed":
            failed = one.provisioning_failed
            back = word(pb.MatchStatus, failed.reverted_to)
            return f"no workspace after {failed.attempts} attempts, back to {back}: {failed.reason}"
        case "released":
            because = f": {one.released.reason}" if one.released.reason else ""
            return f"advisor {one.released.advisor_id} was released{because}"
        case _:
            return ""


def _step(one: pb.MatchEvent) -> str:
    before = word(pb.MatchStatus, one.previous_status) or "new"
    advisor = f", advisor {one.advisor_name}" if one.advisor_name else ""
    score = f", score {one.score:g}" if one.HasField("score") else ""
    because = f": {one.reason}" if one.reason else ""
    return f"match {one.match_id} {before} -> {word(pb.MatchStatus, one.status)}{advisor}{score}{because}"
