"""The dashboard shows what there is: every metric and label of its queries is one that the service has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from matching_server import metrics

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "advisor-matching.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_EVERY_SERIES = {"job", "instance"}
"""Labels that Prometheus itself adds."""


def samples() -> Iterator[tuple[str, set[str]]]:
    """Every name under which a value is told, with its labels."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name, labels = metric._name, set(metric._labelnames)
            if metric._type == "histogram":
                yield from ((f"{name}_{part}", labels) for part in ("sum", "count"))
                yield f"{name}_bucket", labels | {"le"}
            else:
                yield f"{name}_total" if metric._type == "counter" else name, labels
    for name in metrics.QUEUE_GAUGES:
        yield name, set() if name.endswith("_seconds") else {"status"}
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("process_"):
            yield from ((sample.name, set()) for sample in family.samples)


SAMPLES = dict(samples())
QUERIES = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


@pytest.mark.parametrize(("query", "legend"), QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str, legend: str) -> None:
    names = re.findall(r"\b(?:matching|process)_\w+", query)
    assert names
    assert not set(names) - SAMPLES.keys()
    labels = {label for name in names for label in SAMPLES[name]} | OF_EVERY_SERIES
    for name, selector in re.findall(r"\b(\w+)\{([^}]*)\}", query):
        chosen = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", selector))
        assert chosen >= OF_EVERY_SERIES
        assert chosen <= SAMPLES[name] | OF_EVERY_SERIES
    kept = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    assert kept <= labels
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    assert shown <= (kept or labels)


def test_every_metric_of_the_service_is_shown() -> None:
    asked = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in SAMPLES if name.startswith("matching_")}
    assert {name for name in own if not re.search(rf"\b{name}(_bucket)?\b", asked)} == set()


def test_panels_and_variables_are_whole() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", FILE.read_text())) - {"__rate_interval", "__all"}
    assert variables == used
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
            assert metric in SAMPLES
            assert label in OF_EVERY_SERIES
