"""What people read in their mail: subject and text by the type of the notification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matching_server.domain.notifications import NotificationType

_T = NotificationType
_WORDS: Mapping[str, tuple[str, str]] = {
    _T.MATCH_OFFERED: (
        "A project is offered to you",
        "You are offered a project. Please accept or decline the match.",
    ),
    _T.OFFER_ENDED: (
        "An offer, or your work on a project, has ended",
        "An offer that you held, or your work on a project, has ended. There is nothing left to do.",
    ),
    _T.ADVISOR_FOUND: (
        "An advisor was found for your project",
        "Your project has waited for an advisor, and now there is one. Please approve or decline the match.",
    ),
    _T.ADVISOR_ACCEPTED: (
        "The advisor has accepted your project",
        "The advisor has accepted. Once you have approved the match as well, the workspace is opened.",
    ),
    _T.ADVISOR_DECLINED: (
        "The advisor has declined your project",
        "The advisor has declined. You can ask for another one at any time.",
    ),
    _T.MATCH_EXPIRED: (
        "The request for an advisor has ended",
        "The match of your project has ended without a workspace. You can ask again at any time.",
    ),
    _T.WORKSPACE_READY: (
        "Your workspace is ready",
        "The advisor has joined the workspace of your project.",
    ),
    _T.PROVISIONING_FAILURE: (
        "A workspace could not be opened",
        "A workspace could not be opened, and its match was rolled back. An admin may have it tried again.",
    ),
}
_FACTS = {
    "projectId": "Project",
    "matchId": "Match",
    "status": "Status",
    "advisorName": "Advisor",
    "advisorId": "Advisor's id",
    "expiresAt": "Open until",
    "reason": "Reason",
    "timestamp": "When",
}


def write(type_: str, payload: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text. A type without words of its own is told by its name."""
    subject, opening = _WORDS.get(type_, (type_.replace("_", " ").capitalize(), "You have a notification."))
    facts = [f"{label}: {payload[key]}" for key, label in _FACTS.items() if payload.get(key) is not None]
    return subject, "\n".join([opening, "", *facts, ""])
