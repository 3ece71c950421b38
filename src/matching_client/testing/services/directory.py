"""DirectoryService."""

from __future__ import annotations

from collections.abc import Iterable

from advisor_matching.v1 import directory_service_pb2 as pb
from advisor_matching.v1.types_pb2 import Advisor, ClosedReason, Project, ProjectComplexity
from matching_client.testing import lifecycle
from matching_client.testing.caller import Caller
from matching_client.testing.entries import AdvisorEntry
from matching_client.testing.paging import page
from matching_client.testing.refusals import no_project
from matching_client.testing.values import copy_of
from matching_client.testing.world import World

_KEPT_WITH_OWNER = ("owner_timezone", "owner_locale")
_KEPT = ("email", "timezone", "rating", "avatar_url", "active")
"""Fields of an advisor that stay as they were where an upsert leaves them out."""


def upsert_project(
    world: World, request: pb.UpsertProjectRequest, caller: Caller
) -> pb.UpsertProjectResponse:
    """Creates or replaces a project; what is kept with its owner holds for all their projects."""
    project = store_project(world, request.project)
    return pb.UpsertProjectResponse(project=project)


def store_project(world: World, given: Project) -> Project:
    """The project as it is stored."""
    project = copy_of(given)
    if not project.technology_stack.ListFields():
        project.ClearField("technology_stack")
    project.project_complexity = project.project_complexity or ProjectComplexity.PROJECT_COMPLEXITY_MEDIUM
    world.projects[project.id] = project
    owned = [other for other in world.projects.values() if other.owner_id == project.owner_id]
    for name in _KEPT_WITH_OWNER:
        known = next((getattr(other, name) for other in (given, *owned) if other.HasField(name)), None)
        for other in owned if known is not None else ():
            setattr(other, name, known)
    return project


def get_project(world: World, request: pb.GetProjectRequest, caller: Caller) -> pb.GetProjectResponse:
    """A project."""
    project = world.project(request.project_id)
    theirs = world.is_active(caller, project.id) or bool(world.offers_of(caller, project.id))
    if not theirs and not caller.may_act_for(project.owner_id):
        raise no_project(project.id)
    return pb.GetProjectResponse(project=project)


def upsert_advisor(
    world: World, request: pb.UpsertAdvisorRequest, caller: Caller
) -> pb.UpsertAdvisorResponse:
    """Creates or replaces a profile; `active` of false is a deactivation."""
    entry = store_advisor(world, request.advisor)
    if not entry.profile.active:
        _close_offers(world, entry, caller)
    return pb.UpsertAdvisorResponse(advisor=entry.profile)


def store_advisor(world: World, given: Advisor) -> AdvisorEntry:
    """The advisor as they are stored."""
    profile = copy_of(given)
    entry = world.advisors.get(profile.id)
    if entry is None:
        entry = world.advisors[profile.id] = AdvisorEntry(world.serial(), Advisor(active=True))
    for name in _KEPT:
        if not profile.HasField(name) and entry.profile.HasField(name):
            setattr(profile, name, getattr(entry.profile, name))
    entry.profile = profile
    return entry


def get_advisor(world: World, request: pb.GetAdvisorRequest, caller: Caller) -> pb.GetAdvisorResponse:
    """A profile."""
    return pb.GetAdvisorResponse(advisor=_shown(world.advisor(request.advisor_id), caller))


def list_advisors(world: World, request: pb.ListAdvisorsRequest, caller: Caller) -> pb.ListAdvisorsResponse:
    """The active advisors that meet every filter, newest first."""
    rows = [
        (entry.serial, _shown(entry, caller))
        for entry in world.advisors.values()
        if entry.profile.active and _meets(world, entry, request)
    ]
    advisors, token = page(rows, request)
    return pb.ListAdvisorsResponse(advisors=advisors, next_page_token=token)


def _meets(world: World, entry: AdvisorEntry, request: pb.ListAdvisorsRequest) -> bool:
    skills = _folded([*entry.profile.skills, *entry.profile.specialties])
    return (
        (not request.skill or request.skill.casefold() in skills)
        and (not request.framework or request.framework.casefold() in _folded(entry.profile.frameworks))
        and (not request.HasField("available") or world.availability(entry).is_available == request.available)
    )


def _folded(words: Iterable[str]) -> set[str]:
    return {word.casefold() for word in words}


def _shown(entry: AdvisorEntry, caller: Caller) -> Advisor:
    """E-mail addresses are shown to the person and the platform alone."""
    shown = copy_of(entry.profile)
    if not caller.acts_for_platform and caller.user_id != entry.id:
        shown.ClearField("email")
    return shown


def deactivate_advisor(
    world: World, request: pb.DeactivateAdvisorRequest, caller: Caller
) -> pb.DeactivateAdvisorResponse:
    """Takes an advisor out of matching and closes their open offers."""
    entry = world.advisor(request.advisor_id)
    if entry.profile.active:
        entry.profile.active = False
        world.intervene("advisor_deactivated", request.reason, caller.user_id, advisorId=entry.id)
    _close_offers(world, entry, caller)
    return pb.DeactivateAdvisorResponse(advisor=entry.profile)


def _close_offers(world: World, advisor: AdvisorEntry, caller: Caller) -> None:
    for entry in list(world.matches.values()):
        if entry.is_open and entry.advisor_id == advisor.id:
            lifecycle.expire(world, entry, ClosedReason.CLOSED_REASON_ADVISOR_DEACTIVATED, caller.user_id)
