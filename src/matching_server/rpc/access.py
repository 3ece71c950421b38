"""Who may call which method: one table over the methods of the contract.

The roles are written down here; what a method does to the world is read from the contract's own descriptors.
Whether a caller may see a particular project or match is decided by the use cases, not here.
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


_CLIENT, _ADVISOR, _SERVICE, _ADMIN = Role.CLIENT, Role.ADVISOR, Role.SERVICE, Role.ADMIN
_EVERY_ROLE = frozenset(Role)
_FOR_PROJECTS = frozenset({_CLIENT, _SERVICE, _ADMIN})
_FOR_ADVISORS = frozenset({_ADVISOR, _SERVICE, _ADMIN})
_CHATTING = frozenset({_CLIENT, _ADVISOR, _SERVICE})
_PLATFORM = frozenset({_SERVICE, _ADMIN})
_CLIENT_ONLY = frozenset({_CLIENT})
_ADVISOR_ONLY = frozenset({_ADVISOR})
_ADMIN_ONLY = frozenset({_ADMIN})

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

ROLES: Mapping[str, Mapping[str, frozenset[Role] | None]] = {
    "MatchService": {
        "CreateMatch": _FOR_PROJECTS,
        "GetMatch": _EVERY_ROLE,
        "ListProjectMatches": _FOR_PROJECTS,
        "ListClaimableMatches": _ADVISOR_ONLY,
        "ClaimMatch": _ADVISOR_ONLY,
    },
    "DecisionService": {
        "SubmitClientDecision": _CLIENT_ONLY,
        "SubmitAdvisorDecision": _ADVISOR_ONLY,
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
        "WatchProjectEvents": _EVERY_ROLE,
        "ListProjectEvents": _EVERY_ROLE,
    },
    "ChatService": {
        "SendMessage": _CHATTING,
        "ListMessages": _CHATTING,
    },
    "DirectoryService": {
        "UpsertProject": _PLATFORM,
        "GetProject": _EVERY_ROLE,
        "UpsertAdvisor": _PLATFORM,
        "GetAdvisor": _EVERY_ROLE,
        "ListAdvisors": _EVERY_ROLE,
        "DeactivateAdvisor": _PLATFORM,
    },
    "SystemService": {
        "GetServiceInfo": None,
    },
}
"""The roles that may call each method; ``None``: anybody."""


def method_of(descriptor: MethodDescriptor, roles: frozenset[Role] | None) -> Method:
    """What the contract says of a method, with the roles that may call it."""
    service = descriptor.containing_service
    return Method(
        path=f"/{service.full_name}/{descriptor.name}",
        name=descriptor.name,
        kind=_kind(descriptor),
        roles=roles,
        request_type=message_factory.GetMessageClass(descriptor.input_type),
        has_request_id="request_id" in descriptor.input_type.fields_by_name,
    )


def methods_of(service: ServiceDescriptor) -> tuple[Method, ...]:
    """Every method of a service of the contract, in the contract's order."""
    roles = ROLES[service.name]
    return tuple(method_of(method, roles[method.name]) for method in service.methods)


def _kind(descriptor: MethodDescriptor) -> Kind:
    if descriptor.server_streaming:
        return Kind.STREAM
    level = descriptor.GetOptions().idempotency_level
    return Kind.READ if level == MethodOptions.NO_SIDE_EFFECTS else Kind.MUTATION


METHODS: Mapping[str, Method] = {
    method.path: method for service in SERVICES.values() for method in methods_of(service)
}
"""Every method of the contract by its path."""
