"""What the fake knows: people, projects, matches and their events, as messages of the contract."""

from __future__ import annotations

import base64
import binascii
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from advisor_matching.v1.types_pb2 import (
    Availability,
    AvailabilityStatus,
    ChatMessage,
    Intervention,
    MatchStatus,
    Notification,
    NotificationPriority,
    NotificationStatus,
    PreferenceRule,
    Project,
    ProjectEvent,
)
from matching_client.testing.caller import Caller
from matching_client.testing.entries import AdvisorEntry, JobEntry, Log, MatchEntry, Scripted, Stream
from matching_client.testing.refusals import no_advisor, no_match, no_project
from matching_client.testing.values import new_id, now, word_of

Provisioning = Literal["auto", "manual", "off"]


@dataclass
class World:
    """Everything, under one lock. Whoever changes something holds `changed`, which wakes the watches."""

    provisioning: Provisioning
    heartbeat: float
    changed: threading.Condition = field(default_factory=threading.Condition)
    projects: dict[str, Project] = field(default_factory=dict)
    advisors: dict[str, AdvisorEntry] = field(default_factory=dict)
    matches: dict[str, MatchEntry] = field(default_factory=dict)
    workspaces: dict[tuple[str, str], str] = field(default_factory=dict)
    """Active advisors by (project, advisor); the match that brought them."""
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    """The newest of each match."""
    logs: dict[str, Log] = field(default_factory=dict)
    messages: dict[str, list[ChatMessage]] = field(default_factory=dict)
    senders: dict[tuple[str, str, str], ChatMessage] = field(default_factory=dict)
    """Messages by (project, sender, client_msg_id)."""
    rules: dict[str, tuple[int, PreferenceRule | None]] = field(default_factory=dict)
    """None: deleted."""
    interventions: list[tuple[int, Intervention]] = field(default_factory=list)
    notifications: list[tuple[int, Notification]] = field(default_factory=list)
    answers: dict[tuple[str, str], tuple[str, bytes, bytes]] = field(default_factory=dict)
    """By (caller, request_id): method, request and answer."""
    scripts: deque[Scripted] = field(default_factory=deque)
    streams: list[Stream] = field(default_factory=list)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    _serials: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def serial(self) -> int:
        """The next number: what is entered later has a higher one."""
        return next(self._serials)

    # --------------------------------------------------------------------------------------------- finding things

    def project(self, project_id: str) -> Project:
        """Raises ProjectNotFound."""
        if project_id not in self.projects:
            raise no_project(project_id)
        return self.projects[project_id]

    def advisor(self, advisor_id: str) -> AdvisorEntry:
        """Raises AdvisorNotFound."""
        if advisor_id not in self.advisors:
            raise no_advisor(advisor_id)
        return self.advisors[advisor_id]

    def match(self, match_id: str) -> MatchEntry:
        """Raises MatchNotFound."""
        if match_id not in self.matches:
            raise no_match(match_id)
        return self.matches[match_id]

    def matches_of(self, project_id: str) -> list[MatchEntry]:
        """A project's matches, oldest first."""
        return [entry for entry in self.matches.values() if entry.match.project_id == project_id]

    def unsettled(self, project_id: str) -> MatchEntry | None:
        """The project's match that is open or being provisioned."""
        return next((entry for entry in self.matches_of(project_id) if entry.is_unsettled), None)

    def load(self, advisor_id: str) -> int:
        """Slots taken: each project once."""
        held = {
            entry.match.project_id
            for entry in self.matches.values()
            if entry.holds_slot and entry.advisor_id == advisor_id
        }
        return len(held | {project for project, advisor in self.workspaces if advisor == advisor_id})

    def availability(self, entry: AdvisorEntry) -> Availability:
        """Whether an advisor can be offered a project, and why not."""
        load = self.load(entry.id)
        reason = ""
        if not entry.profile.active:
            reason = "inactive"
        elif entry.status != AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE:
            reason = word_of(entry.status, AvailabilityStatus)
        elif load >= entry.slots:
            reason = "at_capacity"
        return Availability(
            advisor_id=entry.id,
            is_available=not reason,
            status=entry.status,
            current_capacity=load,
            max_capacity=entry.slots,
            reason=reason,
            preferences=entry.preferences,
            last_active=entry.last_active,
            updated_at=entry.updated_at,
        )

    # ---------------------------------------------------------------------------------------------- who may see it

    def readable_match(self, caller: Caller, match_id: str) -> MatchEntry:
        """Raises MatchNotFound where there is none, or not for the caller."""
        entry = self.match(match_id)
        theirs = "advisor" in caller.roles and entry.advisor_id == caller.user_id
        if not theirs and not caller.may_act_for(self.project(entry.match.project_id).owner_id):
            raise no_match(match_id)
        return entry

    def own_project(self, caller: Caller, project_id: str) -> Project:
        """Raises ProjectNotFound unless the caller owns it or acts for the platform."""
        project = self.project(project_id)
        if not caller.may_act_for(project.owner_id):
            raise no_project(project_id)
        return project

    def offers_of(self, caller: Caller, project_id: str) -> set[str]:
        """The ids of the project's matches that the caller, as an advisor, is offered or about to work on."""
        if "advisor" not in caller.roles:
            return set()
        return {
            entry.match.id
            for entry in self.matches_of(project_id)
            if entry.holds_slot and entry.advisor_id == caller.user_id
        }

    def is_active(self, caller: Caller, project_id: str) -> bool:
        """Whether the caller, as an advisor, works on the project."""
        return "advisor" in caller.roles and (project_id, caller.user_id) in self.workspaces

    # ---------------------------------------------------------------------------------------------- what happened

    def append(self, project_id: str, type_: str, actor: str = "", **payload: Any) -> ProjectEvent:
        """Adds an event to the project's log. `actor` empty: nobody acted."""
        log = self.logs.setdefault(project_id, Log())
        seq = len(log.events) + 1
        event = ProjectEvent(
            id=self.event_id(project_id, seq),
            seq=seq,
            type=type_,
            project_id=project_id,
            timestamp=now(),
            user_id=actor or "system",
            **payload,
        )
        log.events.append(event)
        self.changed.notify_all()
        return event

    def event_id(self, project_id: str, seq: int) -> str:
        """The id of a place in a project's log."""
        return base64.urlsafe_b64encode(f"{self.epoch[:8]}.{project_id[:8]}.{seq}".encode()).decode()

    def position(self, project_id: str, event_id: str) -> int | None:
        """The number that an id names; None where it is of another log. ValueError where it is no id."""
        try:
            epoch, project, seq = (
                base64.b64decode(event_id, altchars=b"-_", validate=True).decode().split(".")
            )
            number = int(seq)
        except (binascii.Error, ValueError) as error:
            raise ValueError("is not an event id") from error
        return number if (epoch, project) == (self.epoch[:8], project_id[:8]) else None

    def notify(self, recipient_id: str, type_: str, entry: MatchEntry, reason: str = "") -> None:
        """Tells somebody of a match; the fake delivers at once."""
        match = entry.match
        told = {
            "matchId": match.id,
            "projectId": match.project_id,
            "status": word_of(match.status, MatchStatus),
            "advisorId": match.matched_advisor.id,
            "advisorName": match.matched_advisor.display_name,
            "expiresAt": match.expires_at.ToJsonString(),
            "reason": reason,
        }
        notification = Notification(
            id=new_id(),
            type=type_,
            recipient_id=recipient_id,
            priority=NotificationPriority.NOTIFICATION_PRIORITY_NORMAL,
            status=NotificationStatus.NOTIFICATION_STATUS_SENT,
            attempt_count=1,
            created_at=now(),
        )
        notification.payload.update({key: value for key, value in told.items() if value})
        self.notifications.append((self.serial(), notification))

    def intervene(self, type_: str, reason: str, admin: str = "", **more: Any) -> Intervention:
        """Notes what an admin did, or the service by itself. `match_id` and `project_id` are fields of it."""
        intervention = Intervention(
            id=new_id(),
            intervention_type=type_,
            reason=reason,
            created_by=admin or None,
            created_at=now(),
            match_id=more.pop("match_id", None),
            project_id=more.pop("project_id", None),
        )
        intervention.metadata.update(more)
        self.interventions.append((self.serial(), intervention))
        return intervention
