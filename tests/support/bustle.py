"""Many callers who ask, answer and change their minds at random, on all servers at once, and what they were told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from random import Random
from uuid import UUID

import grpc
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import Connection, text

from advisor_matching.v1.admin_service_pb2 import AssignAdvisorRequest, ReleaseAdvisorRequest
from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitClientDecisionRequest,
)
from advisor_matching.v1.match_service_pb2 import (
    ClaimMatchRequest,
    CreateMatchRequest,
    GetMatchRequest,
    ListClaimableMatchesRequest,
)
from advisor_matching.v1.types_pb2 import AssignmentType, AvailabilityStatus, Decision, Match, MatchCriteria
from advisor_matching.v1.types_pb2 import MatchStatus as WireStatus
from matching_client import MatchingClient
from matching_client.status_details import from_rpc_error
from matching_server.domain.model import MatchStatus
from tests.support.databases import connected
from tests.support.happened import Answer, Request
from tests.support.locks import held
from tests.support.seed import insert_projects
from tests.support.world import ADMIN, SERVICE, World

CALLERS = 16
_ADVISORS, _PROJECTS = 8, 48
"""Far fewer slots than projects: most of the time somebody waits."""
_CALL_SECONDS = 20.0
_HOLD_SECONDS = 0.25
"""For how long the platform keeps an advisor's row to itself, at most: longer than a first choice is waited for."""
_PAUSE_SECONDS = 0.5
"""Between two of its doings, at most."""
_NOBODY = {"NO_ADVISORS_AVAILABLE", "ALL_ADVISORS_BUSY"}
_APPROVED, _DECLINED = Decision.DECISION_APPROVED, Decision.DECISION_DECLINED
_AVAILABLE = AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE
_STATUSES = [
    *[_AVAILABLE] * 4,
    AvailabilityStatus.AVAILABILITY_STATUS_BUSY,
    AvailabilityStatus.AVAILABILITY_STATUS_OFFLINE,
]
_SOME_READY_PROJECT = text("SELECT project_id::text FROM project_advisors ORDER BY random() LIMIT 1")
_DELETE_PROJECT = text("DELETE FROM projects WHERE id = :project")


class Bustle:
    """The callers, the platform beside them, and the people whom it is all about; all there is in the world."""

    def __init__(self, world: World, seed: int) -> None:
        self.answers: list[Answer] = []
        self.refused: dict[str, Request] = {}
        """Requests that would not wait, and made no match."""
        self.refusals: Counter[str] = Counter()
        """How often calls were refused for which reason."""
        self._world = world
        self._seed = seed
        dice = Random(seed)
        self._advisors = [world.new_advisor(slots=dice.randint(1, 3)) for _ in range(_ADVISORS - 1)]
        self._advisors.append(world.new_advisor(slots=2, preferences={"auto_accept": True}))
        # Advisors have projects too; no project may be offered to its owner.
        owners = [*self._advisors, *(world.new_person() for _ in range(_ADVISORS))]
        self._owner_of = {
            str(project): owner
            for owner in owners
            for project in insert_projects(world.conn, _PROJECTS // len(owners), owner_id=UUID(owner))
        }
        self._projects = list(self._owner_of)
        self._match_of: dict[str, str] = {}
        """The newest match of each project that a caller has heard of."""
        self._client = cache(self._new_client)
        for server in range(len(world.servers.all)):
            world.service(server=server)

    def run(self, calls: int) -> None:
        """So many calls, dealt out to the callers, and the platform's doings meanwhile."""
        ended = threading.Event()
        with ThreadPoolExecutor(CALLERS + 1) as pool:
            platform = pool.submit(self._meddle, ended)
            callers = [pool.submit(self._call, number, calls // CALLERS) for number in range(CALLERS)]
            try:
                for caller in callers:
                    self.refusals += caller.result()
            finally:
                ended.set()
            platform.result()

    # ----------------------------------------------------------------------------------------------- the callers

    def _call(self, number: int, calls: int) -> Counter[str]:
        """One caller's calls; how often they were refused."""
        refusals: Counter[str] = Counter()
        dice = Random(f"{self._seed}/{number}")
        actions: dict[Callable[[Random], None], int] = {
            self._ask: 50,
            partial(self._client_decides, _DECLINED): 12,
            partial(self._advisor_decides, _DECLINED): 12,
            partial(self._client_decides, _APPROVED): 8,
            partial(self._advisor_decides, _APPROVED): 4,
            self._advisor_claims: 3,
            self._change_availability: 12,
            self._admin_releases: 4,
            self._admin_assigns: 2,
        }
        for action in dice.choices(list(actions), list(actions.values()), k=calls):
            try:
                action(dice)
            except grpc.RpcError as error:
                refusal = from_rpc_error(error)
                refusals[f"{refusal.code.name} {refusal.reason}"] += 1
        return refusals

    def _ask(self, dice: Random) -> None:
        project = dice.choice(self._projects)
        left_out = dice.choice([0, 0, 0, 1, 2, _ADVISORS - 2, _ADVISORS - 1])
        excluded = dice.sample(self._advisors, left_out)
        asked = CreateMatchRequest(
            project_id=project,
            criteria=MatchCriteria(exclude_advisor_ids=excluded),
            allow_previous=dice.random() < 0.6,
            require_immediate=dice.random() < 0.05,
            expires_in=Duration(seconds=1) if dice.random() < 0.2 else None,
        )
        client = self._caller(dice, self._owner_of[project], "client")
        started = time.time()
        try:
            match = client.stubs.match.CreateMatch(asked, timeout=_CALL_SECONDS).match
        except grpc.RpcError as error:
            if from_rpc_error(error).reason not in _NOBODY:
                raise
            self._refused(asked, started)
        else:
            self._told(match, started, asked=True)

    def _client_decides(self, decision: Decision, dice: Random) -> None:
        project, match_id = self._some_match(dice)
        client = self._caller(dice, self._owner_of[project], "client")
        request = SubmitClientDecisionRequest(match_id=match_id, decision=decision)
        started = time.time()
        self._told(client.stubs.decision.SubmitClientDecision(request, timeout=_CALL_SECONDS).match, started)

    def _advisor_decides(self, decision: Decision, dice: Random) -> None:
        match = self._looked_at(dice)
        if match.matched_advisor.id:
            advisor = self._caller(dice, match.matched_advisor.id, "advisor").stubs.decision
            request = SubmitAdvisorDecisionRequest(match_id=match.id, decision=decision)
            started = time.time()
            self._told(advisor.SubmitAdvisorDecision(request, timeout=_CALL_SECONDS).match, started)

    def _advisor_claims(self, dice: Random) -> None:
        advisor = self._caller(dice, dice.choice(self._advisors), "advisor").stubs.match
        shown = advisor.ListClaimableMatches(ListClaimableMatchesRequest(), timeout=_CALL_SECONDS).matches
        if shown:
            request = ClaimMatchRequest(match_id=dice.choice(shown).id)
            started = time.time()
            self._told(advisor.ClaimMatch(request, timeout=_CALL_SECONDS).match, started)

    def _admin_releases(self, dice: Random) -> None:
        match = self._looked_at(dice)
        if match.matched_advisor.id:
            request = ReleaseAdvisorRequest(project_id=match.project_id, advisor_id=match.matched_advisor.id)
            admin = self._caller(dice, str(ADMIN), "admin").stubs.admin
            admin.ReleaseAdvisor(request, timeout=_CALL_SECONDS)

    def _admin_assigns(self, dice: Random) -> None:
        emergency = dice.random() < 0.3
        request = AssignAdvisorRequest(
            project_id=dice.choice(self._projects),
            advisor_id=dice.choice(self._advisors),
            assignment_type=AssignmentType.ASSIGNMENT_TYPE_EMERGENCY if emergency else None,
        )
        admin = self._caller(dice, str(ADMIN), "admin").stubs.admin
        started = time.time()
        self._told(admin.AssignAdvisor(request, timeout=_CALL_SECONDS).match, started)

    def _looked_at(self, dice: Random) -> Match:
        """Some match as the platform sees it."""
        _, match_id = self._some_match(dice)
        reader = self._caller(dice, str(SERVICE), "service").stubs.match
        started = time.time()
        match = reader.GetMatch(GetMatchRequest(match_id=match_id), timeout=_CALL_SECONDS).match
        self._told(match, started)
        return match

    def _change_availability(self, dice: Random) -> None:
        advisor = dice.choice(self._advisors)
        request = UpdateAvailabilityRequest(
            advisor_id=advisor,
            status=dice.choice(_STATUSES) if dice.random() < 0.7 else None,
            max_concurrent_projects=dice.randint(1, 3) if dice.random() < 0.5 else None,
            decline_open_offers=dice.random() < 0.15,
        )
        stubs = self._caller(dice, advisor, "advisor").stubs.availability
        stubs.UpdateAvailability(request, timeout=_CALL_SECONDS)

    def _some_match(self, dice: Random) -> tuple[str, str]:
        known = dict(self._match_of)
        if not known:
            self._ask(dice)
            return self._some_match(dice)
        return dice.choice(list(known.items()))

    def _told(self, match: Match, started: float, *, asked: bool = False) -> None:
        status = MatchStatus(WireStatus.Name(match.status).removeprefix("MATCH_STATUS_").lower())
        self.answers.append(Answer(match.id, status, started, time.time(), asked))
        if asked or match.assignment_type:
            self._match_of[match.project_id] = match.id

    def _refused(self, asked: CreateMatchRequest, started: float) -> None:
        ended = time.time()
        request = Request(
            id=f"refused-{asked.project_id}-{started}",
            project=asked.project_id,
            owner=self._owner_of[asked.project_id],
            created=ended,
            excluded=frozenset(asked.criteria.exclude_advisor_ids),
            allow_previous=asked.allow_previous,
        )
        self.refused[request.id] = request
        self.answers.append(Answer(request.id, None, started, ended))

    def _caller(self, dice: Random, user: str, role: str) -> MatchingClient:
        return self._client(user, role, dice.randrange(len(self._world.servers.all)))

    def _new_client(self, user: str, role: str, server: int) -> MatchingClient:
        return self._world.caller(user, role, server=server)

    # ---------------------------------------------------------------------------------------------- the platform

    def _meddle(self, ended: threading.Event) -> None:
        """Keeps rows to itself, and deletes projects that have an advisor, by SQL that no server hears of."""
        dice = Random(f"{self._seed}/platform")
        with connected(self._world.conn.engine.url) as conn:
            while not ended.wait(dice.uniform(0, _PAUSE_SECONDS)):
                if dice.random() < 0.3:
                    self._replace_a_project(conn)
                else:
                    self._keep_a_row(conn, dice, ended)

    def _replace_a_project(self, conn: Connection) -> None:
        project = conn.execute(_SOME_READY_PROJECT).scalar_one_or_none()
        if project is None:
            return
        owner = self._owner_of[project]
        other = str(insert_projects(conn, 1, owner_id=UUID(owner))[0])
        self._owner_of[other] = owner
        self._projects[self._projects.index(project)] = other
        self._match_of.pop(project, None)
        conn.execute(_DELETE_PROJECT, {"project": project})

    def _keep_a_row(self, conn: Connection, dice: Random, ended: threading.Event) -> None:
        row = "SELECT FROM advisor_availability WHERE advisor_id = :id FOR NO KEY UPDATE"
        with held(conn, row, id=dice.choice(self._advisors)):
            ended.wait(dice.uniform(0, _HOLD_SECONDS))
