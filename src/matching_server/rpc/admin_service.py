"""AdminService: steering, explaining and repairing. What has no handler here is not served yet."""

from __future__ import annotations

from advisor_matching.v1 import admin_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.domain.rules import PreferenceRule
from matching_server.operations import (
    assignments,
    auditing,
    availability,
    matching,
    notifications,
    operating,
    retrying,
    rules,
    simulating,
)
from matching_server.operations.auditing import RepairedInvariants
from matching_server.operations.commands import AssignedAdvisor, RetriedProvisioning
from matching_server.operations.runner import Runner
from matching_server.rpc.convert_admin import (
    assigned_advisor_message,
    pool_status_message,
    rule_message,
    rule_page_message,
)
from matching_server.rpc.convert_explanation import explanation_message, simulation_message
from matching_server.rpc.convert_notifications import notification_message, notification_page_message
from matching_server.rpc.convert_operator import (
    audit_message,
    intervention_page_message,
    job_page_message,
    repaired_message,
    retried_message,
    stats_message,
)
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import (
    AssignAdvisorInput,
    MatchIdInput,
    PageInput,
    ReleaseAdvisorInput,
    SimulateMatchInput,
)
from matching_server.rpc.notification_inputs import ListNotificationsInput, NotificationIdInput
from matching_server.rpc.operator_inputs import (
    ListInterventionsInput,
    ListProvisioningJobsInput,
    RepairInvariantsInput,
    StatsInput,
)
from matching_server.rpc.rule_inputs import CreatePreferenceRuleInput, RuleIdInput


class AdminService:
    """The handlers of AdminService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def assign_advisor(
        self, request: pb.AssignAdvisorRequest, call: Call
    ) -> pb.AssignAdvisorResponse | bytes:
        """Puts an advisor on a project; a repeat of a remembered request gets the first answer's very bytes."""
        command = read(AssignAdvisorInput, request).command()
        assigned = assignments.assign_advisor(self._runner, call, command, _encode_assigned)
        return assigned if isinstance(assigned, bytes) else assigned_advisor_message(assigned)

    def release_advisor(self, request: pb.ReleaseAdvisorRequest, call: Call) -> pb.ReleaseAdvisorResponse:
        """Ends an advisor's part in a project."""
        command = read(ReleaseAdvisorInput, request).command()
        released = assignments.release_advisor(self._runner, call, command)
        return pb.ReleaseAdvisorResponse(released=released)

    def get_pool_status(self, _request: pb.GetPoolStatusRequest, call: Call) -> pb.GetPoolStatusResponse:
        """Counts the active advisors by status and by load."""
        return pool_status_message(availability.get_pool_status(self._runner, call))

    def simulate_match(self, request: pb.SimulateMatchRequest, call: Call) -> pb.SimulateMatchResponse:
        """Says whom CreateMatch would choose, and why not the others."""
        command = read(SimulateMatchInput, request).command()
        return simulation_message(simulating.simulate_match(self._runner, call, command))

    def explain_match(self, request: pb.ExplainMatchRequest, call: Call) -> pb.ExplainMatchResponse:
        """Says why a match has the advisor it has."""
        match_id = read(MatchIdInput, request).match_id
        record, replay_matches = matching.explain_match(self._runner, call, match_id)
        return pb.ExplainMatchResponse(explanation=explanation_message(record), replay_matches=replay_matches)

    def create_preference_rule(
        self, request: pb.CreatePreferenceRuleRequest, call: Call
    ) -> pb.CreatePreferenceRuleResponse | bytes:
        """Adds a rule; a repeat of a remembered request gets the very bytes of the first answer."""
        terms = read(CreatePreferenceRuleInput, request).terms()
        rule = rules.create_preference_rule(self._runner, call, terms, _encode_rule)
        return rule if isinstance(rule, bytes) else _created_rule(rule)

    def list_preference_rules(
        self, request: pb.ListPreferenceRulesRequest, call: Call
    ) -> pb.ListPreferenceRulesResponse:
        """Lists the rules."""
        page = read(PageInput, request).page()
        return rule_page_message(rules.list_preference_rules(self._runner, call, page))

    def delete_preference_rule(
        self, request: pb.DeletePreferenceRuleRequest, call: Call
    ) -> pb.DeletePreferenceRuleResponse:
        """Deletes a rule."""
        rules.delete_preference_rule(self._runner, call, read(RuleIdInput, request).rule_id)
        return pb.DeletePreferenceRuleResponse()

    def get_provisioning_stats(
        self, request: pb.GetProvisioningStatsRequest, call: Call
    ) -> pb.GetProvisioningStatsResponse:
        """Sums up the provisioning jobs of a window."""
        window = read(StatsInput, request).window
        return stats_message(operating.get_provisioning_stats(self._runner, call, window))

    def list_provisioning_jobs(
        self, request: pb.ListProvisioningJobsRequest, call: Call
    ) -> pb.ListProvisioningJobsResponse:
        """Lists the provisioning jobs."""
        command = read(ListProvisioningJobsInput, request).command()
        return job_page_message(operating.list_provisioning_jobs(self._runner, call, command))

    def retry_provisioning(
        self, request: pb.RetryProvisioningRequest, call: Call
    ) -> pb.RetryProvisioningResponse | bytes:
        """Queues a new job; a repeat of a remembered request gets the very bytes of the first answer."""
        match_id = read(MatchIdInput, request).match_id
        retried = retrying.retry_provisioning(self._runner, call, match_id, _encode_retried)
        return retried if isinstance(retried, bytes) else retried_message(retried)

    def list_interventions(
        self, request: pb.ListInterventionsRequest, call: Call
    ) -> pb.ListInterventionsResponse:
        """Lists the interventions."""
        command = read(ListInterventionsInput, request).command()
        return intervention_page_message(operating.list_interventions(self._runner, call, command))

    def audit_invariants(self, _request: pb.AuditInvariantsRequest, call: Call) -> pb.AuditInvariantsResponse:
        """Checks every invariant."""
        return audit_message(auditing.audit_invariants(self._runner, call))

    def repair_invariants(
        self, request: pb.RepairInvariantsRequest, call: Call
    ) -> pb.RepairInvariantsResponse | bytes:
        """Repairs what can be; a repeat of a remembered request gets the very bytes of the first answer."""
        names = read(RepairInvariantsInput, request).names()
        repaired = auditing.repair_invariants(self._runner, call, names, _encode_repaired)
        return repaired if isinstance(repaired, bytes) else repaired_message(repaired)

    def list_notifications(
        self, request: pb.ListNotificationsRequest, call: Call
    ) -> pb.ListNotificationsResponse:
        """Lists notifications."""
        command = read(ListNotificationsInput, request).command()
        return notification_page_message(notifications.list_notifications(self._runner, call, command))

    def resend_notification(
        self, request: pb.ResendNotificationRequest, call: Call
    ) -> pb.ResendNotificationResponse:
        """Has a dead notification delivered after all."""
        notification_id = read(NotificationIdInput, request).notification_id
        sent_on = notifications.resend_notification(self._runner, call, notification_id)
        return pb.ResendNotificationResponse(notification=notification_message(sent_on))


def _encode_assigned(assigned: AssignedAdvisor) -> bytes:
    return assigned_advisor_message(assigned).SerializeToString()


def _created_rule(rule: PreferenceRule) -> pb.CreatePreferenceRuleResponse:
    return pb.CreatePreferenceRuleResponse(rule=rule_message(rule))


def _encode_rule(rule: PreferenceRule) -> bytes:
    return _created_rule(rule).SerializeToString()


def _encode_retried(retried: RetriedProvisioning) -> bytes:
    return retried_message(retried).SerializeToString()


def _encode_repaired(repaired: RepairedInvariants) -> bytes:
    return repaired_message(repaired).SerializeToString()
