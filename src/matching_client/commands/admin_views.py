"""What is shown to admins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message

from advisor_matching.v1 import admin_service_pb2 as admin
from advisor_matching.v1 import types_pb2 as pb
from matching_client.commands.output import Block, Listing, Record
from matching_client.commands.times import due, lasting, local
from matching_client.commands.views import listed, number
from matching_client.commands.words import word


def pool(one: admin.GetPoolStatusResponse) -> list[Block]:
    """The pool, counted."""
    status, load = one.status_breakdown, one.workload_breakdown
    return [
        Record(
            [
                ("active advisors", str(one.total_advisors)),
                ("pool size", word(pb.PoolSize, one.pool_size)),
                ("chosen by", word(pb.MatchingAlgorithm, one.algorithm)),
                ("by status", f"{status.available} available, {status.busy} busy, {status.offline} offline"),
                (
                    "of those available",
                    f"{load.idle} idle, {load.available} with a free slot, {load.at_capacity} at capacity",
                ),
            ]
        )
    ]


def simulation(one: admin.SimulateMatchResponse) -> list[Block]:
    """The ranking, and who is left out."""
    excluded = [
        (item.advisor.id, item.advisor.display_name, word(pb.ExclusionReason, item.reason))
        for item in one.excluded
    ]
    return [
        Record(
            [
                ("chosen by", word(pb.MatchingAlgorithm, one.algorithm)),
                ("pool size", word(pb.PoolSize, one.pool_size)),
            ]
        ),
        _candidates(one.candidates, "candidates"),
        Listing(("advisor", "name", "left out because"), excluded, empty="nobody", title="left out"),
    ]


def explanation(one: admin.ExplainMatchResponse) -> list[Block]:
    """Why a match has its advisor."""
    stored = one.explanation
    weights = stored.weights
    ranking = [*([stored.chosen] if stored.HasField("chosen") else []), *stored.runners_up]
    return [
        Record(
            [
                ("chosen by", word(pb.MatchingAlgorithm, stored.algorithm) or "an admin or a claim"),
                ("version", stored.algorithm_version),
                ("pool size", word(pb.PoolSize, stored.pool_size)),
                ("decided at", local(stored.decided_at)),
                ("weights", _weights(weights) if stored.HasField("weights") else ""),
                (
                    "load at the claim",
                    f"{stored.load_at_claim} of {stored.slots_at_claim}"
                    if stored.HasField("load_at_claim")
                    else "",
                ),
                (
                    "left out",
                    listed(f"{c.count} {word(pb.ExclusionReason, c.reason)}" for c in stored.exclusions),
                ),
                ("computed again", "the same, byte for byte" if one.replay_matches else "NOT THE SAME"),
                ("inputs", stored.inputs_digest),
            ]
        ),
        _candidates(ranking, "the chosen advisor and the next best"),
    ]


def rules(many: Sequence[pb.PreferenceRule]) -> list[Block]:
    """Preference rules in a table."""
    rows = [
        (
            one.id,
            one.advisor_id,
            word(pb.RuleEffect, one.effect),
            number(one.boost, given=bool(one.boost)),
            _scope(one),
            local(one.active_from),
            local(one.active_until),
            one.reason,
        )
        for one in many
    ]
    headings = ("rule", "advisor", "effect", "points", "for", "from", "until", "why")
    return [Listing(headings, rows, empty="no rules")]


def provisioning_stats(one: admin.GetProvisioningStatsResponse) -> list[Block]:
    """How provisioning went."""
    age = one.oldest_pending_age
    return [
        Record(
            [
                *((word(pb.ProvisioningJobStatus, item.status), str(item.count)) for item in one.counts),
                ("success rate", f"{one.success_rate:.1%}" if one.HasField("success_rate") else ""),
                ("attempts on average", number(one.average_attempts, given=one.HasField("average_attempts"))),
                (
                    "oldest that waits",
                    lasting(age.ToTimedelta()) if one.HasField("oldest_pending_age") else "",
                ),
            ]
        ),
        Listing(
            ("times", "reason"),
            [(str(item.count), item.reason) for item in one.failure_reasons],
            empty="none",
            title="failures",
        ),
    ]


def jobs(many: Sequence[pb.ProvisioningJob]) -> list[Block]:
    """Provisioning jobs in a table."""
    rows = [
        (
            one.id,
            one.match_id,
            word(pb.ProvisioningJobStatus, one.status),
            str(one.attempt_count),
            due(one.next_retry_at),
            local(one.created_at),
            one.last_error,
        )
        for one in many
    ]
    headings = ("job", "match", "status", "attempts", "due", "queued at", "last error")
    return [Listing(headings, rows, empty="no jobs")]


def interventions(many: Sequence[pb.Intervention]) -> list[Block]:
    """Interventions in a table."""
    rows = [
        (
            local(one.created_at),
            one.intervention_type,
            one.reason,
            one.match_id,
            one.project_id,
            one.created_by or "the service",
        )
        for one in many
    ]
    return [
        Listing(("at", "kind", "why", "match", "project", "by"), rows, empty="no interventions"),
    ]


def notifications(many: Sequence[pb.Notification]) -> list[Block]:
    """Notifications in a table."""
    rows = [
        (
            one.id,
            one.type,
            word(pb.NotificationStatus, one.status),
            word(pb.NotificationPriority, one.priority),
            one.recipient_id,
            str(one.attempt_count),
            local(one.created_at),
            one.last_error,
        )
        for one in many
    ]
    headings = ("notification", "kind", "status", "priority", "to", "attempts", "written at", "last error")
    return [Listing(headings, rows, empty="no notifications")]


def violations(many: Iterable[admin.InvariantViolation], none: str) -> list[Block]:
    """What does not hold, with the rows that break it."""
    rows = [(one.invariant, one.description, "\n".join(_row(row) for row in one.rows)) for one in many]
    return [Listing(("invariant", "what should hold", "rows"), rows, empty=none)]


def _candidates(many: Iterable[pb.Candidate], title: str) -> Listing:
    rows = []
    for one in many:
        features = one.features
        factors = [
            f"{getattr(features, name):.2f}" if features.HasField(name) else ""
            for name in ("availability", "skills", "timezone", "preference")
        ]
        rows.append(
            (
                str(one.rank),
                one.advisor.id,
                one.advisor.display_name,
                f"{one.score:.2f}" if one.HasField("score") else "",
                *factors,
                f"{features.load}/{features.slots}",
                number(features.boost, given=bool(features.boost)),
            )
        )
    headings = ("rank", "advisor", "name", "score", "avail.", "skills", "zone", "pref.", "load", "boost")
    return Listing(headings, rows, empty="nobody", title=title)


def _weights(one: pb.ScoringWeights) -> str:
    return listed(
        f"{name} {getattr(one, name):g}" for name in ("availability", "skills", "timezone", "preference")
    )


def _scope(one: pb.PreferenceRule) -> str:
    match one.WhichOneof("scope"):
        case "project_id":
            return f"project {one.project_id}"
        case "framework":
            return one.framework
        case "complexity":
            return word(pb.ProjectComplexity, one.complexity)
        case _:
            return "all projects"


def _row(row: Message) -> str:
    return json.dumps(json_format.MessageToDict(row), ensure_ascii=False)
