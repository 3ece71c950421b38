"""The stored record of a choice as the contract's ``Explanation``.

The record is what ``domain.scoring.explain`` wrote with the match, perhaps in an earlier release, and a match
that an admin or a claim decided has less of it: whatever is not there stays unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from advisor_matching.v1 import admin_service_pb2, types_pb2
from matching_server.domain import scoring
from matching_server.domain.model import MatchingAlgorithm
from matching_server.domain.scoring import Candidate, Ranking
from matching_server.operations.simulating import Simulation
from matching_server.rpc import enums
from matching_server.rpc.convert import advisor_summary_message


def explanation_message(record: Mapping[str, Any]) -> types_pb2.Explanation:
    """Why a match has the advisor it has."""
    if not record:
        return types_pb2.Explanation()
    scored = record.get("algorithm") == MatchingAlgorithm.COMPLEX_SCORING
    chosen = record.get("chosen")
    pool_size = record.get("pool_size")
    return types_pb2.Explanation(
        algorithm=enums.ALGORITHM_WORDS.get(record.get("algorithm") or "", 0),
        algorithm_version=str(record.get("algorithm_version", "")),
        weights=types_pb2.ScoringWeights(**record["weights"]) if scored else None,
        decided_at=_moment(record.get("decided_at")),
        chosen=_candidate_message(chosen, 1) if chosen else None,
        runners_up=[
            _candidate_message(candidate, rank)
            for rank, candidate in enumerate(record.get("runners_up", ()), start=2)
        ],
        exclusions=[
            types_pb2.ExclusionCount(reason=enums.EXCLUSION_WORDS.get(word, 0), count=count)
            for word, count in record.get("exclusions", {}).items()
        ],
        inputs_digest=scoring.inputs_digest(record),
        load_at_claim=record.get("load_at_claim"),
        slots_at_claim=record.get("slots_at_claim"),
        pool_size=None if pool_size is None else enums.POOL_SIZE[pool_size_word(pool_size)],
    )


def simulation_message(simulation: Simulation) -> admin_service_pb2.SimulateMatchResponse:
    """Who could be offered a project, and who could not."""
    ranking = simulation.ranking
    return admin_service_pb2.SimulateMatchResponse(
        candidates=[
            _ranked_message(candidate, rank, ranking)
            for rank, candidate in enumerate(ranking.candidates, start=1)
        ],
        excluded=[
            admin_service_pb2.ExcludedAdvisor(
                advisor=advisor_summary_message(advisor), reason=enums.EXCLUSION_WORDS[reason.value]
            )
            for advisor, reason in simulation.excluded
        ],
        algorithm=enums.ALGORITHM_WORDS[ranking.algorithm.value],
        pool_size=enums.POOL_SIZE[pool_size_word(ranking.pool_size)],
    )


def _ranked_message(candidate: Candidate, rank: int, ranking: Ranking) -> types_pb2.Candidate:
    """A candidate as in the record of a choice, with all that is shown of an advisor."""
    message = _candidate_message(scoring.candidate_record(candidate, ranking), rank)
    message.advisor.CopyFrom(advisor_summary_message(candidate.advisor.summary))
    return message


def pool_size_word(active_advisors: int) -> str:
    """The size class of a pool of that many active advisors."""
    if active_advisors < scoring.MEDIUM_POOL_FROM:
        return "small"
    return "medium" if active_advisors < scoring.COMPLEX_SCORING_FROM else "large"


def _candidate_message(candidate: Mapping[str, Any], rank: int) -> types_pb2.Candidate:
    score = candidate.get("score_hundredths")
    return types_pb2.Candidate(
        advisor=types_pb2.AdvisorSummary(
            id=candidate["advisor_id"], display_name=candidate.get("display_name")
        ),
        score=None if score is None else score / 100,
        features=types_pb2.CandidateFeatures(
            **(_features(candidate) if score is not None else {}),
            load=candidate.get("load"),
            slots=candidate.get("slots"),
            boost=candidate.get("boost"),
            last_assigned_at=_moment(candidate.get("last_assigned_at")),
        ),
        rank=rank,
    )


def _features(candidate: Mapping[str, Any]) -> dict[str, Any]:
    features = scoring.stored_features(candidate)
    return {
        "availability": float(features.availability),
        "skills": float(features.skills),
        "timezone": float(features.timezone),
        "preference": float(features.preference),
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
