"""The fake service, and what a test makes it do."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Unpack

from google.protobuf.message import Message

from advisor_matching.v1.types_pb2 import (
    Advisor,
    AdvisorReleasedEvent,
    Availability,
    AvailabilityStatus,
    ChatMessage,
    ClosedReason,
    Match,
    MatchEvent,
    PendingReason,
    Project,
    ProjectComplexity,
    ProjectEvent,
    ProvisioningFailedEvent,
    WorkspaceProvisioning,
    WorkspaceReadyEvent,
)
from matching_client.catalog import methods
from matching_client.client import MatchingClient
from matching_client.errors import MatchingError, Unavailable
from matching_client.settings import ConnectionSettings
from matching_client.testing import lifecycle, provisioning
from matching_client.testing.checks import violations, with_lower_case_ids
from matching_client.testing.entries import DEFAULT_SLOTS, Log, MatchEntry, Scripted
from matching_client.testing.fields import AdvisorFields, ClientOptions, ProjectFields
from matching_client.testing.refusals import scripted
from matching_client.testing.server import Call, Server
from matching_client.testing.services.directory import store_advisor, store_project
from matching_client.testing.values import copy_of, name_of, new_id
from matching_client.testing.world import Provisioning, World

HEARTBEAT_SECONDS = 15.0
Payload = (
    MatchEvent | WorkspaceReadyEvent | ProvisioningFailedEvent | ChatMessage | AdvisorReleasedEvent | None
)
_PAYLOADS: Mapping[type[Message], str] = {
    MatchEvent: "match",
    WorkspaceReadyEvent: "workspace_ready",
    ProvisioningFailedEvent: "provisioning_failed",
    ChatMessage: "message",
    AdvisorReleasedEvent: "released",
}


class FakeMatching:
    """The matching service in this process, on a loopback port of its own, for tests of code that calls it.

    It serves from construction to `close()`; best used in a `with` block. State is in memory and begins
    empty. A project is offered to the first free advisor in the order in which they were added, unless
    `next_match` or `next_pending` says otherwise; waiting matches are served as soon as somebody is free.
    Roles, inputs, errors, etags, repeats, transitions and events are those of the real service; there is no
    ranking, no delivery of notifications and no rate limit. All methods may be called from any thread.
    """

    def __init__(
        self, *, provisioning: Provisioning = "auto", heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        """`provisioning` says what happens to the workspace of a finalized match.

        "auto": it is ready right after the answer; "manual": it stays queued until `finish_provisioning` or
        `fail_provisioning`; "off": there is none, as where the service runs without automatic provisioning.
        `heartbeat_seconds` is the silence after which a watch gets a heartbeat.
        """
        self._world = World(provisioning, heartbeat_seconds)
        self._server = Server(self._world, "fake", secrets.token_hex(32))
        self._clients: list[MatchingClient] = []
        self._server.start()

    # ------------------------------------------------------------------------------------------------- reaching it

    @property
    def connection(self) -> ConnectionSettings:
        """Address, key id and secret, for any client of one's own; the address is for plaintext."""
        return self._server.connection

    @property
    def environ(self) -> dict[str, str]:
        """The same as the variables that `from_env` and the command `matching` read."""
        found = self.connection
        return {
            "MATCHING_ADDRESS": found.address,
            "MATCHING_KEY_ID": found.key_id,
            "MATCHING_SECRET": found.secret,
        }

    def client(
        self,
        *,
        user_id: str | None = None,
        roles: Sequence[str] = ("client",),
        email: str = "",
        **options: Unpack[ClientOptions],
    ) -> MatchingClient:
        """A client that calls as this person, closed with the fake. `user_id` is made where left out."""
        made = MatchingClient(
            self.connection.address,
            key_id=self.connection.key_id,
            secret=self.connection.secret,
            user_id=user_id or new_id(),
            roles=roles,
            email=email,
            **options,
        )
        self._clients.append(made)
        return made

    @property
    def calls(self) -> list[Call]:
        """Every call whose signature was right, oldest first, refused ones and repeated attempts included."""
        with self._world.changed:
            return list(self._server.calls)

    def close(self) -> None:
        """Ends the fake's clients, streams and threads. Repeatable."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._server.stop()

    def __enter__(self) -> FakeMatching:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ the directory

    def add_project(
        self,
        *,
        id: str | None = None,
        owner_id: str | None = None,
        name: str = "Project",
        project_complexity: ProjectComplexity | str = "medium",
        **fields: Unpack[ProjectFields],
    ) -> Project:
        """A project that is "simple", "medium" or "complex"; ids are made where left out.

        ValueError where the service would not take it.
        """
        project = Project(
            id=id or new_id(),
            owner_id=owner_id or new_id(),
            name=name,
            project_complexity=name_of(project_complexity, ProjectComplexity),
            **fields,
        )
        _check(project)
        with self._world.changed:
            return copy_of(store_project(self._world, project))

    def add_advisor(
        self,
        *,
        id: str | None = None,
        display_name: str = "Advisor",
        slots: int = DEFAULT_SLOTS,
        status: AvailabilityStatus | str = "available",
        auto_accept: bool = False,
        **fields: Unpack[AdvisorFields],
    ) -> Advisor:
        """An advisor who is "available", "busy" or "offline".

        Matches that wait are offered to them at once, where they are free. ValueError where the service would
        not take the profile.
        """
        profile = Advisor(id=id or new_id(), display_name=display_name, **fields)
        _check(profile)
        stated = Availability(status=name_of(status, AvailabilityStatus)).status
        with self._world.changed:
            entry = store_advisor(self._world, profile)
            entry.slots = slots
            entry.status = stated
            entry.preferences.auto_accept = auto_accept
            lifecycle.serve_waiting(self._world)
            return copy_of(entry.profile)

    # ------------------------------------------------------------------------------------------------- the scripts

    def next_match(self, advisor_id: str, *, score: float | None = None, reason: str = "") -> None:
        """The next match that is created is offered to this advisor, whatever their status and load.

        `score` is 0 to 100, `reason` the `match_reason`. Scripts are used up one a new match, in order; a
        CreateMatch that returns an open match uses none. AdvisorNotFound where there is no such advisor.
        """
        with self._world.changed:
            self._world.advisor(advisor_id)
            self._world.scripts.append(Scripted(advisor_id, score, reason))

    def next_pending(self, reason: PendingReason | str = "all_advisors_busy") -> None:
        """The next match that is created waits, whoever is free, until `offer` or a claim ends that.

        `reason` may also be "no_advisors_available"; with `require_immediate` the caller gets its error.
        """
        name = name_of(reason, PendingReason)
        with self._world.changed:
            self._world.scripts.append(
                Scripted(None, pending_reason=Match(pending_reason=name).pending_reason)
            )

    def fail_next(
        self, method: str, error: MatchingError | type[MatchingError] | str, times: int = 1
    ) -> None:
        """The next `times` calls of a method ("CreateMatch") fail, having changed nothing.

        `error` is a class of the client's tree, an instance with message and metadata of its own, or a reason
        ("ETAG_MISMATCH"); it arrives as the service would send it. The client repeats what is worth it by
        itself, so Unavailable, once, is not seen by the caller. Calls that are refused anyway, by roles or
        inputs, do not count. ValueError where the contract has no such method or reason.
        """
        if method not in {known.name for known in methods()}:
            raise ValueError(f"the contract has no method {method!r}; write it like CreateMatch")
        found = scripted(error)
        with self._world.changed:
            self._server.failures.setdefault(method, []).extend([found] * times)

    # ------------------------------------------------------------------------------------------- what happens then

    def match(self, match_id: str) -> Match:
        """A match as it stands. MatchNotFound."""
        with self._world.changed:
            return copy_of(self._world.match(match_id).match)

    def events(self, project_id: str) -> list[ProjectEvent]:
        """Everything that has happened in a project, oldest first."""
        with self._world.changed:
            return [copy_of(event) for event in self._world.logs.get(project_id, Log()).events]

    def offer(self, match_id: str, advisor_id: str, *, score: float | None = None) -> Match:
        """A waiting match is offered to this advisor. ValueError where it does not wait."""
        with self._world.changed:
            entry, advisor = self._world.match(match_id), self._world.advisor(advisor_id)
            if entry.match.pending_reason == PendingReason.PENDING_REASON_UNSPECIFIED:
                raise ValueError(f"match {match_id} does not wait for an advisor")
            lifecycle.offer(self._world, entry, advisor, score=score)
            return copy_of(entry.match)

    def expire(self, match_id: str) -> Match:
        """An open match expires now. ValueError where it is not open."""
        with self._world.changed:
            entry = self._world.match(match_id)
            if not entry.is_open:
                raise ValueError(f"match {match_id} is not open")
            lifecycle.expire(self._world, entry, ClosedReason.CLOSED_REASON_EXPIRED)
            lifecycle.serve_waiting(self._world)
            return copy_of(entry.match)

    def finish_provisioning(self, match_id: str) -> Match:
        """The workspace of a finalized match is ready. ValueError where it is not queued."""
        with self._world.changed:
            entry = self._queued(match_id)
            provisioning.settle(self._world, entry)
            return copy_of(entry.match)

    def fail_provisioning(self, match_id: str, reason: str = "out of attempts") -> Match:
        """Provisioning fails for good, and the match returns to its previous status.

        `reason` is what admins see; watchers are told no more than that it failed. ValueError where the
        workspace is not queued.
        """
        with self._world.changed:
            entry = self._queued(match_id)
            provisioning.give_up(self._world, entry, reason)
            return copy_of(entry.match)

    def _queued(self, match_id: str) -> MatchEntry:
        entry = self._world.match(match_id)
        if entry.match.workspace_provisioning != WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED:
            raise ValueError(
                f"the workspace of match {match_id} is not queued: "
                "the match is not finalized, or the fake was not made with provisioning='manual'"
            )
        return entry

    # ----------------------------------------------------------------------------------------- events and streams

    def emit(
        self, project_id: str, type: str, payload: Payload = None, *, user_id: str = "system"
    ) -> ProjectEvent:
        """Appends an event of any name to a project's log, even one that this release does not know.

        ProjectNotFound.
        """
        fields = {} if payload is None else {_PAYLOADS[payload.__class__]: payload}
        with self._world.changed:
            self._world.project(project_id)
            return copy_of(self._world.append(project_id, type, user_id, **fields))

    def break_streams(self) -> int:
        """Breaks every open watch, as a lost connection would. Returns how many there were."""
        return self.end_streams(Unavailable("the connection was lost"))

    def end_streams(self, error: MatchingError | type[MatchingError] | str) -> int:
        """Ends every open watch with an error, given as in `fail_next`. Returns how many there were."""
        ending = scripted(error)
        with self._world.changed:
            open_ones = [stream for stream in self._world.streams if stream.ending is None]
            for stream in open_ones:
                stream.ending = ending
            self._world.changed.notify_all()
            return len(open_ones)

    def forget_events(self, project_id: str) -> None:
        """All events so far are no longer retained: who resumes from before the last gets EventsCompacted."""
        with self._world.changed:
            log = self._world.logs.setdefault(project_id, Log())
            log.forgotten = len(log.events)


def _check(message: Message) -> None:
    wrong = [f"{found.field} {found.description}" for found in violations(message)]
    if wrong:
        raise ValueError(f"{message.DESCRIPTOR.name}: {'; '.join(wrong)}")
    with_lower_case_ids(message)
