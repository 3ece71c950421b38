"""What is refused of operators' requests, by its path, and what is taken over of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration

from advisor_matching.v1 import admin_service_pb2 as pb
from matching_server.domain.errors import InvalidArgument
from matching_server.domain.model import JobStatus
from matching_server.operations.auditing import EVERY_INVARIANT
from matching_server.operations.commands import ListInterventions, ListProvisioningJobs, Page
from matching_server.rpc import operator_inputs as inputs
from matching_server.rpc.fields import MAX_WINDOW, read
from matching_server.rpc.paging import encode_page_token

ID = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
POSITION = (datetime(2025, 1, 1, tzinfo=UTC), UUID(ID))
TOKEN = encode_page_token(POSITION)


def window(**given: Any) -> timedelta:
    return read(inputs.StatsInput, pb.GetProvisioningStatsRequest(**given)).window


def jobs(**given: Any) -> ListProvisioningJobs:
    return read(inputs.ListProvisioningJobsInput, pb.ListProvisioningJobsRequest(**given)).command()


def interventions(**given: Any) -> ListInterventions:
    return read(inputs.ListInterventionsInput, pb.ListInterventionsRequest(**given)).command()


def invariants(*names: str) -> tuple[str, ...]:
    return read(inputs.RepairInvariantsInput, pb.RepairInvariantsRequest(invariants=names)).names()


def refused(ask: Any, *given: Any, **fields: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as error:
        ask(*given, **fields)
    return [violation.field for violation in error.value.violations]


@pytest.mark.parametrize("span", [timedelta(seconds=1), timedelta(hours=1, microseconds=5), MAX_WINDOW])
def test_a_window_within_its_bounds(span: timedelta) -> None:
    assert window(window=span) == span


def test_the_window_is_a_day_where_none_is_given() -> None:
    assert window() == timedelta(days=1)


@pytest.mark.parametrize(
    "span",
    [
        Duration(),
        Duration(nanos=999_999_999),
        Duration(seconds=-5),
        Duration(seconds=366 * 86_400, nanos=1),
        Duration(seconds=2**62),
        Duration(seconds=1, nanos=-1),
        Duration(seconds=1, nanos=1_000_000_000),
    ],
)
def test_a_window_that_is_none_or_out_of_bounds(span: Duration) -> None:
    assert refused(window, window=span) == ["window"]


def test_jobs_are_asked_for_by_status_and_page() -> None:
    assert jobs() == ListProvisioningJobs((), Page(50, None))
    asked = jobs(statuses=[5, 1, 5], page_size=200, page_token=TOKEN)
    assert asked == ListProvisioningJobs((JobStatus.FAILED, JobStatus.PENDING), Page(200, POSITION))


def test_a_list_of_jobs_that_is_wrong_everywhere() -> None:
    given = {"statuses": [1, 0, 6], "page_size": 201, "page_token": "x"}
    assert set(refused(jobs, **given)) == {"statuses[1]", "statuses[2]", "page_size", "page_token"}
    assert refused(jobs, page_size=-1) == ["page_size"]


def test_interventions_are_asked_for_by_filters_and_page() -> None:
    assert interventions(project_id="", match_id="", intervention_type="") == ListInterventions()
    asked = interventions(
        project_id=ID.upper(), match_id=ID, intervention_type="advisor_assigned", page_size=1
    )
    assert asked == ListInterventions(UUID(ID), UUID(ID), "advisor_assigned", Page(1, None))


def test_a_list_of_interventions_that_is_wrong_everywhere() -> None:
    given = {"project_id": "p", "match_id": ID[:-1], "intervention_type": "t" * 65, "page_size": -1}
    assert set(refused(interventions, **given)) == given.keys()
    assert refused(interventions, intervention_type="a\0b") == ["intervention_type"]


def test_all_invariants_are_repaired_where_none_is_named() -> None:
    assert invariants() == EVERY_INVARIANT
    assert invariants("outbox_moves", "outbox_moves") == ("outbox_moves", "outbox_moves")


def test_an_invariant_that_nobody_knows() -> None:
    assert refused(invariants, "outbox_moves", "", "OUTBOX_MOVES") == ["invariants[1]", "invariants[2]"]
