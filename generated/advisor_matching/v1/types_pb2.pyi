import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MatchStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_STATUS_UNSPECIFIED: _ClassVar[MatchStatus]
    MATCH_STATUS_PENDING: _ClassVar[MatchStatus]
    MATCH_STATUS_MATCHED: _ClassVar[MatchStatus]
    MATCH_STATUS_CLIENT_APPROVED: _ClassVar[MatchStatus]
    MATCH_STATUS_CLIENT_DECLINED: _ClassVar[MatchStatus]
    MATCH_STATUS_ADVISOR_ACCEPTED: _ClassVar[MatchStatus]
    MATCH_STATUS_ADVISOR_DECLINED: _ClassVar[MatchStatus]
    MATCH_STATUS_FINALIZED: _ClassVar[MatchStatus]
    MATCH_STATUS_EXPIRED: _ClassVar[MatchStatus]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_APPROVED: _ClassVar[Decision]
    DECISION_DECLINED: _ClassVar[Decision]

class AvailabilityStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AVAILABILITY_STATUS_UNSPECIFIED: _ClassVar[AvailabilityStatus]
    AVAILABILITY_STATUS_AVAILABLE: _ClassVar[AvailabilityStatus]
    AVAILABILITY_STATUS_BUSY: _ClassVar[AvailabilityStatus]
    AVAILABILITY_STATUS_OFFLINE: _ClassVar[AvailabilityStatus]

class ProjectComplexity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROJECT_COMPLEXITY_UNSPECIFIED: _ClassVar[ProjectComplexity]
    PROJECT_COMPLEXITY_SIMPLE: _ClassVar[ProjectComplexity]
    PROJECT_COMPLEXITY_MEDIUM: _ClassVar[ProjectComplexity]
    PROJECT_COMPLEXITY_COMPLEX: _ClassVar[ProjectComplexity]

class AssignmentType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSIGNMENT_TYPE_UNSPECIFIED: _ClassVar[AssignmentType]
    ASSIGNMENT_TYPE_MANUAL: _ClassVar[AssignmentType]
    ASSIGNMENT_TYPE_EMERGENCY: _ClassVar[AssignmentType]

class WorkspaceRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKSPACE_ROLE_UNSPECIFIED: _ClassVar[WorkspaceRole]
    WORKSPACE_ROLE_ADVISOR: _ClassVar[WorkspaceRole]
    WORKSPACE_ROLE_CONSULTANT: _ClassVar[WorkspaceRole]

class WorkspaceProvisioning(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKSPACE_PROVISIONING_UNSPECIFIED: _ClassVar[WorkspaceProvisioning]
    WORKSPACE_PROVISIONING_QUEUED: _ClassVar[WorkspaceProvisioning]
    WORKSPACE_PROVISIONING_READY: _ClassVar[WorkspaceProvisioning]
    WORKSPACE_PROVISIONING_FAILED: _ClassVar[WorkspaceProvisioning]

class ProvisioningJobStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVISIONING_JOB_STATUS_UNSPECIFIED: _ClassVar[ProvisioningJobStatus]
    PROVISIONING_JOB_STATUS_PENDING: _ClassVar[ProvisioningJobStatus]
    PROVISIONING_JOB_STATUS_PROCESSING: _ClassVar[ProvisioningJobStatus]
    PROVISIONING_JOB_STATUS_COMPLETED: _ClassVar[ProvisioningJobStatus]
    PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED: _ClassVar[ProvisioningJobStatus]
    PROVISIONING_JOB_STATUS_FAILED: _ClassVar[ProvisioningJobStatus]

class PoolSize(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_SIZE_UNSPECIFIED: _ClassVar[PoolSize]
    POOL_SIZE_SMALL: _ClassVar[PoolSize]
    POOL_SIZE_MEDIUM: _ClassVar[PoolSize]
    POOL_SIZE_LARGE: _ClassVar[PoolSize]

class MatchingAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCHING_ALGORITHM_UNSPECIFIED: _ClassVar[MatchingAlgorithm]
    MATCHING_ALGORITHM_SIMPLE_AVAILABILITY: _ClassVar[MatchingAlgorithm]
    MATCHING_ALGORITHM_COMPLEX_SCORING: _ClassVar[MatchingAlgorithm]

class PendingReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PENDING_REASON_UNSPECIFIED: _ClassVar[PendingReason]
    PENDING_REASON_ALL_ADVISORS_BUSY: _ClassVar[PendingReason]
    PENDING_REASON_NO_ADVISORS_AVAILABLE: _ClassVar[PendingReason]

class ClosedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOSED_REASON_UNSPECIFIED: _ClassVar[ClosedReason]
    CLOSED_REASON_EXPIRED: _ClassVar[ClosedReason]
    CLOSED_REASON_SUPERSEDED_BY_ADMIN: _ClassVar[ClosedReason]
    CLOSED_REASON_ADVISOR_DEACTIVATED: _ClassVar[ClosedReason]
    CLOSED_REASON_RELEASED: _ClassVar[ClosedReason]
    CLOSED_REASON_ADVISOR_GONE: _ClassVar[ClosedReason]
    CLOSED_REASON_PROJECT_GONE: _ClassVar[ClosedReason]

class ActorType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTOR_TYPE_UNSPECIFIED: _ClassVar[ActorType]
    ACTOR_TYPE_CLIENT: _ClassVar[ActorType]
    ACTOR_TYPE_ADVISOR: _ClassVar[ActorType]
    ACTOR_TYPE_ASSISTANT: _ClassVar[ActorType]
    ACTOR_TYPE_SYSTEM: _ClassVar[ActorType]

class ChatMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHAT_MODE_UNSPECIFIED: _ClassVar[ChatMode]
    CHAT_MODE_UNIFIED: _ClassVar[ChatMode]
    CHAT_MODE_PLAN: _ClassVar[ChatMode]
    CHAT_MODE_BUILD: _ClassVar[ChatMode]

class ChatMessageType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHAT_MESSAGE_TYPE_UNSPECIFIED: _ClassVar[ChatMessageType]
    CHAT_MESSAGE_TYPE_USER: _ClassVar[ChatMessageType]
    CHAT_MESSAGE_TYPE_SYSTEM: _ClassVar[ChatMessageType]

class RuleEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_EFFECT_UNSPECIFIED: _ClassVar[RuleEffect]
    RULE_EFFECT_BOOST: _ClassVar[RuleEffect]
    RULE_EFFECT_REQUIRE: _ClassVar[RuleEffect]
    RULE_EFFECT_EXCLUDE: _ClassVar[RuleEffect]

class ExclusionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXCLUSION_REASON_UNSPECIFIED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_OWNER: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_EXCLUDED_BY_CRITERIA: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_EXCLUDED_BY_RULE: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_NOT_REQUIRED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_ALREADY_ACTIVE: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_COOL_DOWN: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_BUSY: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_OFFLINE: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_AT_CAPACITY: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_INACTIVE: _ClassVar[ExclusionReason]

class NotificationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTIFICATION_STATUS_UNSPECIFIED: _ClassVar[NotificationStatus]
    NOTIFICATION_STATUS_PENDING: _ClassVar[NotificationStatus]
    NOTIFICATION_STATUS_SENT: _ClassVar[NotificationStatus]
    NOTIFICATION_STATUS_DEAD: _ClassVar[NotificationStatus]

class NotificationPriority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTIFICATION_PRIORITY_UNSPECIFIED: _ClassVar[NotificationPriority]
    NOTIFICATION_PRIORITY_NORMAL: _ClassVar[NotificationPriority]
    NOTIFICATION_PRIORITY_HIGH: _ClassVar[NotificationPriority]
MATCH_STATUS_UNSPECIFIED: MatchStatus
MATCH_STATUS_PENDING: MatchStatus
MATCH_STATUS_MATCHED: MatchStatus
MATCH_STATUS_CLIENT_APPROVED: MatchStatus
MATCH_STATUS_CLIENT_DECLINED: MatchStatus
MATCH_STATUS_ADVISOR_ACCEPTED: MatchStatus
MATCH_STATUS_ADVISOR_DECLINED: MatchStatus
MATCH_STATUS_FINALIZED: MatchStatus
MATCH_STATUS_EXPIRED: MatchStatus
DECISION_UNSPECIFIED: Decision
DECISION_APPROVED: Decision
DECISION_DECLINED: Decision
AVAILABILITY_STATUS_UNSPECIFIED: AvailabilityStatus
AVAILABILITY_STATUS_AVAILABLE: AvailabilityStatus
AVAILABILITY_STATUS_BUSY: AvailabilityStatus
AVAILABILITY_STATUS_OFFLINE: AvailabilityStatus
PROJECT_COMPLEXITY_UNSPECIFIED: ProjectComplexity
PROJECT_COMPLEXITY_SIMPLE: ProjectComplexity
PROJECT_COMPLEXITY_MEDIUM: ProjectComplexity
PROJECT_COMPLEXITY_COMPLEX: ProjectComplexity
ASSIGNMENT_TYPE_UNSPECIFIED: AssignmentType
ASSIGNMENT_TYPE_MANUAL: AssignmentType
ASSIGNMENT_TYPE_EMERGENCY: AssignmentType
WORKSPACE_ROLE_UNSPECIFIED: WorkspaceRole
WORKSPACE_ROLE_ADVISOR: WorkspaceRole
WORKSPACE_ROLE_CONSULTANT: WorkspaceRole
WORKSPACE_PROVISIONING_UNSPECIFIED: WorkspaceProvisioning
WORKSPACE_PROVISIONING_QUEUED: WorkspaceProvisioning
WORKSPACE_PROVISIONING_READY: WorkspaceProvisioning
WORKSPACE_PROVISIONING_FAILED: WorkspaceProvisioning
PROVISIONING_JOB_STATUS_UNSPECIFIED: ProvisioningJobStatus
PROVISIONING_JOB_STATUS_PENDING: ProvisioningJobStatus
PROVISIONING_JOB_STATUS_PROCESSING: ProvisioningJobStatus
PROVISIONING_JOB_STATUS_COMPLETED: ProvisioningJobStatus
PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED: ProvisioningJobStatus
PROVISIONING_JOB_STATUS_FAILED: ProvisioningJobStatus
POOL_SIZE_UNSPECIFIED: PoolSize
POOL_SIZE_SMALL: PoolSize
POOL_SIZE_MEDIUM: PoolSize
POOL_SIZE_LARGE: PoolSize
MATCHING_ALGORITHM_UNSPECIFIED: MatchingAlgorithm
MATCHING_ALGORITHM_SIMPLE_AVAILABILITY: MatchingAlgorithm
MATCHING_ALGORITHM_COMPLEX_SCORING: MatchingAlgorithm
PENDING_REASON_UNSPECIFIED: PendingReason
PENDING_REASON_ALL_ADVISORS_BUSY: PendingReason
PENDING_REASON_NO_ADVISORS_AVAILABLE: PendingReason
CLOSED_REASON_UNSPECIFIED: ClosedReason
CLOSED_REASON_EXPIRED: ClosedReason
CLOSED_REASON_SUPERSEDED_BY_ADMIN: ClosedReason
CLOSED_REASON_ADVISOR_DEACTIVATED: ClosedReason
CLOSED_REASON_RELEASED: ClosedReason
CLOSED_REASON_ADVISOR_GONE: ClosedReason
CLOSED_REASON_PROJECT_GONE: ClosedReason
ACTOR_TYPE_UNSPECIFIED: ActorType
ACTOR_TYPE_CLIENT: ActorType
ACTOR_TYPE_ADVISOR: ActorType
ACTOR_TYPE_ASSISTANT: ActorType
ACTOR_TYPE_SYSTEM: ActorType
CHAT_MODE_UNSPECIFIED: ChatMode
CHAT_MODE_UNIFIED: ChatMode
CHAT_MODE_PLAN: ChatMode
CHAT_MODE_BUILD: ChatMode
CHAT_MESSAGE_TYPE_UNSPECIFIED: ChatMessageType
CHAT_MESSAGE_TYPE_USER: ChatMessageType
CHAT_MESSAGE_TYPE_SYSTEM: ChatMessageType
RULE_EFFECT_UNSPECIFIED: RuleEffect
RULE_EFFECT_BOOST: RuleEffect
RULE_EFFECT_REQUIRE: RuleEffect
RULE_EFFECT_EXCLUDE: RuleEffect
EXCLUSION_REASON_UNSPECIFIED: ExclusionReason
EXCLUSION_REASON_OWNER: ExclusionReason
EXCLUSION_REASON_EXCLUDED_BY_CRITERIA: ExclusionReason
EXCLUSION_REASON_EXCLUDED_BY_RULE: ExclusionReason
EXCLUSION_REASON_NOT_REQUIRED: ExclusionReason
EXCLUSION_REASON_ALREADY_ACTIVE: ExclusionReason
EXCLUSION_REASON_COOL_DOWN: ExclusionReason
EXCLUSION_REASON_BUSY: ExclusionReason
EXCLUSION_REASON_OFFLINE: ExclusionReason
EXCLUSION_REASON_AT_CAPACITY: ExclusionReason
EXCLUSION_REASON_INACTIVE: ExclusionReason
NOTIFICATION_STATUS_UNSPECIFIED: NotificationStatus
NOTIFICATION_STATUS_PENDING: NotificationStatus
NOTIFICATION_STATUS_SENT: NotificationStatus
NOTIFICATION_STATUS_DEAD: NotificationStatus
NOTIFICATION_PRIORITY_UNSPECIFIED: NotificationPriority
NOTIFICATION_PRIORITY_NORMAL: NotificationPriority
NOTIFICATION_PRIORITY_HIGH: NotificationPriority

class TechStack(_message.Message):
    __slots__ = ("framework", "languages", "complexity_factors")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITY_FACTORS_FIELD_NUMBER: _ClassVar[int]
    framework: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    complexity_factors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, framework: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., complexity_factors: _Optional[_Iterable[str]] = ...) -> None: ...

class ScoringWeights(_message.Message):
    __slots__ = ("availability", "skills", "timezone", "preference")
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    availability: float
    skills: float
    timezone: float
    preference: float
    def __init__(self, availability: _Optional[float] = ..., skills: _Optional[float] = ..., timezone: _Optional[float] = ..., preference: _Optional[float] = ...) -> None: ...

class MatchCriteria(_message.Message):
    __slots__ = ("tech_stack", "scoring_weights", "project_complexity", "exclude_advisor_ids")
    TECH_STACK_FIELD_NUMBER: _ClassVar[int]
    SCORING_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ADVISOR_IDS_FIELD_NUMBER: _ClassVar[int]
    tech_stack: TechStack
    scoring_weights: ScoringWeights
    project_complexity: ProjectComplexity
    exclude_advisor_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tech_stack: _Optional[_Union[TechStack, _Mapping]] = ..., scoring_weights: _Optional[_Union[ScoringWeights, _Mapping]] = ..., project_complexity: _Optional[_Union[ProjectComplexity, str]] = ..., exclude_advisor_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AdvisorSummary(_message.Message):
    __slots__ = ("id", "display_name", "skills", "specialties", "rating", "avatar_url")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    SPECIALTIES_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    AVATAR_URL_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    skills: _containers.RepeatedScalarFieldContainer[str]
    specialties: _containers.RepeatedScalarFieldContainer[str]
    rating: float
    avatar_url: str
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., skills: _Optional[_Iterable[str]] = ..., specialties: _Optional[_Iterable[str]] = ..., rating: _Optional[float] = ..., avatar_url: _Optional[str] = ...) -> None: ...

class DecisionRecord(_message.Message):
    __slots__ = ("decision", "reason", "decided_at")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    reason: str
    decided_at: _timestamp_pb2.Timestamp
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., reason: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("id", "project_id", "requested_by", "status", "previous_status", "matched_advisor", "score", "match_reason", "pending_reason", "closed_reason", "client_decision", "advisor_decision", "workspace_provisioning", "assignment_type", "criteria", "expires_at", "created_at", "updated_at", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    MATCHED_ADVISOR_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    MATCH_REASON_FIELD_NUMBER: _ClassVar[int]
    PENDING_REASON_FIELD_NUMBER: _ClassVar[int]
    CLOSED_REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_DECISION_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_DECISION_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_PROVISIONING_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CRITERIA_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    requested_by: str
    status: MatchStatus
    previous_status: MatchStatus
    matched_advisor: AdvisorSummary
    score: float
    match_reason: str
    pending_reason: PendingReason
    closed_reason: ClosedReason
    client_decision: DecisionRecord
    advisor_decision: DecisionRecord
    workspace_provisioning: WorkspaceProvisioning
    assignment_type: AssignmentType
    criteria: MatchCriteria
    expires_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., requested_by: _Optional[str] = ..., status: _Optional[_Union[MatchStatus, str]] = ..., previous_status: _Optional[_Union[MatchStatus, str]] = ..., matched_advisor: _Optional[_Union[AdvisorSummary, _Mapping]] = ..., score: _Optional[float] = ..., match_reason: _Optional[str] = ..., pending_reason: _Optional[_Union[PendingReason, str]] = ..., closed_reason: _Optional[_Union[ClosedReason, str]] = ..., client_decision: _Optional[_Union[DecisionRecord, _Mapping]] = ..., advisor_decision: _Optional[_Union[DecisionRecord, _Mapping]] = ..., workspace_provisioning: _Optional[_Union[WorkspaceProvisioning, str]] = ..., assignment_type: _Optional[_Union[AssignmentType, str]] = ..., criteria: _Optional[_Union[MatchCriteria, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class AvailabilityPreferences(_message.Message):
    __slots__ = ("auto_accept", "preferred_complexity", "preferred_frameworks")
    AUTO_ACCEPT_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    auto_accept: bool
    preferred_complexity: _containers.RepeatedScalarFieldContainer[ProjectComplexity]
    preferred_frameworks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, auto_accept: bool = ..., preferred_complexity: _Optional[_Iterable[_Union[ProjectComplexity, str]]] = ..., preferred_frameworks: _Optional[_Iterable[str]] = ...) -> None: ...

class Availability(_message.Message):
    __slots__ = ("advisor_id", "is_available", "status", "current_capacity", "max_capacity", "reason", "preferences", "last_active", "updated_at")
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    IS_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    MAX_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PREFERENCES_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    is_available: bool
    status: AvailabilityStatus
    current_capacity: int
    max_capacity: int
    reason: str
    preferences: AvailabilityPreferences
    last_active: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, advisor_id: _Optional[str] = ..., is_available: bool = ..., status: _Optional[_Union[AvailabilityStatus, str]] = ..., current_capacity: _Optional[int] = ..., max_capacity: _Optional[int] = ..., reason: _Optional[str] = ..., preferences: _Optional[_Union[AvailabilityPreferences, _Mapping]] = ..., last_active: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ChatResponseData(_message.Message):
    __slots__ = ("event_code", "advisor_id", "match_id", "timestamp")
    EVENT_CODE_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    event_code: str
    advisor_id: str
    match_id: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, event_code: _Optional[str] = ..., advisor_id: _Optional[str] = ..., match_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("id", "project_id", "user_id", "actor_type", "message_type", "mode", "text", "client_msg_id", "response_data", "seq", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MSG_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_DATA_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    user_id: str
    actor_type: ActorType
    message_type: ChatMessageType
    mode: ChatMode
    text: str
    client_msg_id: str
    response_data: ChatResponseData
    seq: int
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., user_id: _Optional[str] = ..., actor_type: _Optional[_Union[ActorType, str]] = ..., message_type: _Optional[_Union[ChatMessageType, str]] = ..., mode: _Optional[_Union[ChatMode, str]] = ..., text: _Optional[str] = ..., client_msg_id: _Optional[str] = ..., response_data: _Optional[_Union[ChatResponseData, _Mapping]] = ..., seq: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProvisioningAttempt(_message.Message):
    __slots__ = ("number", "started_at", "ended_at", "error", "permanent")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    error: str
    permanent: bool
    def __init__(self, number: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., permanent: bool = ...) -> None: ...

class ProvisioningJob(_message.Message):
    __slots__ = ("id", "match_id", "status", "attempt_count", "next_retry_at", "last_error", "attempts", "created_at", "updated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_RETRY_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    match_id: str
    status: ProvisioningJobStatus
    attempt_count: int
    next_retry_at: _timestamp_pb2.Timestamp
    last_error: str
    attempts: _containers.RepeatedCompositeFieldContainer[ProvisioningAttempt]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., match_id: _Optional[str] = ..., status: _Optional[_Union[ProvisioningJobStatus, str]] = ..., attempt_count: _Optional[int] = ..., next_retry_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_error: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[ProvisioningAttempt, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PreferenceRule(_message.Message):
    __slots__ = ("id", "advisor_id", "effect", "boost", "project_id", "framework", "complexity", "active_from", "active_until", "reason", "created_by", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    BOOST_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FROM_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    advisor_id: str
    effect: RuleEffect
    boost: float
    project_id: str
    framework: str
    complexity: ProjectComplexity
    active_from: _timestamp_pb2.Timestamp
    active_until: _timestamp_pb2.Timestamp
    reason: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., advisor_id: _Optional[str] = ..., effect: _Optional[_Union[RuleEffect, str]] = ..., boost: _Optional[float] = ..., project_id: _Optional[str] = ..., framework: _Optional[str] = ..., complexity: _Optional[_Union[ProjectComplexity, str]] = ..., active_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., active_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CandidateFeatures(_message.Message):
    __slots__ = ("availability", "skills", "timezone", "preference", "load", "slots", "boost", "last_assigned_at")
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    BOOST_FIELD_NUMBER: _ClassVar[int]
    LAST_ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    availability: float
    skills: float
    timezone: float
    preference: float
    load: int
    slots: int
    boost: float
    last_assigned_at: _timestamp_pb2.Timestamp
    def __init__(self, availability: _Optional[float] = ..., skills: _Optional[float] = ..., timezone: _Optional[float] = ..., preference: _Optional[float] = ..., load: _Optional[int] = ..., slots: _Optional[int] = ..., boost: _Optional[float] = ..., last_assigned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("advisor", "score", "features", "rank")
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    advisor: AdvisorSummary
    score: float
    features: CandidateFeatures
    rank: int
    def __init__(self, advisor: _Optional[_Union[AdvisorSummary, _Mapping]] = ..., score: _Optional[float] = ..., features: _Optional[_Union[CandidateFeatures, _Mapping]] = ..., rank: _Optional[int] = ...) -> None: ...

class ExclusionCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: ExclusionReason
    count: int
    def __init__(self, reason: _Optional[_Union[ExclusionReason, str]] = ..., count: _Optional[int] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("algorithm", "algorithm_version", "weights", "decided_at", "chosen", "runners_up", "exclusions", "inputs_digest", "load_at_claim", "slots_at_claim", "pool_size")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    RUNNERS_UP_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOAD_AT_CLAIM_FIELD_NUMBER: _ClassVar[int]
    SLOTS_AT_CLAIM_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    algorithm: MatchingAlgorithm
    algorithm_version: str
    weights: ScoringWeights
    decided_at: _timestamp_pb2.Timestamp
    chosen: Candidate
    runners_up: _containers.RepeatedCompositeFieldContainer[Candidate]
    exclusions: _containers.RepeatedCompositeFieldContainer[ExclusionCount]
    inputs_digest: str
    load_at_claim: int
    slots_at_claim: int
    pool_size: PoolSize
    def __init__(self, algorithm: _Optional[_Union[MatchingAlgorithm, str]] = ..., algorithm_version: _Optional[str] = ..., weights: _Optional[_Union[ScoringWeights, _Mapping]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., chosen: _Optional[_Union[Candidate, _Mapping]] = ..., runners_up: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., exclusions: _Optional[_Iterable[_Union[ExclusionCount, _Mapping]]] = ..., inputs_digest: _Optional[str] = ..., load_at_claim: _Optional[int] = ..., slots_at_claim: _Optional[int] = ..., pool_size: _Optional[_Union[PoolSize, str]] = ...) -> None: ...

class Intervention(_message.Message):
    __slots__ = ("id", "match_id", "project_id", "intervention_type", "reason", "metadata", "created_by", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERVENTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    match_id: str
    project_id: str
    intervention_type: str
    reason: str
    metadata: _struct_pb2.Struct
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., match_id: _Optional[str] = ..., project_id: _Optional[str] = ..., intervention_type: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Notification(_message.Message):
    __slots__ = ("id", "type", "recipient_id", "priority", "payload", "status", "attempt_count", "next_attempt_at", "last_error", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    recipient_id: str
    priority: NotificationPriority
    payload: _struct_pb2.Struct
    status: NotificationStatus
    attempt_count: int
    next_attempt_at: _timestamp_pb2.Timestamp
    last_error: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., recipient_id: _Optional[str] = ..., priority: _Optional[_Union[NotificationPriority, str]] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., status: _Optional[_Union[NotificationStatus, str]] = ..., attempt_count: _Optional[int] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_error: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("id", "owner_id", "name", "technology_stack", "project_complexity", "owner_timezone", "owner_locale")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TECHNOLOGY_STACK_FIELD_NUMBER: _ClassVar[int]
    PROJECT_COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    OWNER_TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    OWNER_LOCALE_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner_id: str
    name: str
    technology_stack: TechStack
    project_complexity: ProjectComplexity
    owner_timezone: str
    owner_locale: str
    def __init__(self, id: _Optional[str] = ..., owner_id: _Optional[str] = ..., name: _Optional[str] = ..., technology_stack: _Optional[_Union[TechStack, _Mapping]] = ..., project_complexity: _Optional[_Union[ProjectComplexity, str]] = ..., owner_timezone: _Optional[str] = ..., owner_locale: _Optional[str] = ...) -> None: ...

class Advisor(_message.Message):
    __slots__ = ("id", "display_name", "email", "skills", "specialties", "languages", "frameworks", "timezone", "rating", "avatar_url", "active")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    SPECIALTIES_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    AVATAR_URL_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    email: str
    skills: _containers.RepeatedScalarFieldContainer[str]
    specialties: _containers.RepeatedScalarFieldContainer[str]
    languages: _containers.RepeatedScalarFieldContainer[str]
    frameworks: _containers.RepeatedScalarFieldContainer[str]
    timezone: str
    rating: float
    avatar_url: str
    active: bool
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., email: _Optional[str] = ..., skills: _Optional[_Iterable[str]] = ..., specialties: _Optional[_Iterable[str]] = ..., languages: _Optional[_Iterable[str]] = ..., frameworks: _Optional[_Iterable[str]] = ..., timezone: _Optional[str] = ..., rating: _Optional[float] = ..., avatar_url: _Optional[str] = ..., active: bool = ...) -> None: ...

class MatchEvent(_message.Message):
    __slots__ = ("match_id", "advisor_id", "advisor_name", "status", "previous_status", "reason", "score", "expires_at")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    advisor_id: str
    advisor_name: str
    status: MatchStatus
    previous_status: MatchStatus
    reason: str
    score: float
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, match_id: _Optional[str] = ..., advisor_id: _Optional[str] = ..., advisor_name: _Optional[str] = ..., status: _Optional[_Union[MatchStatus, str]] = ..., previous_status: _Optional[_Union[MatchStatus, str]] = ..., reason: _Optional[str] = ..., score: _Optional[float] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkspaceReadyEvent(_message.Message):
    __slots__ = ("match_id", "advisor_id", "project_id", "timestamp")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    advisor_id: str
    project_id: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, match_id: _Optional[str] = ..., advisor_id: _Optional[str] = ..., project_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProvisioningFailedEvent(_message.Message):
    __slots__ = ("match_id", "reverted_to", "reason", "attempts")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REVERTED_TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    reverted_to: MatchStatus
    reason: str
    attempts: int
    def __init__(self, match_id: _Optional[str] = ..., reverted_to: _Optional[_Union[MatchStatus, str]] = ..., reason: _Optional[str] = ..., attempts: _Optional[int] = ...) -> None: ...

class AdvisorReleasedEvent(_message.Message):
    __slots__ = ("advisor_id", "match_id", "reason")
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    match_id: str
    reason: str
    def __init__(self, advisor_id: _Optional[str] = ..., match_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class HeartbeatEvent(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...

class ProjectEvent(_message.Message):
    __slots__ = ("id", "seq", "type", "project_id", "timestamp", "user_id", "match", "workspace_ready", "provisioning_failed", "message", "released", "heartbeat", "traceparent")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_READY_FIELD_NUMBER: _ClassVar[int]
    PROVISIONING_FAILED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    seq: int
    type: str
    project_id: str
    timestamp: _timestamp_pb2.Timestamp
    user_id: str
    match: MatchEvent
    workspace_ready: WorkspaceReadyEvent
    provisioning_failed: ProvisioningFailedEvent
    message: ChatMessage
    released: AdvisorReleasedEvent
    heartbeat: HeartbeatEvent
    traceparent: str
    def __init__(self, id: _Optional[str] = ..., seq: _Optional[int] = ..., type: _Optional[str] = ..., project_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_id: _Optional[str] = ..., match: _Optional[_Union[MatchEvent, _Mapping]] = ..., workspace_ready: _Optional[_Union[WorkspaceReadyEvent, _Mapping]] = ..., provisioning_failed: _Optional[_Union[ProvisioningFailedEvent, _Mapping]] = ..., message: _Optional[_Union[ChatMessage, _Mapping]] = ..., released: _Optional[_Union[AdvisorReleasedEvent, _Mapping]] = ..., heartbeat: _Optional[_Union[HeartbeatEvent, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...
