"""The contract's enums and the domain's, mapped by name: built once, and checked to be complete."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from advisor_matching.v1 import chat_service_pb2, types_pb2
from matching_server.domain import model, notifications, rules

E = TypeVar("E", bound=StrEnum)


class EnumMap(Generic[E]):
    """Both directions of one enum. ``UNSPECIFIED`` is ``None`` here.

    Raises:
        ValueError: one side has a value that the other lacks, so code and contract have come apart.
    """

    def __init__(self, wire: Any, domain: type[E]) -> None:
        numbers = value_names(wire)
        if numbers.keys() != set(domain.__members__):
            raise ValueError(f"{wire.DESCRIPTOR.name} and {domain.__name__} differ")
        self.name: str = wire.DESCRIPTOR.name
        self.values: Mapping[int, E] = {number: domain[name] for name, number in numbers.items()}
        self._numbers: Mapping[E | None, Any] = {
            None: 0,
            **{value: number for number, value in self.values.items()},
        }

    def to_wire(self, value: E | None) -> Any:
        """The number on the wire."""
        return self._numbers[value]


def value_names(wire: EnumTypeWrapper) -> dict[str, int]:
    """Names without the enum's prefix, and numbers, of all values but ``UNSPECIFIED``."""
    values = wire.DESCRIPTOR.values
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix): value.number for value in values[1:]}


MATCH_STATUS = EnumMap(types_pb2.MatchStatus, model.MatchStatus)
DECISION = EnumMap(types_pb2.Decision, model.Decision)
AVAILABILITY_STATUS = EnumMap(types_pb2.AvailabilityStatus, model.AvailabilityStatus)
PROJECT_COMPLEXITY = EnumMap(types_pb2.ProjectComplexity, model.ProjectComplexity)
ASSIGNMENT_TYPE = EnumMap(types_pb2.AssignmentType, model.AssignmentType)
WORKSPACE_ROLE = EnumMap(types_pb2.WorkspaceRole, model.WorkspaceRole)
WORKSPACE_PROVISIONING = EnumMap(types_pb2.WorkspaceProvisioning, model.ProvisioningState)
PENDING_REASON = EnumMap(types_pb2.PendingReason, model.PendingReason)
CLOSED_REASON = EnumMap(types_pb2.ClosedReason, model.ClosedReason)
JOB_STATUS = EnumMap(types_pb2.ProvisioningJobStatus, model.JobStatus)
RULE_EFFECT = EnumMap(types_pb2.RuleEffect, rules.RuleEffect)
ACTOR_TYPE = EnumMap(types_pb2.ActorType, model.ActorType)
NOTIFICATION_STATUS = EnumMap(types_pb2.NotificationStatus, notifications.NotificationStatus)
NOTIFICATION_PRIORITY = EnumMap(types_pb2.NotificationPriority, notifications.NotificationPriority)
CHAT_MODE = EnumMap(types_pb2.ChatMode, model.ChatMode)
CHAT_MESSAGE_TYPE = EnumMap(types_pb2.ChatMessageType, model.ChatMessageType)
MESSAGE_ORDER = EnumMap(chat_service_pb2.MessageOrder, model.MessageOrder)


def by_word(wire: Any) -> Mapping[str, Any]:
    """Numbers by the database's lower-case words, for enums that the domain keeps as words."""
    return {name.lower(): number for name, number in value_names(wire).items()}


EXCLUSION_WORDS = by_word(types_pb2.ExclusionReason)
ALGORITHM_WORDS = by_word(types_pb2.MatchingAlgorithm)
POOL_SIZE = by_word(types_pb2.PoolSize)
