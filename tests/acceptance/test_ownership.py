"""Whose things each role reaches: every method of the contract, every role, every relation to what it is about."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from advisor_matching.v1.match_service_pb2 import ListClaimableMatchesRequest, ListClaimableMatchesResponse
from advisor_matching.v1.types_pb2 import MatchCriteria
from matching_client import Claims, MatchingError
from matching_client.catalog import find_method, path_of
from matching_server.domain.model import Role
from matching_server.rpc.access import ACCESS, Reach
from tests.support.contract import SIGNED, in_order, name_of
from tests.support.raw import sign
from tests.support.world import ADMIN, SERVICE, World

BUSY = "AVAILABILITY_STATUS_BUSY"
Roles = tuple[Role, ...]
ROLES: tuple[Roles, ...] = (*((role,) for role in Role), (Role.CLIENT, Role.ADVISOR))
NOT_LET_IN = {
    "PERMISSION_DENIED",
    "PROJECT_NOT_FOUND",
    "MATCH_NOT_FOUND",
    "ADVISOR_NOT_FOUND",
    "NOTIFICATION_NOT_FOUND",
    "RULE_NOT_FOUND",
}
LET_IN = {
    "OK",
    "INVALID_TRANSITION",
    "JOB_NOT_FOUND",
    "ALREADY_ASSIGNED",
    "ADVISOR_AT_CAPACITY",
    "ADVISOR_UNAVAILABLE",
}


@pytest.fixture(scope="module")
def server_settings() -> Mapping[str, object]:
    """Nobody is in the way of anybody: callers call as often, and watch as much, as a matrix asks for."""
    return {"sweep_seconds": 3600, "calls_per_user": 100_000, "streams_per_user": 1_000}


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """One server."""
    return [()]


@dataclass(frozen=True)
class Object:
    """A project with its only match, and who has to do with it."""

    project: str
    match: str
    owner: str
    offered: str = ""
    """Who holds its offer at the moment."""
    active: str = ""
    """Who works on it."""
    once_offered: str = ""
    """Whom it is, or was, offered to."""
    waits: bool = False


@dataclass
class Scene:
    """A project in each state that tells people apart; whoever is in one relation is in none to the others."""

    world: World
    objects: list[Object] = field(default_factory=list)
    advisors: list[str] = field(default_factory=list)
    excluded: str = ""
    """Whom the match that waits is not for."""
    stranger: str = ""

    @property
    def people(self) -> list[str]:
        owners = [one.owner for one in self.objects]
        return [*owners, *self.advisors, self.stranger, str(SERVICE), str(ADMIN)]

    @property
    def waiting(self) -> Object:
        return self.objects[-1]


def set_up(world: World) -> Scene:
    scene = Scene(world, stranger=world.new_person())

    def add(project: str, match: str, advisor: str = "", **relation: Any) -> None:
        owner = str(world.value("SELECT owner_id FROM projects WHERE id = :id", id=project))
        scene.objects.append(Object(project, match, owner, once_offered=advisor, **relation))

    def busy(advisor: str) -> None:
        scene.advisors.append(advisor)
        world.service().update_availability(advisor, status=BUSY)

    project, advisor, match = world.matched()
    busy(advisor)
    add(project, match.id, advisor, offered=advisor)
    for release in (False, True):
        project, advisor, match = world.finalized()
        world.wait_for_ready(match.id)
        busy(advisor)
        add(project, match.id, advisor, active="" if release else advisor)
        if release:
            world.admin().release_advisor(project, advisor)
    project, advisor, match = world.matched()
    busy(advisor)
    world.advisor(advisor).submit_advisor_decision(match.id, "DECISION_DECLINED")
    add(project, match.id, advisor)
    for _ in range(2):
        busy(world.new_advisor())
    scene.excluded = scene.advisors[-1]
    project = world.new_project()
    criteria = MatchCriteria(exclude_advisor_ids=[scene.excluded])
    add(project, world.service().create_match(project, criteria=criteria).match.id, waits=True)
    return scene


Within = Callable[[Scene, str, Object], bool]
REACHED: Mapping[Reach, Within] = {
    Reach.ALL: lambda scene, who, what: True,
    Reach.OWN_PROJECTS: lambda scene, who, what: who == what.owner,
    Reach.OWN_PROJECTS_MATCHES: lambda scene, who, what: who == what.owner,
    Reach.OFFERED_MATCHES: lambda scene, who, what: who == what.once_offered,
    Reach.CLAIMABLE_MATCHES: lambda scene, who, what: (
        who == what.once_offered or (what.waits and who in scene.advisors and who != scene.excluded)
    ),
    Reach.ADVISED_PROJECTS: lambda scene, who, what: who in (what.active, what.offered),
    Reach.ADVISED_EVENTS: lambda scene, who, what: who in (what.active, what.offered),
    Reach.ACTIVE_PROJECTS: lambda scene, who, what: who == what.active,
}
"""What the words of the table mean in the scene, for what projects and matches are asked by."""


def access_of(method: MethodDescriptor) -> Mapping[Role, Reach]:
    return ACCESS[method.containing_service.name][method.name] or {}


def answer(
    scene: Scene, channel: grpc.Channel, method: MethodDescriptor, who: str, roles: Roles, **ids: str
) -> tuple[str, str]:
    """Reason and text of the refusal, without the id that it was about; "OK" where there is none."""
    request: Any = in_order(method)
    for name, value in ids.items():
        setattr(request, name, value)
    if "from_start" in method.input_type.fields_by_name:
        request.from_start = True
    call = sign(scene.world.servers.all[0].endpoint, Claims(who, roles=roles), path_of(method), request)
    try:
        call.open(channel) if method.server_streaming else call.send(channel)
    except MatchingError as error:
        text = str(error.message)
        for id_ in ids.values():
            text = text.replace(id_, "<id>")
        return error.reason, f"{error.code} {text} {error.metadata}"
    return "OK", ""


def happened(world: World) -> list[Any]:
    """What refused calls must leave as it is."""
    tables = (
        "advisor_match_requests",
        "project_events",
        "advisor_availability",
        "unified_chat_messages",
        "project_advisors",
        "idempotent_requests",
        "workspace_provisioning_queue",
        "projects",
        "advisors",
    )
    return [
        world.value(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {name} t") for name in tables
    ]


def about(name: str) -> list[MethodDescriptor]:
    """Methods whose request names such an id, and is about it."""
    filters = ("ListInterventions", "ListNotifications")
    return [m for m in SIGNED if name in m.input_type.fields_by_name and m.name not in filters]


MATCHES = about("match_id")
PROJECTS = about("project_id")
ADVISORS = [method for method in about("advisor_id") if method not in PROJECTS]


def callers(scene: Scene) -> Iterator[tuple[str, Roles]]:
    return itertools.product(scene.people, ROLES)


def check(
    scene: Scene,
    method: MethodDescriptor,
    field_name: str,
    targets: Mapping[str, Callable[[str, Reach], bool]],
    **more: str,
) -> None:
    """``targets``: each id, and whether somebody reaches it by the words of the table."""
    access, allowed = access_of(method), []
    before = happened(scene.world)
    with scene.world.channel() as channel:
        for who, roles in callers(scene):
            mine = [access[role] for role in roles if role in access]
            missing = answer(scene, channel, method, who, roles, **more, **{field_name: str(uuid.uuid4())})
            assert missing[0] in NOT_LET_IN, (who, roles, missing)
            assert (missing[0] == "PERMISSION_DENIED") == (not mine)
            # Who may not call it at all is refused before anybody looks for what the call is about.
            for id_, within in list(targets.items())[: None if mine else 1]:
                if any(within(who, reach) for reach in mine):
                    allowed.append((who, roles, id_))
                else:
                    told = answer(scene, channel, method, who, roles, **more, **{field_name: id_})
                    assert told == missing, (who, roles, id_)
        assert happened(scene.world) == before
        assert allowed
        for who, roles, id_ in allowed:
            told = answer(scene, channel, method, who, roles, **more, **{field_name: id_})
            assert told[0] in LET_IN, (who, roles, id_, told)


@pytest.mark.parametrize("method", MATCHES + PROJECTS, ids=name_of)
def test_everybody_reaches_the_projects_and_matches_that_the_table_says_and_no_others(
    world: World, method: MethodDescriptor
) -> None:
    scene = set_up(world)
    by_match = method in MATCHES
    targets = {
        one.match if by_match else one.project: lambda who, reach, one=one: REACHED[reach](scene, who, one)
        for one in scene.objects
    }
    more = {"advisor_id": scene.excluded} if "advisor_id" in method.input_type.fields_by_name else {}
    check(scene, method, "match_id" if by_match else "project_id", targets, **more)


@pytest.mark.parametrize("method", ADVISORS, ids=name_of)
def test_everybody_reaches_the_advisors_that_the_table_says_and_no_others(
    world: World, method: MethodDescriptor
) -> None:
    scene = set_up(world)
    all_of_them = (Reach.ALL, Reach.ALL_BUT_ADDRESSES)
    targets = {
        id_: lambda who, reach, id_=id_: reach in all_of_them or (reach is Reach.THEMSELVES and who == id_)
        for id_ in scene.advisors
    }
    check(scene, method, "advisor_id", targets)


def test_the_waiting_match_is_listed_for_those_who_are_eligible(world: World) -> None:
    scene = set_up(world)
    listed = {}
    path = path_of(find_method("MatchService/ListClaimableMatches"))
    with world.channel() as channel:
        for advisor in scene.advisors:
            call = sign(
                world.servers.all[0].endpoint,
                Claims(advisor, roles=["advisor"]),
                path,
                ListClaimableMatchesRequest(),
            )
            page = ListClaimableMatchesResponse.FromString(call.send(channel))
            listed[advisor] = [match.id for match in page.matches]
    assert listed == {
        advisor: [] if advisor == scene.excluded else [scene.waiting.match] for advisor in scene.advisors
    }


def test_no_method_that_is_about_something_is_left_out() -> None:
    asked = {*map(name_of, MATCHES), *map(name_of, PROJECTS), *map(name_of, ADVISORS)}
    others = {name_of(method) for method in SIGNED} - asked
    reached = {name: set((ACCESS[name.split(".")[0]][name.split(".")[1]] or {}).values()) for name in others}
    elsewhere = {
        "MatchService.ListClaimableMatches": {Reach.ELIGIBLE_MATCHES},
        "DirectoryService.ListAdvisors": {Reach.ALL, Reach.ALL_BUT_ADDRESSES},
    }
    assert {name: reach for name, reach in reached.items() if reach != {Reach.ALL}} == elsewhere
