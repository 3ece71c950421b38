"""Which roles may call which method."""

from __future__ import annotations

from collections.abc import Mapping

_OWNERS = frozenset({"client", "service", "admin"})
_ADVISORS = frozenset({"advisor", "service", "admin"})
_CHAT = frozenset({"client", "advisor", "service"})
_EVERYBODY = frozenset({"client", "advisor", "service", "admin"})
_PLATFORM = frozenset({"service", "admin"})
_CLIENT, _ADVISOR, _ADMIN = frozenset({"client"}), frozenset({"advisor"}), frozenset({"admin"})

ROLES: Mapping[str, frozenset[str] | None] = {
    "CreateMatch": _OWNERS,
    "GetMatch": _EVERYBODY,
    "ListProjectMatches": _OWNERS,
    "ListClaimableMatches": _ADVISOR,
    "ClaimMatch": _ADVISOR,
    "SubmitClientDecision": _CLIENT,
    "SubmitAdvisorDecision": _ADVISOR,
    "UpdateAvailability": _ADVISORS,
    "GetAvailability": _ADVISORS,
    "AssignAdvisor": _ADMIN,
    "ReleaseAdvisor": _ADMIN,
    "GetPoolStatus": _ADMIN,
    "SimulateMatch": _ADMIN,
    "ExplainMatch": _ADMIN,
    "CreatePreferenceRule": _ADMIN,
    "ListPreferenceRules": _ADMIN,
    "DeletePreferenceRule": _ADMIN,
    "GetProvisioningStats": _ADMIN,
    "ListProvisioningJobs": _ADMIN,
    "RetryProvisioning": _ADMIN,
    "ListInterventions": _ADMIN,
    "ListNotifications": _ADMIN,
    "ResendNotification": _ADMIN,
    "AuditInvariants": _ADMIN,
    "RepairInvariants": _ADMIN,
    "WatchProjectEvents": _EVERYBODY,
    "ListProjectEvents": _EVERYBODY,
    "SendMessage": _CHAT,
    "ListMessages": _CHAT,
    "UpsertProject": _PLATFORM,
    "GetProject": _EVERYBODY,
    "UpsertAdvisor": _PLATFORM,
    "GetAdvisor": _EVERYBODY,
    "ListAdvisors": _EVERYBODY,
    "DeactivateAdvisor": _PLATFORM,
    "GetServiceInfo": None,
}
"""By the method's name; None: anybody may call it, unsigned."""
