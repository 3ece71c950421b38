"""Whoever serves, and those who call: tests that know no more than this run against the fake and the real service."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from advisor_matching.v1.types_pb2 import Advisor, Match, MatchStatus, Project, WorkspaceProvisioning
from matching_client import ConnectionSettings, MatchingClient, MatchingError
from matching_client.testing import FakeMatching
from tests.support.faults import failing
from tests.support.processes import Endpoint
from tests.support.wait import eventually
from tests.support.world import World

APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"


class Service(ABC):
    """A service with an empty directory, reached by the wire alone."""

    def __init__(self, connection: ConnectionSettings) -> None:
        self.connection = connection
        self._client = MatchingClient(
            connection.address,
            key_id=connection.key_id,
            secret=connection.secret,
            user_id=str(uuid.uuid4()),
            roles=["service"],
            timeout=20,
        )

    @property
    def endpoint(self) -> Endpoint:
        """The same connection, for calls by hand."""
        return Endpoint(self.connection.address, self.connection.key_id, self.connection.secret)

    # ------------------------------------------------------------------------------------------------- who calls

    def caller(self, user_id: str, *roles: str) -> MatchingClient:
        """Somebody with these roles."""
        return self._client.as_user(user_id=user_id, roles=roles)

    def stranger(self, *roles: str) -> MatchingClient:
        """Somebody who has nothing to do with anything."""
        return self.caller(str(uuid.uuid4()), *roles)

    def owner(self, project: Project) -> MatchingClient:
        """The project's owner."""
        return self.caller(project.owner_id, "client")

    def advisor(self, advisor: Advisor) -> MatchingClient:
        """The advisor."""
        return self.caller(advisor.id, "advisor")

    @property
    def platform(self) -> MatchingClient:
        """The platform."""
        return self._client

    @property
    def admin(self) -> MatchingClient:
        """An administrator."""
        return self.stranger("admin")

    # --------------------------------------------------------------------------------------------- what there is

    def new_project(self, **fields: Any) -> Project:
        """A project with an owner of its own."""
        given = {"id": str(uuid.uuid4()), "owner_id": str(uuid.uuid4()), "name": "Project"} | fields
        return self.platform.upsert_project(Project(**given))

    def new_advisor(self, slots: int = 3, status: str | None = None, **fields: Any) -> Advisor:
        """An advisor, available unless told otherwise."""
        given = {"id": str(uuid.uuid4()), "display_name": "Ada"} | fields
        advisor = self.platform.upsert_advisor(Advisor(**given))
        self.platform.update_availability(advisor_id=advisor.id, max_concurrent_projects=slots, status=status)
        return advisor

    def matched(self) -> tuple[Project, Advisor, Match]:
        """A project that has just been offered to the only advisor."""
        advisor, project = self.new_advisor(), self.new_project()
        return project, advisor, self.owner(project).create_match(project.id).match

    def finalized(self) -> tuple[Project, Advisor, Match]:
        """The same, approved by the client and then by the advisor; the workspace is ready."""
        project, advisor, match = self.matched()
        self.owner(project).submit_client_decision(match.id, APPROVED)
        self.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
        return project, advisor, self.wait_for_workspace(match.id)

    # ------------------------------------------------------------------------------------------------- what happens

    def wait_for_workspace(self, match_id: str) -> Match:
        """Waits until the workspace of the finalized match is ready."""
        self.let_provision(match_id)
        ready = WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY
        return self._wait(match_id, lambda match: match.workspace_provisioning == ready)

    def wait_for_status(self, match_id: str, status: MatchStatus) -> Match:
        """Waits until the match is in that status."""
        return self._wait(match_id, lambda match: match.status == status)

    def _wait(self, match_id: str, holds: Callable[[Match], bool]) -> Match:
        eventually(lambda: holds(self.platform.get_match(match_id)), what=f"match {match_id} gets there")
        return self.platform.get_match(match_id)

    def event_types(self, project: Project) -> list[str]:
        """The names of all that has happened."""
        return [event.type for event in self.platform.list_project_events(project.id).events]

    @abstractmethod
    def let_provision(self, match_id: str) -> None:
        """Sees to it that the workspace is made."""

    @abstractmethod
    def roll_back(self, match_id: str, decide: Callable[[], object]) -> Match:
        """Lets the provisioning fail for good that the decision causes."""


class FakeService(Service):
    """The fake; its workspaces are made when somebody waits for them."""

    def __init__(self, fake: FakeMatching) -> None:
        super().__init__(fake.connection)
        self._fake = fake

    def let_provision(self, match_id: str) -> None:
        self._fake.finish_provisioning(match_id)

    def roll_back(self, match_id: str, decide: Callable[[], object]) -> Match:
        decide()
        return self._fake.fail_provisioning(match_id)


class RealService(Service):
    """The first server of a world."""

    def __init__(self, world: World) -> None:
        endpoint = world.servers.all[0].endpoint
        super().__init__(ConnectionSettings(endpoint.address, endpoint.key_id, endpoint.secret))
        self._world = world

    def let_provision(self, match_id: str) -> None:
        """It does so by itself."""

    def roll_back(self, match_id: str, decide: Callable[[], object]) -> Match:
        with failing(self._world, "access row"):
            decide()
            failed = WorkspaceProvisioning.WORKSPACE_PROVISIONING_FAILED
            return self._wait(match_id, lambda match: match.workspace_provisioning == failed)


def refused(call: Callable[[], object]) -> MatchingError:
    """The error that a call ends with; an answer fails the test."""
    try:
        answer = call()
    except MatchingError as error:
        return error
    raise AssertionError(f"the call was answered: {answer}")
