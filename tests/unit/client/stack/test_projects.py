"""What well-known projects are found to be made of.

`projects.json` has, for each repository and commit, the few dependencies that tell, by manifest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matching_client import detect_stack
from matching_client.stack.readers import READERS
from tests.unit.client.stack.manifests import write

PROJECTS: dict[str, Any] = json.loads((Path(__file__).parent / "projects.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROJECTS, ids=lambda name: name.partition("@")[0])
def test_a_well_known_project_is_recognized(name: str, tmp_path: Path) -> None:
    project = PROJECTS[name]
    for path, dependencies in project["manifests"].items():
        write(tmp_path, path, dependencies.get("running", ()), dependencies.get("development", ()))
    stack = detect_stack(tmp_path)
    assert stack.framework == project["framework"]
    assert list(stack.languages) == project["languages"]
    assert list(stack.complexity_factors) == project["factors"]


def test_they_are_a_few_dozen_and_have_every_kind_of_manifest() -> None:
    kinds = {Path(path).name for project in PROJECTS.values() for path in project["manifests"]}
    assert len(PROJECTS) >= 30
    assert kinds >= set(READERS) - {"Pipfile"}
    assert any(len(project["manifests"]) >= 4 for project in PROJECTS.values()), "no monorepo"
