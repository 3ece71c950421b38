import datetime

from advisor_matching.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssignAdvisorRequest(_message.Message):
    __slots__ = ("project_id", "advisor_id", "reason", "assignment_type", "role", "request_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    advisor_id: str
    reason: str
    assignment_type: _types_pb2.AssignmentType
    role: _types_pb2.WorkspaceRole
    request_id: str
    def __init__(self, project_id: _Optional[str] = ..., advisor_id: _Optional[str] = ..., reason: _Optional[str] = ..., assignment_type: _Optional[_Union[_types_pb2.AssignmentType, str]] = ..., role: _Optional[_Union[_types_pb2.WorkspaceRole, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AssignAdvisorResponse(_message.Message):
    __slots__ = ("assignment_id", "match", "workspace_provisioning")
    ASSIGNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_PROVISIONING_FIELD_NUMBER: _ClassVar[int]
    assignment_id: str
    match: _types_pb2.Match
    workspace_provisioning: _types_pb2.WorkspaceProvisioning
    def __init__(self, assignment_id: _Optional[str] = ..., match: _Optional[_Union[_types_pb2.Match, _Mapping]] = ..., workspace_provisioning: _Optional[_Union[_types_pb2.WorkspaceProvisioning, str]] = ...) -> None: ...

class ReleaseAdvisorRequest(_message.Message):
    __slots__ = ("project_id", "advisor_id", "reason")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    advisor_id: str
    reason: str
    def __init__(self, project_id: _Optional[str] = ..., advisor_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseAdvisorResponse(_message.Message):
    __slots__ = ("released",)
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    released: bool
    def __init__(self, released: bool = ...) -> None: ...

class GetPoolStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusBreakdown(_message.Message):
    __slots__ = ("available", "busy", "offline")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_FIELD_NUMBER: _ClassVar[int]
    available: int
    busy: int
    offline: int
    def __init__(self, available: _Optional[int] = ..., busy: _Optional[int] = ..., offline: _Optional[int] = ...) -> None: ...

class WorkloadBreakdown(_message.Message):
    __slots__ = ("idle", "available", "at_capacity")
    IDLE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    AT_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    idle: int
    available: int
    at_capacity: int
    def __init__(self, idle: _Optional[int] = ..., available: _Optional[int] = ..., at_capacity: _Optional[int] = ...) -> None: ...

class GetPoolStatusResponse(_message.Message):
    __slots__ = ("total_advisors", "status_breakdown", "workload_breakdown", "pool_size", "algorithm")
    TOTAL_ADVISORS_FIELD_NUMBER: _ClassVar[int]
    STATUS_BREAKDOWN_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_BREAKDOWN_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    total_advisors: int
    status_breakdown: StatusBreakdown
    workload_breakdown: WorkloadBreakdown
    pool_size: _types_pb2.PoolSize
    algorithm: _types_pb2.MatchingAlgorithm
    def __init__(self, total_advisors: _Optional[int] = ..., status_breakdown: _Optional[_Union[StatusBreakdown, _Mapping]] = ..., workload_breakdown: _Optional[_Union[WorkloadBreakdown, _Mapping]] = ..., pool_size: _Optional[_Union[_types_pb2.PoolSize, str]] = ..., algorithm: _Optional[_Union[_types_pb2.MatchingAlgorithm, str]] = ...) -> None: ...

class SimulateMatchRequest(_message.Message):
    __slots__ = ("project_id", "criteria", "limit")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CRITERIA_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    criteria: _types_pb2.MatchCriteria
    limit: int
    def __init__(self, project_id: _Optional[str] = ..., criteria: _Optional[_Union[_types_pb2.MatchCriteria, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ExcludedAdvisor(_message.Message):
    __slots__ = ("advisor", "reason")
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    advisor: _types_pb2.AdvisorSummary
    reason: _types_pb2.ExclusionReason
    def __init__(self, advisor: _Optional[_Union[_types_pb2.AdvisorSummary, _Mapping]] = ..., reason: _Optional[_Union[_types_pb2.ExclusionReason, str]] = ...) -> None: ...

class SimulateMatchResponse(_message.Message):
    __slots__ = ("candidates", "excluded", "algorithm", "pool_size")
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[_types_pb2.Candidate]
    excluded: _containers.RepeatedCompositeFieldContainer[ExcludedAdvisor]
    algorithm: _types_pb2.MatchingAlgorithm
    pool_size: _types_pb2.PoolSize
    def __init__(self, candidates: _Optional[_Iterable[_Union[_types_pb2.Candidate, _Mapping]]] = ..., excluded: _Optional[_Iterable[_Union[ExcludedAdvisor, _Mapping]]] = ..., algorithm: _Optional[_Union[_types_pb2.MatchingAlgorithm, str]] = ..., pool_size: _Optional[_Union[_types_pb2.PoolSize, str]] = ...) -> None: ...

class ExplainMatchRequest(_message.Message):
    __slots__ = ("match_id",)
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    def __init__(self, match_id: _Optional[str] = ...) -> None: ...

class ExplainMatchResponse(_message.Message):
    __slots__ = ("explanation", "replay_matches")
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    REPLAY_MATCHES_FIELD_NUMBER: _ClassVar[int]
    explanation: _types_pb2.Explanation
    replay_matches: bool
    def __init__(self, explanation: _Optional[_Union[_types_pb2.Explanation, _Mapping]] = ..., replay_matches: bool = ...) -> None: ...

class CreatePreferenceRuleRequest(_message.Message):
    __slots__ = ("rule", "request_id")
    RULE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    rule: _types_pb2.PreferenceRule
    request_id: str
    def __init__(self, rule: _Optional[_Union[_types_pb2.PreferenceRule, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreatePreferenceRuleResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _types_pb2.PreferenceRule
    def __init__(self, rule: _Optional[_Union[_types_pb2.PreferenceRule, _Mapping]] = ...) -> None: ...

class ListPreferenceRulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPreferenceRulesResponse(_message.Message):
    __slots__ = ("rules", "next_page_token")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[_types_pb2.PreferenceRule]
    next_page_token: str
    def __init__(self, rules: _Optional[_Iterable[_Union[_types_pb2.PreferenceRule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeletePreferenceRuleRequest(_message.Message):
    __slots__ = ("rule_id",)
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    def __init__(self, rule_id: _Optional[str] = ...) -> None: ...

class DeletePreferenceRuleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetProvisioningStatsRequest(_message.Message):
    __slots__ = ("window",)
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    window: _duration_pb2.Duration
    def __init__(self, window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ProvisioningStatusCount(_message.Message):
    __slots__ = ("status", "count")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    status: _types_pb2.ProvisioningJobStatus
    count: int
    def __init__(self, status: _Optional[_Union[_types_pb2.ProvisioningJobStatus, str]] = ..., count: _Optional[int] = ...) -> None: ...

class FailureReasonCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class GetProvisioningStatsResponse(_message.Message):
    __slots__ = ("counts", "success_rate", "average_attempts", "oldest_pending_age", "failure_reasons")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_AGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASONS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[ProvisioningStatusCount]
    success_rate: float
    average_attempts: float
    oldest_pending_age: _duration_pb2.Duration
    failure_reasons: _containers.RepeatedCompositeFieldContainer[FailureReasonCount]
    def __init__(self, counts: _Optional[_Iterable[_Union[ProvisioningStatusCount, _Mapping]]] = ..., success_rate: _Optional[float] = ..., average_attempts: _Optional[float] = ..., oldest_pending_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failure_reasons: _Optional[_Iterable[_Union[FailureReasonCount, _Mapping]]] = ...) -> None: ...

class ListProvisioningJobsRequest(_message.Message):
    __slots__ = ("statuses", "page_size", "page_token")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[_types_pb2.ProvisioningJobStatus]
    page_size: int
    page_token: str
    def __init__(self, statuses: _Optional[_Iterable[_Union[_types_pb2.ProvisioningJobStatus, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProvisioningJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_types_pb2.ProvisioningJob]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_types_pb2.ProvisioningJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RetryProvisioningRequest(_message.Message):
    __slots__ = ("match_id", "request_id")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    request_id: str
    def __init__(self, match_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryProvisioningResponse(_message.Message):
    __slots__ = ("match", "job")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    match: _types_pb2.Match
    job: _types_pb2.ProvisioningJob
    def __init__(self, match: _Optional[_Union[_types_pb2.Match, _Mapping]] = ..., job: _Optional[_Union[_types_pb2.ProvisioningJob, _Mapping]] = ...) -> None: ...

class ListInterventionsRequest(_message.Message):
    __slots__ = ("project_id", "match_id", "intervention_type", "page_size", "page_token")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    INTERVENTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    match_id: str
    intervention_type: str
    page_size: int
    page_token: str
    def __init__(self, project_id: _Optional[str] = ..., match_id: _Optional[str] = ..., intervention_type: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInterventionsResponse(_message.Message):
    __slots__ = ("interventions", "next_page_token")
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    interventions: _containers.RepeatedCompositeFieldContainer[_types_pb2.Intervention]
    next_page_token: str
    def __init__(self, interventions: _Optional[_Iterable[_Union[_types_pb2.Intervention, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListNotificationsRequest(_message.Message):
    __slots__ = ("statuses", "type", "recipient_id", "page_size", "page_token")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[_types_pb2.NotificationStatus]
    type: str
    recipient_id: str
    page_size: int
    page_token: str
    def __init__(self, statuses: _Optional[_Iterable[_Union[_types_pb2.NotificationStatus, str]]] = ..., type: _Optional[str] = ..., recipient_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNotificationsResponse(_message.Message):
    __slots__ = ("notifications", "next_page_token")
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notifications: _containers.RepeatedCompositeFieldContainer[_types_pb2.Notification]
    next_page_token: str
    def __init__(self, notifications: _Optional[_Iterable[_Union[_types_pb2.Notification, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResendNotificationRequest(_message.Message):
    __slots__ = ("notification_id",)
    NOTIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    notification_id: str
    def __init__(self, notification_id: _Optional[str] = ...) -> None: ...

class ResendNotificationResponse(_message.Message):
    __slots__ = ("notification",)
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    notification: _types_pb2.Notification
    def __init__(self, notification: _Optional[_Union[_types_pb2.Notification, _Mapping]] = ...) -> None: ...

class AuditInvariantsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InvariantViolation(_message.Message):
    __slots__ = ("invariant", "description", "rows")
    INVARIANT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    invariant: str
    description: str
    rows: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    def __init__(self, invariant: _Optional[str] = ..., description: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ...) -> None: ...

class AuditInvariantsResponse(_message.Message):
    __slots__ = ("violations", "checked")
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[InvariantViolation]
    checked: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, violations: _Optional[_Iterable[_Union[InvariantViolation, _Mapping]]] = ..., checked: _Optional[_Iterable[str]] = ...) -> None: ...

class RepairInvariantsRequest(_message.Message):
    __slots__ = ("invariants", "request_id")
    INVARIANTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    invariants: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, invariants: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RepairInvariantsResponse(_message.Message):
    __slots__ = ("repaired", "violations")
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    repaired: _containers.RepeatedScalarFieldContainer[str]
    violations: _containers.RepeatedCompositeFieldContainer[InvariantViolation]
    def __init__(self, repaired: _Optional[_Iterable[str]] = ..., violations: _Optional[_Iterable[_Union[InvariantViolation, _Mapping]]] = ...) -> None: ...
