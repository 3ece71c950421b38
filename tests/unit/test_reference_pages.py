"""docs/reference/ tells of the contract and the client as they are; the drawings show the steps of the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import matching_client
from matching_client import testing
from matching_server.domain.lifecycle import TRANSITIONS, Action, Transition
from matching_server.domain.model import MatchStatus
from matching_server.rpc.access import SERVICES, methods_of
from scripts import diagrams, reference

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def made() -> Mapping[str, str]:
    return reference.pages()


def test_the_reference_is_up_to_date(made: Mapping[str, str]) -> None:
    written = {page.name: page.read_text() for page in (DOCS / "reference").iterdir()}
    assert written == made, "run: make docs"


def test_the_drawings_are_up_to_date() -> None:
    written = {drawing.name: drawing.read_text() for drawing in (DOCS / "diagrams").iterdir()}
    assert written == diagrams.pages(), "run: make docs"


def test_every_method_and_every_exported_name_is_told_of(made: Mapping[str, str]) -> None:
    everything = "".join(made.values())
    for descriptor in SERVICES.values():
        for method in methods_of(descriptor):
            assert f"\n## {method.name}\n" in everything
    for name in matching_client.__all__:
        assert (
            name.startswith("_")
            or f"\n## {name}\n" in made["python.md"]
            or f"**`{name}`**" in made["python.md"]
        )
    for name in testing.__all__:
        assert f"\n## {name}\n" in made["testing.md"]


def test_no_comment_is_missing(made: Mapping[str, str]) -> None:
    assert not [line for page in made.values() for line in page.splitlines() if line.endswith("|  |")]


def test_a_step_without_a_place_in_the_drawing_is_noticed() -> None:
    steps = [(t.source or "start", t.target, diagrams.WORDS[t.action]) for t in TRANSITIONS]
    added = Transition(MatchStatus.EXPIRED, Action.ADVISOR_FOUND, MatchStatus.MATCHED)
    assert added not in TRANSITIONS
    with pytest.raises(ValueError, match="expired"):
        diagrams.drawing(
            diagrams.MATCH, [*steps, (MatchStatus.EXPIRED, added.target, diagrams.WORDS[added.action])]
        )
