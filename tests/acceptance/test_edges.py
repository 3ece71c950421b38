"""Values beyond the edge, one at a time in a request that is otherwise good: refused by the name of the field."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import MatchCriteria, ScoringWeights, TechStack
from matching_client import Claims, InvalidArgument
from matching_client.catalog import find_method, path_of
from tests.support.raw import sign
from tests.support.world import SERVICE, World

CREATE = path_of(find_method("MatchService/CreateMatch"))
FEW, MANY, LONG = ["x"] * 51, [str(UUID(int=number)) for number in range(10_000)], "x" * 65
CRITERIA: Mapping[str, tuple[MatchCriteria, str]] = {
    "NaN": (MatchCriteria(scoring_weights=ScoringWeights(skills=nan)), "criteria.scoring_weights.skills"),
    "infinity": (
        MatchCriteria(scoring_weights=ScoringWeights(timezone=inf)),
        "criteria.scoring_weights.timezone",
    ),
    "less than nothing": (
        MatchCriteria(scoring_weights=ScoringWeights(skills=-inf)),
        "criteria.scoring_weights.skills",
    ),
    "all nothing": (MatchCriteria(scoring_weights=ScoringWeights()), "criteria.scoring_weights"),
    "10,000 exclusions": (MatchCriteria(exclude_advisor_ids=MANY), "criteria.exclude_advisor_ids"),
    "an exclusion of nobody": (MatchCriteria(exclude_advisor_ids=["x"]), "criteria.exclude_advisor_ids"),
    "an unknown number": (MatchCriteria(project_complexity=99), "criteria.project_complexity"),  # type: ignore[arg-type]
    "a number below all": (MatchCriteria(project_complexity=-1), "criteria.project_complexity"),  # type: ignore[arg-type]
    "a control character": (
        MatchCriteria(tech_stack=TechStack(framework="a\0b")),
        "criteria.tech_stack.framework",
    ),
    "a long word": (MatchCriteria(tech_stack=TechStack(languages=[LONG])), "criteria.tech_stack.languages"),
    "many words": (
        MatchCriteria(tech_stack=TechStack(complexity_factors=FEW)),
        "criteria.tech_stack.complexity_factors",
    ),
}
OTHERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "an id in braces": ({"project_id": "{ffffffff-ffff-4fff-bfff-ffffffffffff}"}, "project_id"),
    "an id of nothing": ({"project_id": ""}, "project_id"),
    "a second too few": ({"expires_in": Duration(nanos=1)}, "expires_in"),
    "an age": ({"expires_in": Duration(seconds=2**62)}, "expires_in"),
    "a time that is none": ({"expires_in": Duration(seconds=5, nanos=-1)}, "expires_in"),
    "a request id that is none": ({"request_id": "x"}, "request_id"),
}


@pytest.mark.parametrize("case", [*CRITERIA, *OTHERS])
def test_what_is_beyond_an_edge_is_refused_by_the_name_of_its_field(world: World, case: str) -> None:
    fields, field = ({"criteria": CRITERIA[case][0]}, CRITERIA[case][1]) if case in CRITERIA else OTHERS[case]
    request = CreateMatchRequest(**{"project_id": world.new_project(), **fields})
    call = sign(world.servers.all[0].endpoint, Claims(str(SERVICE), roles=["service"]), CREATE, request)
    with world.channel() as channel, pytest.raises(InvalidArgument) as refused:
        call.send(channel)
    assert refused.value.reason == "INVALID_ARGUMENT"
    assert {violation.field.partition("[")[0] for violation in refused.value.field_violations} == {field}
    assert world.statuses() == {}
