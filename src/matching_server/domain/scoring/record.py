"""What is stored of a choice, and the choice computed again from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from matching_server.domain.model import MatchingAlgorithm, ScoringWeights
from matching_server.domain.scoring.formula import ALGORITHM_VERSION, Features, Ratio, score
from matching_server.domain.scoring.ranking import Candidate, Ranking

RUNNERS_UP = 5
"""How many of those who came next are stored with a match."""

_FEATURES = ("availability", "skills", "timezone", "preference")


def explain(ranking: Ranking, chosen: Candidate) -> dict[str, Any]:
    """The record that is stored with a match as ``scoring_features``.

    It holds everything that ``replay`` needs to compute scores and order again, in integers. The load and the
    maximum at the claim, which comes later, are columns of the match.
    """
    others = [c for c in ranking.candidates if c.advisor.id != chosen.advisor.id][:RUNNERS_UP]
    weights = ranking.request.weights
    return {
        "algorithm": ranking.algorithm.value,
        "algorithm_version": ALGORITHM_VERSION,
        "pool_size": ranking.pool_size,
        "candidates": ranking.free,
        "decided_at": ranking.decided_at.isoformat(),
        "weights": {name: getattr(weights, name) for name in _FEATURES},
        "chosen": candidate_record(chosen, ranking),
        "runners_up": [candidate_record(c, ranking) for c in others],
        "exclusions": {reason.value: count for reason, count in sorted(ranking.exclusions.items())},
    }


def candidate_record(candidate: Candidate, ranking: Ranking) -> dict[str, Any]:
    """What is stored of one candidate of a ranking."""
    advisor, features = candidate.advisor, candidate.features
    assigned = advisor.last_assigned_at
    return {
        "advisor_id": str(advisor.id),
        "display_name": advisor.summary.display_name,
        "load": advisor.current_projects,
        "slots": advisor.max_concurrent_projects,
        "boost": float(ranking.request.boosts.get(advisor.id, 0)),
        "last_assigned_at": assigned.isoformat() if assigned else None,
        "rating": advisor.summary.rating,
        "features": None
        if features is None
        else {
            "availability": [features.availability.numerator, features.availability.denominator],
            "skills": [features.skills.numerator, features.skills.denominator],
            "timezone": [features.timezone.numerator, features.timezone.denominator],
            "preference": [features.preference.numerator, features.preference.denominator],
        },
        "score_hundredths": candidate.score_hundredths,
    }


def replay(record: Mapping[str, Any]) -> bool:
    """Whether the scores of a stored record, and the order of the runners-up, come out the same again."""
    if not record.get("algorithm"):
        # An admin's choice, or the advisor's own: there is nothing to compute.
        return True
    # JSON may have written a large double out as an integer.
    weights = ScoringWeights(**{name: float(weight) for name, weight in record["weights"].items()})
    scored = record["algorithm"] == MatchingAlgorithm.COMPLEX_SCORING
    stored = [record["chosen"], *record["runners_up"]]
    again = [{**candidate, "score_hundredths": _score(candidate, weights, scored)} for candidate in stored]
    return canonical_json(again) == canonical_json(stored) and _in_order(record["runners_up"])


def _score(candidate: Mapping[str, Any], weights: ScoringWeights, scored: bool) -> int | None:
    return score(stored_features(candidate), weights) if scored and candidate["features"] else None


def _in_order(candidates: list[Mapping[str, Any]]) -> bool:
    """Those of version 1 have no rating, which only the ids came after."""
    keys = [
        (
            -(c["score_hundredths"] or 0),
            Fraction(c["load"], c["slots"]),
            c["last_assigned_at"] or "",
            -(c["rating"] or 0.0),
            c["advisor_id"],
        )
        for c in candidates
        if "rating" in c
    ]
    return keys == sorted(keys)


def stored_features(candidate: Mapping[str, Any]) -> Features:
    """The features of a stored candidate, as the integers that they were."""
    return Features(**{name: Ratio(*pair) for name, pair in candidate["features"].items()})


def canonical_json(value: object) -> bytes:
    """One byte string for one value, whatever order its keys came in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def inputs_digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of the stored inputs, in lower-case hex: two choices made from the same data share it."""
    return hashlib.sha256(canonical_json(record)).hexdigest()
