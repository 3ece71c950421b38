"""What operators send, handed on in the domain's types. The limits are in ``fields``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from matching_server.operations import commands
from matching_server.operations.auditing import EVERY_INVARIANT
from matching_server.rpc.fields import (
    DEFAULT_WINDOW,
    Few,
    Id,
    JobStatusIn,
    OptionalWord,
    RequestModel,
    Window,
)
from matching_server.rpc.inputs import PageInput


def _known_invariant(name: str) -> str:
    if name not in EVERY_INVARIANT:
        raise ValueError("is not the name of an invariant")
    return name


class StatsInput(RequestModel):
    """A ``GetProvisioningStatsRequest``."""

    window: Window = DEFAULT_WINDOW


class ListProvisioningJobsInput(PageInput):
    """A ``ListProvisioningJobsRequest``."""

    statuses: Few[JobStatusIn] = ()

    def command(self) -> commands.ListProvisioningJobs:
        """What is asked."""
        return commands.ListProvisioningJobs(tuple(dict.fromkeys(self.statuses)), self.page())


class ListInterventionsInput(PageInput):
    """A ``ListInterventionsRequest``. An empty filter is not in the message, and lets everything through."""

    project_id: Id | None = None
    match_id: Id | None = None
    intervention_type: OptionalWord = None

    def command(self) -> commands.ListInterventions:
        """What is asked."""
        return commands.ListInterventions(self.project_id, self.match_id, self.intervention_type, self.page())


class RepairInvariantsInput(RequestModel):
    """A ``RepairInvariantsRequest``."""

    invariants: Few[Annotated[str, AfterValidator(_known_invariant)]] = ()

    def names(self) -> tuple[str, ...]:
        """The invariants to repair."""
        return self.invariants or EVERY_INVARIANT
