"""What operators look at: how provisioning goes, its jobs, and the interventions."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.interventions import Intervention
from matching_server.domain.provisioning import ProvisioningJob, ProvisioningStats
from matching_server.operations.commands import ListInterventions, ListProvisioningJobs, PageOf
from matching_server.operations.runner import Runner
from matching_server.storage import interventions, jobs


def get_provisioning_stats(runner: Runner, _call: Call, window: timedelta) -> ProvisioningStats:
    """Sums up the jobs that were queued within the window before now, all at one moment."""
    return runner.database.read_only(lambda conn: jobs.stats(conn, window))


def list_provisioning_jobs(
    runner: Runner, call: Call, command: ListProvisioningJobs
) -> PageOf[ProvisioningJob]:
    """A page of the provisioning jobs with their attempts, newest first."""

    def read(conn: Connection, call: Call) -> list[ProvisioningJob]:
        page = command.page
        return jobs.list_page(conn, statuses=command.statuses, before=page.before, limit=page.size + 1)

    return PageOf.cut(runner.read(read, call), command.page.size, lambda job: (job.created_at, job.id))


def list_interventions(runner: Runner, call: Call, command: ListInterventions) -> PageOf[Intervention]:
    """A page of the interventions that meet every filter, newest first."""

    def read(conn: Connection, call: Call) -> list[Intervention]:
        return interventions.list_page(
            conn,
            project_id=command.project_id,
            match_id=command.match_id,
            intervention_type=command.intervention_type,
            before=command.page.before,
            limit=command.page.size + 1,
        )

    return PageOf.cut(runner.read(read, call), command.page.size, lambda one: (one.created_at, one.id))
