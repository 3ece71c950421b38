"""AdminService: steering, explaining and repairing. For admins only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Unpack

from matching_client.aio.caller import Caller
from matching_client.contract import admin, types
from matching_client.options import CallOptions
from matching_client.words import value_of, values_of


class AdminMethods(Caller):
    """The methods of AdminService."""

    async def assign_advisor(
        self,
        project_id: str,
        advisor_id: str,
        *,
        reason: str = "",
        assignment_type: types.AssignmentType | str | None = None,
        role: types.WorkspaceRole | str | None = None,
        request_id: str = "",
        **options: Unpack[CallOptions],
    ) -> admin.AssignAdvisorResponse:
        """Puts an advisor on a project.

        `assignment_type` "manual" (default) offers it to them, "emergency" finalizes at once.
        Errors: ProjectNotFound, AdvisorNotFound, AdvisorInactive, AdvisorUnavailable, AdvisorAtCapacity,
        AlreadyAssigned, InvalidTransition, IdempotencyMismatch, and the common ones.
        """
        request = admin.AssignAdvisorRequest(
            project_id=project_id,
            advisor_id=advisor_id,
            reason=reason,
            assignment_type=value_of(types.AssignmentType, assignment_type),
            role=value_of(types.WorkspaceRole, role),
            request_id=request_id,
        )
        return await self._call(self.stubs.admin.AssignAdvisor, request, options)

    async def release_advisor(
        self, project_id: str, advisor_id: str, *, reason: str = "", **options: Unpack[CallOptions]
    ) -> bool:
        """Ends an advisor's part in a project; false where they held nothing on it.

        Errors: ProjectNotFound, AdvisorNotFound, and the common ones.
        """
        request = admin.ReleaseAdvisorRequest(project_id=project_id, advisor_id=advisor_id, reason=reason)
        response = await self._call(self.stubs.admin.ReleaseAdvisor, request, options)
        return response.released

    async def get_pool_status(self, **options: Unpack[CallOptions]) -> admin.GetPoolStatusResponse:
        """Counts the active advisors by status and by load. Errors: the common ones."""
        return await self._call(self.stubs.admin.GetPoolStatus, admin.GetPoolStatusRequest(), options)

    async def simulate_match(
        self,
        project_id: str,
        *,
        criteria: types.MatchCriteria | None = None,
        limit: int = 0,
        **options: Unpack[CallOptions],
    ) -> admin.SimulateMatchResponse:
        """Ranks the pool as `create_match` would, and says why others are left out. Writes nothing.

        `limit` bounds candidates and excluded alike, 50 by default, up to 1,000.
        Errors: ProjectNotFound, and the common ones.
        """
        request = admin.SimulateMatchRequest(project_id=project_id, criteria=criteria, limit=limit)
        return await self._call(self.stubs.admin.SimulateMatch, request, options)

    async def explain_match(
        self, match_id: str, **options: Unpack[CallOptions]
    ) -> admin.ExplainMatchResponse:
        """Says why a match has the advisor it has, computed again from the stored inputs.

        Errors: MatchNotFound, and the common ones.
        """
        return await self._call(
            self.stubs.admin.ExplainMatch, admin.ExplainMatchRequest(match_id=match_id), options
        )

    async def create_preference_rule(
        self, rule: types.PreferenceRule, *, request_id: str = "", **options: Unpack[CallOptions]
    ) -> types.PreferenceRule:
        """Adds a preference rule; returns it as stored.

        Errors: AdvisorNotFound, ProjectNotFound, IdempotencyMismatch, and the common ones.
        """
        request = admin.CreatePreferenceRuleRequest(rule=rule, request_id=request_id)
        response = await self._call(self.stubs.admin.CreatePreferenceRule, request, options)
        return response.rule

    async def list_preference_rules(
        self, *, page_size: int = 0, page_token: str = "", **options: Unpack[CallOptions]
    ) -> admin.ListPreferenceRulesResponse:
        """Lists the preference rules, active or not, newest first. Errors: the common ones."""
        request = admin.ListPreferenceRulesRequest(page_size=page_size, page_token=page_token)
        return await self._call(self.stubs.admin.ListPreferenceRules, request, options)

    def iter_preference_rules(
        self, *, page_size: int = 0, **options: Unpack[CallOptions]
    ) -> AsyncIterator[types.PreferenceRule]:
        """What `list_preference_rules` lists, page after page as they are needed; `timeout` is of each page."""
        return self._pages(
            lambda token: self.list_preference_rules(page_size=page_size, page_token=token, **options),
            lambda page: (page.rules, page.next_page_token),
        )

    async def delete_preference_rule(self, rule_id: str, **options: Unpack[CallOptions]) -> None:
        """Deletes a preference rule, which may be repeated. Errors: RuleNotFound, and the common ones."""
        await self._call(
            self.stubs.admin.DeletePreferenceRule, admin.DeletePreferenceRuleRequest(rule_id=rule_id), options
        )

    async def get_provisioning_stats(
        self, *, window: timedelta | None = None, **options: Unpack[CallOptions]
    ) -> admin.GetProvisioningStatsResponse:
        """Sums up the provisioning jobs queued within the window, 24 h by default, 1 s to 366 days.

        Errors: the common ones.
        """
        request = admin.GetProvisioningStatsRequest(window=window)
        return await self._call(self.stubs.admin.GetProvisioningStats, request, options)

    async def list_provisioning_jobs(
        self,
        *,
        statuses: Iterable[types.ProvisioningJobStatus | str] = (),
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> admin.ListProvisioningJobsResponse:
        """Lists provisioning jobs with their attempts, newest first. Errors: the common ones."""
        request = admin.ListProvisioningJobsRequest(
            statuses=values_of(types.ProvisioningJobStatus, statuses),
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(self.stubs.admin.ListProvisioningJobs, request, options)

    def iter_provisioning_jobs(
        self,
        *,
        statuses: Iterable[types.ProvisioningJobStatus | str] = (),
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.ProvisioningJob]:
        """What `list_provisioning_jobs` lists, page after page as they are needed; `timeout` is of each page."""
        wanted = values_of(types.ProvisioningJobStatus, statuses)
        return self._pages(
            lambda token: self.list_provisioning_jobs(
                statuses=wanted, page_size=page_size, page_token=token, **options
            ),
            lambda page: (page.jobs, page.next_page_token),
        )

    async def retry_provisioning(
        self, match_id: str, *, request_id: str = "", **options: Unpack[CallOptions]
    ) -> admin.RetryProvisioningResponse:
        """Queues a new job for a match that was rolled back, or finalized without a job.

        Errors: MatchNotFound, JobNotFound, AdvisorInactive, InvalidTransition, MatchExpired,
        IdempotencyMismatch, and the common ones.
        """
        request = admin.RetryProvisioningRequest(match_id=match_id, request_id=request_id)
        return await self._call(self.stubs.admin.RetryProvisioning, request, options)

    async def list_interventions(
        self,
        *,
        project_id: str = "",
        match_id: str = "",
        intervention_type: str = "",
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> admin.ListInterventionsResponse:
        """Lists the interventions that meet every filter given, newest first. Errors: the common ones."""
        request = admin.ListInterventionsRequest(
            project_id=project_id,
            match_id=match_id,
            intervention_type=intervention_type,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(self.stubs.admin.ListInterventions, request, options)

    def iter_interventions(
        self,
        *,
        project_id: str = "",
        match_id: str = "",
        intervention_type: str = "",
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.Intervention]:
        """What `list_interventions` lists, page after page as they are needed; `timeout` is of each page."""
        return self._pages(
            lambda token: self.list_interventions(
                project_id=project_id,
                match_id=match_id,
                intervention_type=intervention_type,
                page_size=page_size,
                page_token=token,
                **options,
            ),
            lambda page: (page.interventions, page.next_page_token),
        )

    async def list_notifications(
        self,
        *,
        statuses: Iterable[types.NotificationStatus | str] = (),
        type: str = "",  # the contract's word
        recipient_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> admin.ListNotificationsResponse:
        """Lists the notifications that meet every filter given, newest first. Errors: the common ones."""
        request = admin.ListNotificationsRequest(
            statuses=values_of(types.NotificationStatus, statuses),
            type=type,
            recipient_id=recipient_id,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(self.stubs.admin.ListNotifications, request, options)

    def iter_notifications(
        self,
        *,
        statuses: Iterable[types.NotificationStatus | str] = (),
        type: str = "",  # the contract's word
        recipient_id: str = "",
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.Notification]:
        """What `list_notifications` lists, page after page as they are needed; `timeout` is of each page."""
        wanted = values_of(types.NotificationStatus, statuses)
        return self._pages(
            lambda token: self.list_notifications(
                statuses=wanted,
                type=type,
                recipient_id=recipient_id,
                page_size=page_size,
                page_token=token,
                **options,
            ),
            lambda page: (page.notifications, page.next_page_token),
        )

    async def resend_notification(
        self, notification_id: str, **options: Unpack[CallOptions]
    ) -> types.Notification:
        """Puts a dead notification back in the queue; one that is not dead is returned unchanged.

        Errors: NotificationNotFound, and the common ones.
        """
        request = admin.ResendNotificationRequest(notification_id=notification_id)
        response = await self._call(self.stubs.admin.ResendNotification, request, options)
        return response.notification

    async def audit_invariants(self, **options: Unpack[CallOptions]) -> admin.AuditInvariantsResponse:
        """Checks every invariant of the data. Errors: the common ones."""
        return await self._call(self.stubs.admin.AuditInvariants, admin.AuditInvariantsRequest(), options)

    async def repair_invariants(
        self, invariants: Iterable[str] = (), *, request_id: str = "", **options: Unpack[CallOptions]
    ) -> admin.RepairInvariantsResponse:
        """Repairs the named invariants, by default all, where that can be done safely.

        Errors: IdempotencyMismatch, and the common ones.
        """
        request = admin.RepairInvariantsRequest(invariants=invariants, request_id=request_id)
        return await self._call(self.stubs.admin.RepairInvariants, request, options)
