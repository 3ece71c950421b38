"""What operators are told, as messages: what is known is there, and what is not is unset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.json_format import MessageToDict

from advisor_matching.v1 import types_pb2 as pb
from matching_server.domain.interventions import Intervention
from matching_server.domain.model import JobStatus
from matching_server.domain.provisioning import ProvisioningAttempt, ProvisioningJob, ProvisioningStats
from matching_server.operations.auditing import EVERY_INVARIANT, RepairedInvariants
from matching_server.operations.commands import PageOf
from matching_server.rpc import convert_operator as convert
from matching_server.rpc.paging import decode_page_token
from matching_server.storage.invariants import Violation

A, B, C, D = (UUID(int=n) for n in (1, 2, 3, 4))
NOW = datetime(2025, 6, 15, 12, 30, 45, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOTHING = ProvisioningStats(dict.fromkeys(JobStatus, 0), None, None, ())


def test_statistics_name_every_status_once() -> None:
    message = convert.stats_message(NOTHING)
    assert [entry.status for entry in message.counts] == [1, 2, 3, 4, 5]
    assert {entry.count for entry in message.counts} == {0}
    assert not message.HasField("success_rate")
    assert not message.HasField("average_attempts")
    assert not message.HasField("oldest_pending_age")


def test_statistics_of_what_has_ended() -> None:
    counts = {**NOTHING.counts, JobStatus.COMPLETED: 1, JobStatus.FAILED: 3}
    message = convert.stats_message(ProvisioningStats(counts, 2.5, 90 * SECOND, (("broken", 2), ("gone", 1))))
    assert (message.success_rate, message.average_attempts) == (0.25, 2.5)
    assert message.oldest_pending_age.seconds == 90
    assert [(one.reason, one.count) for one in message.failure_reasons] == [("broken", 2), ("gone", 1)]


def test_a_rate_of_nothing_but_failures_is_there() -> None:
    message = convert.stats_message(ProvisioningStats({**NOTHING.counts, JobStatus.FAILED: 1}, 1.0, None, ()))
    assert message.HasField("success_rate")
    assert message.success_rate == 0


def test_a_job_with_its_attempts() -> None:
    job = ProvisioningJob(
        id=A,
        match_id=B,
        status=JobStatus.PENDING,
        attempt_count=2,
        next_retry_at=NOW + SECOND,
        last_error="broken",
        created_at=NOW,
        updated_at=NOW + 2 * SECOND,
        attempts=(
            ProvisioningAttempt(1, NOW, NOW + SECOND, "broken", True),
            ProvisioningAttempt(2, NOW + SECOND, None, None, False),
        ),
    )
    message = convert.job_page_message(PageOf((job,), (NOW, A))).jobs[0]
    assert (message.id, message.match_id, message.attempt_count) == (str(A), str(B), 2)
    assert message.status == pb.PROVISIONING_JOB_STATUS_PENDING
    assert message.next_retry_at.ToDatetime(UTC) == NOW + SECOND
    assert message.updated_at.ToDatetime(UTC) == NOW + 2 * SECOND
    first, second = message.attempts
    assert (first.number, first.error, first.permanent) == (1, "broken", True)
    assert first.ended_at.ToDatetime(UTC) == NOW + SECOND
    assert {field.name for field, _ in second.ListFields()} == {"number", "started_at"}


def test_a_page_says_where_the_next_begins() -> None:
    assert decode_page_token(convert.job_page_message(PageOf((), (NOW, A))).next_page_token) == (NOW, A)
    assert convert.intervention_page_message(PageOf((), None)).next_page_token == ""


def test_an_intervention_with_everything_and_with_the_least() -> None:
    metadata = {"attempts": 3, "withdrawn": {"advisor": {"reason": None}}, "restored": ["client"], "ok": True}
    whole = convert.intervention_message(Intervention(A, B, C, "kind", "why", metadata, D, NOW))
    assert (whole.match_id, whole.project_id, whole.created_by) == (str(B), str(C), str(D))
    assert (whole.intervention_type, whole.reason) == ("kind", "why")
    assert MessageToDict(whole.metadata) == metadata
    least = convert.intervention_message(Intervention(A, None, None, "kind", None, {}, None, NOW))
    assert {field.name for field, _ in least.ListFields()} <= {
        *("id", "intervention_type", "metadata", "created_at"),
    }


def test_an_audit_says_what_was_checked_and_shows_the_rows() -> None:
    violation = Violation("outbox_moves", "it moves", ({"id": "1"}, {"id": "2"}))
    message = convert.audit_message([violation])
    assert list(message.checked) == list(EVERY_INVARIANT)
    [told] = message.violations
    assert (told.invariant, told.description) == ("outbox_moves", "it moves")
    assert [MessageToDict(row) for row in told.rows] == [{"id": "1"}, {"id": "2"}]
    repaired = convert.repaired_message(RepairedInvariants({"load_is_counted": 3}, (violation,)))
    assert list(repaired.repaired) == ["load_is_counted"]
    assert repaired.violations[0] == told
