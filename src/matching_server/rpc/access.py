"""Who may call which method, and about whose things: one table over the methods of the contract.

The roles are decided by here, and ``docs/access.md`` is made from it; what a method does to the world is read from the
contract's own descriptors. Whether a caller may see a particular project or match takes a look at the database: the use
cases do that (``operations/access.py``), in the transaction that acts, and the table says what they find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from advisor_matching.v1 import (
    admin_service_pb2,
    availability_service_pb2,
    chat_service_pb2,
    decision_service_pb2,
    directory_service_pb2,
    event_service_pb2,
    match_service_pb2,
    system_service_pb2,
)
from matching_server.domain.model import Role


class Kind(StrEnum):
    """What a method does; mutations and streams may be made only once per signature."""

    READ = "read"
    MUTATION = "mutation"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the contract.

    ``roles`` of ``None`` means that anybody may call it, unsigned.
    """

    path: str
    name: str
    kind: Kind
    roles: frozenset[Role] | None
    request_type: type[Message]
    has_request_id: bool
    """Whether the request has a ``request_id``, by which a repeat is recognized."""

    @property
    def needs_nonce(self) -> bool:
        """Whether a signed call of it may be made only once."""
        return self.kind is not Kind.READ


class Reach(StrEnum):
    """Whose things a role reaches with a method, in words. What is beyond is not found, as if it were not there."""

    ALL = "all"
    ALL_BUT_ADDRESSES = "all, e-mail addresses excepted but for one's own"
    OWN_PROJECTS = "projects that they own"
    OWN_PROJECTS_MATCHES = "matches of projects that they own"
    OFFERED_MATCHES = "matches that are, or were, offered to them"
    ELIGIBLE_MATCHES = "pending matches that they are eligible for"
    CLAIMABLE_MATCHES = "matches that wait, or waited, and that they are eligible for; those offered to them"
    ADVISED_PROJECTS = "projects that they work on, or that are offered to them"
    ADVISED_EVENTS = "projects that they work on; of one that is only offered to them, that match's events"
    ACTIVE_PROJECTS = "projects that they work on"
    THEMSELVES = "themselves"


Access = Mapping[Role, Reach]
"""Who may call a method, and what each reaches with it."""

_CLIENT, _ADVISOR, _SERVICE, _ADMIN = Role.CLIENT, Role.ADVISOR, Role.SERVICE, Role.ADMIN
_PLATFORM: Access = {_SERVICE: Reach.ALL, _ADMIN: Reach.ALL}
_ADMIN_ONLY: Access = {_ADMIN: Reach.ALL}
_FOR_PROJECTS: Access = {_CLIENT: Reach.OWN_PROJECTS, **_PLATFORM}
_FOR_ADVISORS: Access = {_ADVISOR: Reach.THEMSELVES, **_PLATFORM}
_WATCHING: Access = {_CLIENT: Reach.OWN_PROJECTS, _ADVISOR: Reach.ADVISED_EVENTS, **_PLATFORM}
_CHATTING: Access = {_CLIENT: Reach.OWN_PROJECTS, _ADVISOR: Reach.ACTIVE_PROJECTS, _SERVICE: Reach.ALL}
_BROWSING: Access = {_CLIENT: Reach.ALL_BUT_ADDRESSES, _ADVISOR: Reach.ALL_BUT_ADDRESSES, **_PLATFORM}

SERVICES: Mapping[str, ServiceDescriptor] = {
    service.name: service
    for module in (
        match_service_pb2,
        decision_service_pb2,
        availability_service_pb2,
        admin_service_pb2,
        event_service_pb2,
        chat_service_pb2,
        directory_service_pb2,
        system_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}
"""The contract's services by their short names."""

ACCESS: Mapping[str, Mapping[str, Access | None]] = {
    "MatchService": {
        "CreateMatch": _FOR_PROJECTS,
        "GetMatch": {_CLIENT: Reach.OWN_PROJECTS_MATCHES, _ADVISOR: Reach.OFFERED_MATCHES, **_PLATFORM},
        "ListProjectMatches": _FOR_PROJECTS,
        "ListClaimableMatches": {_ADVISOR: Reach.ELIGIBLE_MATCHES},
        "ClaimMatch": {_ADVISOR: Reach.CLAIMABLE_MATCHES},
    },
    "DecisionService": {
        "SubmitClientDecision": {_CLIENT: Reach.OWN_PROJECTS_MATCHES},
        "SubmitAdvisorDecision": {_ADVISOR: Reach.OFFERED_MATCHES},
    },
    "AvailabilityService": {
        "UpdateAvailability": _FOR_ADVISORS,
        "GetAvailability": _FOR_ADVISORS,
    },
    "AdminService": {
        "AssignAdvisor": _ADMIN_ONLY,
        "ReleaseAdvisor": _ADMIN_ONLY,
        "GetPoolStatus": _ADMIN_ONLY,
        "SimulateMatch": _ADMIN_ONLY,
        "ExplainMatch": _ADMIN_ONLY,
        "CreatePreferenceRule": _ADMIN_ONLY,
        "ListPreferenceRules": _ADMIN_ONLY,
        "DeletePreferenceRule": _ADMIN_ONLY,
        "GetProvisioningStats": _ADMIN_ONLY,
        "ListProvisioningJobs": _ADMIN_ONLY,
        "RetryProvisioning": _ADMIN_ONLY,
        "ListInterventions": _ADMIN_ONLY,
        "ListNotifications": _ADMIN_ONLY,
        "ResendNotification": _ADMIN_ONLY,
        "AuditInvariants": _ADMIN_ONLY,
        "RepairInvariants": _ADMIN_ONLY,
    },
    "EventService": {
        "WatchProjectEvents": _WATCHING,
        "ListProjectEvents": _WATCHING,
    },
    "ChatService": {
        "SendMessage": _CHATTING,
        "ListMessages": _CHATTING,
    },
    "DirectoryService": {
        "UpsertProject": _PLATFORM,
        "GetProject": {_CLIENT: Reach.OWN_PROJECTS, _ADVISOR: Reach.ADVISED_PROJECTS, **_PLATFORM},
        "UpsertAdvisor": _PLATFORM,
        "GetAdvisor": _BROWSING,
        "ListAdvisors": _BROWSING,
        "DeactivateAdvisor": _PLATFORM,
    },
    "SystemService": {
        "GetServiceInfo": None,
    },
}
"""What each role reaches with each method; ``None``: anybody may call it, unsigned."""


def method_of(descriptor: MethodDescriptor) -> Method:
    """What the contract says of a method, with the roles that may call it."""
    service = descriptor.containing_service
    access = ACCESS[service.name][descriptor.name]
    return Method(
        path=f"/{service.full_name}/{descriptor.name}",
        name=descriptor.name,
        kind=_kind(descriptor),
        roles=None if access is None else frozenset(access),
        request_type=message_factory.GetMessageClass(descriptor.input_type),
        has_request_id="request_id" in descriptor.input_type.fields_by_name,
    )


def methods_of(service: ServiceDescriptor) -> tuple[Method, ...]:
    """Every method of a service of the contract, in the contract's order."""
    return tuple(method_of(method) for method in service.methods)


def _kind(descriptor: MethodDescriptor) -> Kind:
    if descriptor.server_streaming:
        return Kind.STREAM
    level = descriptor.GetOptions().idempotency_level
    return Kind.READ if level == MethodOptions.NO_SIDE_EFFECTS else Kind.MUTATION


METHODS: Mapping[str, Method] = {
    method.path: method for service in SERVICES.values() for method in methods_of(service)
}
"""Every method of the contract by its path."""
