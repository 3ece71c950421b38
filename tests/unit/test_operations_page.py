"""docs/operations.md says what the code does: the statuses of a job, the kinds of interventions, the invariants."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from matching_server import metrics
from matching_server.domain.interventions import InterventionType
from matching_server.domain.model import JobStatus
from matching_server.metrics import QUEUE_GAUGES, REGISTRY
from matching_server.operations.auditing import MAX_REPAIRS
from matching_server.operations.repairs import REPAIRS
from matching_server.storage.invariants import INVARIANTS, MAX_ROWS

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def table(*headings: str) -> list[list[str]]:
    """The cells of the page's table with these headings."""
    lines = PAGE[PAGE.index(f"| {' | '.join(headings)} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_status_of_a_job_is_explained() -> None:
    assert set(JobStatus) == set(re.findall(r"\*\*`(\w+)`\*\*", PAGE))


def test_every_kind_of_intervention_is_explained() -> None:
    assert [kind.strip("`") for kind, *_ in table("type", "means", "to do")] == list(InterventionType)


def test_every_invariant_is_listed_with_whether_it_is_repaired() -> None:
    rows = table("invariant", "what holds", "repaired", "how, or what a person does")
    assert [(name.strip("`"), holds) for name, holds, *_ in rows] == [
        (invariant.name, invariant.description) for invariant in INVARIANTS
    ]
    assert {name.strip("`") for name, _, repaired, _ in rows if repaired != "no"} == set(REPAIRS)
    assert all(how for *_, how in rows)


def test_every_metric_is_explained() -> None:
    own = {family.name for family in REGISTRY.collect() if not family.name.startswith("process_")}
    counters = {family.name for family in REGISTRY.collect() if family.type == "counter"}
    shown = [name.strip("`") for name, *_ in table("metric", "what it is", "look at it when")]
    assert sorted(shown) == sorted(
        {f"{name}_total" if name in counters else name for name in own} | set(QUEUE_GAUGES)
    )


def test_every_label_of_a_metric_is_named() -> None:
    rows = table("metric", "what it is", "look at it when")
    shown = {name.strip("`").removesuffix("_total"): what for name, what, _ in rows}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            assert all(f"`{label}`" in shown[metric._name] for label in metric._labelnames), metric._name


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"up to {MAX_ROWS} of its rows" in PAGE
    assert f"up to {MAX_REPAIRS:,} breaches" in PAGE
