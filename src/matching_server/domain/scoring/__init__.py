"""Who is put first, and why: the pool in arrays, the two rankings, and the record that lets a choice be replayed.

Pure and exact. The moment and all data are passed in; a score is the exact value rounded once (half up, two
decimals), so the same input gives the same bytes on any machine. ``docs/matching.md`` has the formula and an
example worked out by hand. Whatever changes a choice changes ``ALGORITHM_VERSION``.

    formula        the factors and the score of one advisor, in integers
    working_hours  what two working days have in common
    words          which advisors know a word
    pool           every advisor, a column a property
    ranking        the pool in order for one request
    record         what is stored with a match, and its replay
"""

from matching_server.domain.scoring.formula import (
    ALGORITHM_VERSION,
    Features,
    PoolAdvisor,
    RankingRequest,
    Ratio,
    features_of,
    score,
)
from matching_server.domain.scoring.pool import Pool, State
from matching_server.domain.scoring.ranking import (
    COMPLEX_SCORING_FROM,
    MEDIUM_POOL_FROM,
    Candidate,
    Ranking,
    algorithm_for,
    candidate,
    exclusion_of,
    rank,
)
from matching_server.domain.scoring.record import (
    RUNNERS_UP,
    candidate_record,
    canonical_json,
    explain,
    inputs_digest,
    replay,
    stored_features,
)
from matching_server.domain.scoring.working_hours import timezone_overlap

__all__ = [
    "ALGORITHM_VERSION",
    "COMPLEX_SCORING_FROM",
    "MEDIUM_POOL_FROM",
    "RUNNERS_UP",
    "Candidate",
    "Features",
    "Pool",
    "PoolAdvisor",
    "Ranking",
    "RankingRequest",
    "Ratio",
    "State",
    "algorithm_for",
    "candidate",
    "candidate_record",
    "canonical_json",
    "exclusion_of",
    "explain",
    "features_of",
    "inputs_digest",
    "rank",
    "replay",
    "score",
    "stored_features",
    "timezone_overlap",
]
