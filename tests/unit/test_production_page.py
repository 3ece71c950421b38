"""docs/production.md names what there is, and what it has one copy is what the tests run."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml

from matching_server.config import Settings
from matching_server.metrics import QUEUE_GAUGES, REGISTRY
from matching_server.storage.database import BOUNDS
from scripts.settings_table import variable
from tests.support import pgbouncer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "production.md").read_text()


def block(language: str, first: str) -> str:
    """The block of code of that language that begins so."""
    found = re.search(rf"^```{language}\n({re.escape(first)}.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no block of {language} begins with {first}"
    return found[1]


def test_every_setting_that_is_named_is_one() -> None:
    settings = {variable(name, field) for name, field in Settings.model_fields.items()}
    assert set(re.findall(r"\b(?:MATCHING|ADVISOR)_[A-Z_]+\b", PAGE)) <= settings


def test_alerts_ask_for_metrics_that_there_are() -> None:
    there = {sample.name for family in REGISTRY.collect() for sample in family.samples} | set(QUEUE_GAUGES)
    there |= {f"{family.name}_total" for family in REGISTRY.collect() if family.type == "counter"}
    rules = yaml.safe_load(block("yaml", "groups:"))["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"matching_\w+", rule["expr"])}
    assert asked
    assert asked <= there


def test_pgbouncer_is_set_up_as_in_the_tests() -> None:
    shown, run = configparser.ConfigParser(), configparser.ConfigParser()
    shown.read_string(block("ini", "[databases]"))
    run.read_string(pgbouncer._CONFIGURATION)
    assert f"connect_query='{pgbouncer.BOUNDS}'" in shown["databases"]["matching"]
    for name in ("pool_mode", "ignore_startup_parameters"):
        assert shown["pgbouncer"][name] == run["pgbouncer"][name]
    assert all(re.search(rf"SET {name} = ", pgbouncer.BOUNDS) for name in BOUNDS)


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
