"""Callers who go on whatever happens to the servers, and know what has been acknowledged to them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import grpc

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitClientDecisionRequest,
)
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision
from matching_client import MatchingClient, MatchingError
from matching_client.status_details import from_rpc_error
from tests.support.seed import insert_advisors, insert_projects, insert_user
from tests.support.wait import eventually
from tests.support.world import World

T = TypeVar("T")
_PAUSE_SECONDS = 0.02
_CALL_SECONDS = 15.0
_APPROVED = Decision.DECISION_APPROVED


class Stopped(Exception):
    """The load is over, and this call was never acknowledged."""


@dataclass(slots=True)
class Acknowledged:
    """Ids of the matches for which each step was acknowledged."""

    created: list[str] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)


class Load:
    """Callers in threads, spread over the servers: ask, approve, accept, and on to the next project.

    A call that is refused is made again, the very same, until it is acknowledged; with ``persistent`` off,
    its caller stops there. ``projects`` is how many they have: more than they can get through.
    ``rest`` is how many seconds a caller waits between two projects.
    """

    def __init__(
        self,
        world: World,
        *,
        callers: int = 4,
        servers: int = 1,
        persistent: bool = True,
        projects: int = 2_000,
        rest: float = 0.0,
    ) -> None:
        self.acknowledged = Acknowledged()
        self.refusals: list[tuple[float, MatchingError]] = []
        """When (monotonic) and how calls were refused."""
        self.refused_projects: list[str] = []
        """With ``persistent`` off: where each caller stopped."""
        self._world = world
        self._persistent = persistent
        self._rest = rest
        self._stopping = threading.Event()
        insert_advisors(world.conn, -(-projects // 100), slots=100)
        owner = insert_user(world.conn)
        self._projects = [str(id_) for id_ in insert_projects(world.conn, projects, owner_id=owner)]
        self._threads = [
            threading.Thread(target=self._run, args=(owner, number % servers), name=f"caller-{number}")
            for number in range(callers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * _CALL_SECONDS)
            assert not thread.is_alive(), "a call has no end"

    @property
    def count(self) -> int:
        """Calls that have been acknowledged."""
        said = self.acknowledged
        return len(said.created) + len(said.approved) + len(said.accepted)

    @property
    def codes(self) -> set[str]:
        """The kinds of refusals."""
        return {f"{error.code.name} {error.reason}".strip() for _, error in self.refusals}

    def wait_for_progress(self, calls: int = 20, *, timeout: float = 15.0) -> None:
        """Waits until so many more calls have been acknowledged."""
        count = self.count + calls
        eventually(lambda: self.count >= count, timeout=timeout, what=f"{calls} more calls are acknowledged")

    def assert_kept(self) -> None:
        """All that was acknowledged is in the database, and no project has more than one match."""
        rows = self._world.rows("SELECT * FROM advisor_match_requests")
        assert len({row.project_id for row in rows}) == len(rows)
        by_id = {str(row.id): row for row in rows}
        assert set(self.acknowledged.created) <= by_id.keys()
        assert {by_id[id_].client_decision for id_ in self.acknowledged.approved} <= {"approved"}
        assert {by_id[id_].advisor_decision for id_ in self.acknowledged.accepted} <= {"approved"}
        assert {by_id[id_].status for id_ in self.acknowledged.accepted} <= {"finalized"}

    def all_provisioned(self) -> bool:
        """Whether every match that was finalized has its workspace."""
        query = "SELECT count(*) FROM advisor_match_requests WHERE provisioning_state <> 'ready'"
        return bool(self._world.value(query) == 0)

    def _run(self, owner: UUID, server: int) -> None:
        client = self._world.caller(owner, "client", server=server)
        while not self._stopping.wait(self._rest):
            project = self._projects.pop()
            try:
                self._one_life(client, project, server)
            except Stopped:
                self.refused_projects.append(project)
                return

    def _one_life(self, client: MatchingClient, project: str, server: int) -> None:
        # Were it not for its request id, a repeat of what was done unheard would be refused.
        asked = CreateMatchRequest(project_id=project, request_id=str(uuid.uuid4()), fail_if_open=True)
        match = self._call(lambda: client.stubs.match.CreateMatch(asked, timeout=_CALL_SECONDS)).match
        self.acknowledged.created.append(match.id)
        approval = SubmitClientDecisionRequest(match_id=match.id, decision=_APPROVED)
        decisions = client.stubs.decision
        self._call(lambda: decisions.SubmitClientDecision(approval, timeout=_CALL_SECONDS))
        self.acknowledged.approved.append(match.id)
        acceptance = SubmitAdvisorDecisionRequest(match_id=match.id, decision=_APPROVED)
        advisor = self._world.caller(match.matched_advisor.id, "advisor", server=server).stubs.decision
        self._call(lambda: advisor.SubmitAdvisorDecision(acceptance, timeout=_CALL_SECONDS))
        self.acknowledged.accepted.append(match.id)

    def _call(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                self.refusals.append((time.monotonic(), from_rpc_error(error)))
            if self._stopping.is_set() or not self._persistent:
                raise Stopped
            time.sleep(_PAUSE_SECONDS)
