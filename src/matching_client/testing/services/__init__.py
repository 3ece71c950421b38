"""The methods of the contract, a module a service; `HANDLERS` has them all by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from matching_client.testing.caller import Caller
from matching_client.testing.services import (
    admin,
    availability,
    chat,
    decision,
    directory,
    event,
    match,
    operator,
    system,
)
from matching_client.testing.world import World

Handler = Callable[[World, Any, Caller], Message]
"""Answers a checked request of its method, holding the world; raises the errors of the client's tree."""

HANDLERS: Mapping[str, Handler] = {
    "CreateMatch": match.create_match,
    "GetMatch": match.get_match,
    "ListProjectMatches": match.list_project_matches,
    "ListClaimableMatches": match.list_claimable_matches,
    "ClaimMatch": match.claim_match,
    "SubmitClientDecision": decision.submit_client_decision,
    "SubmitAdvisorDecision": decision.submit_advisor_decision,
    "UpdateAvailability": availability.update_availability,
    "GetAvailability": availability.get_availability,
    "AssignAdvisor": admin.assign_advisor,
    "ReleaseAdvisor": admin.release_advisor,
    "GetPoolStatus": admin.get_pool_status,
    "SimulateMatch": admin.simulate_match,
    "ExplainMatch": admin.explain_match,
    "CreatePreferenceRule": admin.create_preference_rule,
    "ListPreferenceRules": admin.list_preference_rules,
    "DeletePreferenceRule": admin.delete_preference_rule,
    "GetProvisioningStats": operator.get_provisioning_stats,
    "ListProvisioningJobs": operator.list_provisioning_jobs,
    "RetryProvisioning": operator.retry_provisioning,
    "ListInterventions": operator.list_interventions,
    "ListNotifications": operator.list_notifications,
    "ResendNotification": operator.resend_notification,
    "AuditInvariants": operator.audit_invariants,
    "RepairInvariants": operator.repair_invariants,
    "ListProjectEvents": event.list_project_events,
    "SendMessage": chat.send_message,
    "ListMessages": chat.list_messages,
    "UpsertProject": directory.upsert_project,
    "GetProject": directory.get_project,
    "UpsertAdvisor": directory.upsert_advisor,
    "GetAdvisor": directory.get_advisor,
    "ListAdvisors": directory.list_advisors,
    "DeactivateAdvisor": directory.deactivate_advisor,
    "GetServiceInfo": system.get_service_info,
}
"""Every method with one answer, by its name."""
