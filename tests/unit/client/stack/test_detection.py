from __future__ import annotations

import time
from pathlib import Path

import pytest

from advisor_matching.v1.types_pb2 import TechStack
from matching_client import detect_stack
from matching_client.stack.readers import MAXIMUM_BYTES
from matching_client.stack.rules import rules
from matching_server.seeding import read_directory
from matching_server.synthetic import _SKILLS, _SPECIALTIES, _TRADES
from tests.unit.client.stack.manifests import write

SAMPLE = Path(__file__).parents[4] / "examples" / "directory.json"
NOT_YET_IN_A_PROFILE = {"rocket", "sinatra", "authentication", "background jobs", "microservices"}
"""Words that no sample advisor has: frameworks that are common enough to be named, and what is asked for in the
guide that the platform's projects follow."""


def test_the_nearest_framework_is_the_project_s(tmp_path: Path) -> None:
    write(tmp_path, "web/package.json", ["react"])
    write(tmp_path, "services/api/pyproject.toml", ["fastapi"])
    assert detect_stack(tmp_path).framework == "react"
    write(tmp_path, "go.mod", ["github.com/labstack/echo/v4"])
    assert detect_stack(tmp_path).framework == "echo"


def test_in_one_folder_what_shapes_a_project_most_comes_first(tmp_path: Path) -> None:
    write(tmp_path, "package.json", ["react", "express", "next"])
    assert detect_stack(tmp_path).framework == "next.js"
    write(tmp_path, "composer.json", ["laravel/framework"])
    assert detect_stack(tmp_path).framework == "laravel"


def test_what_others_made_or_what_tests_and_shows_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", ["django"])
    for folder in ("node_modules/x", "vendor", "docs", "examples/shop", ".git", "api_tests", "dist"):
        write(tmp_path, f"{folder}/package.json", ["stripe", "typescript"])
    assert detect_stack(tmp_path) == TechStack(framework="django", languages=["python"])


def test_it_looks_two_folders_down_and_no_further(tmp_path: Path) -> None:
    write(tmp_path, "packages/shop/package.json", ["stripe"])
    write(tmp_path, "packages/shop/inner/package.json", ["leaflet"])
    assert list(detect_stack(tmp_path).complexity_factors) == ["payments"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "package.json", ["stripe"])
    project = tmp_path / "project"
    write(project, "go.mod", [])
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "round").symlink_to(project)
    assert detect_stack(project) == TechStack(languages=["go"])


def test_one_manifest_is_enough(tmp_path: Path) -> None:
    write(tmp_path, "package.json", ["vue"], ["typescript"])
    write(tmp_path, "composer.json", ["laravel/framework"])
    stack = detect_stack(str(tmp_path / "package.json"))
    assert (stack.framework, list(stack.languages)) == ("vue", ["typescript"])


def test_typescript_of_a_workspace_holds_for_its_packages(tmp_path: Path) -> None:
    write(tmp_path, "package.json", [], ["typescript"])
    write(tmp_path, "packages/app/package.json", ["react"])
    assert list(detect_stack(tmp_path).languages) == ["typescript"]


def test_a_manifest_of_tools_tells_no_language_unless_all_are(tmp_path: Path) -> None:
    write(tmp_path, "package.json", [], ["prettier"])
    assert list(detect_stack(tmp_path).languages) == ["javascript"]
    write(tmp_path, "requirements.txt", ["django"])
    write(tmp_path, "Gemfile", ["fastlane"])
    assert list(detect_stack(tmp_path).languages) == ["python"]


def test_dependencies_for_development_tell_no_framework_and_no_factor(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", ["attrs"], ["django", "stripe"])
    write(tmp_path, "pom.xml", ["x:y"], ["org.springframework.boot:spring-boot-starter-test"])
    assert detect_stack(tmp_path) == TechStack(languages=["python", "java"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("package.json", "{", "Expecting property name"),
        ("package.json", "[]", "has to be a table"),
        ("package.json", '{"dependencies": ["react"]}', "dependencies has to be a table"),
        ("package.json", "[" * 100_000, "recursion"),
        ("composer.json", '{"require": 3}', "require has to be a table"),
        ("pyproject.toml", "[project", "end of a table"),
        ("pyproject.toml", "[project]\ndependencies = 'django'", "have to be a list"),
        ("Cargo.toml", "dependencies = 3", "has to be a table"),
        ("Pipfile", "packages = []", "has to be a table"),
        ("libs.versions.toml", "[libraries]\nx = 3", "has to be a table"),
        ("setup.cfg", "no section", "no section headers"),
        ("pom.xml", "<project>", "no element found"),
        ("pom.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><project>&a;</project>", "EntitiesForbidden"),
        ("requirements.txt", "\xff", "utf-8"),
        ("go.mod", "x" * (MAXIMUM_BYTES + 1), "larger than"),
    ],
)
def test_a_malformed_manifest_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / "below" / name
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as caught:
        detect_stack(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["\n", " ", "/* ", "a", "a ", "id ", "id(", "group ", "gem 'a' group: ", "-r ", "//", "require "]
)
@pytest.mark.parametrize("name", ["build.gradle", "Gemfile", "requirements.txt", "go.mod"])
def test_a_manifest_made_to_be_slow_is_read_all_the_same(tmp_path: Path, name: str, piece: str) -> None:
    (tmp_path / name).write_text((piece * MAXIMUM_BYTES)[:MAXIMUM_BYTES])
    detect_stack(tmp_path)


def test_where_there_is_no_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(ValueError, match="no manifest here"):
        detect_stack(tmp_path)
    with pytest.raises(ValueError, match="no manifest that is known"):
        detect_stack(tmp_path / "README.md")
    with pytest.raises(ValueError, match="no such file or folder"):
        detect_stack(tmp_path / "nowhere")


def test_the_rules_keep_to_the_contract_s_bounds_and_say_each_word_once() -> None:
    table = rules()
    languages = [rule.word for rule in table.languages] + list(table.ecosystems.values())
    for words in (languages, [rule.word for rule in table.frameworks], [rule.word for rule in table.factors]):
        assert len(set(words)) == len(words) <= 50
        assert all(1 <= len(word) <= 64 for word in words)


def test_the_rules_use_the_words_of_advisors_profiles() -> None:
    profiles = [profile for profile, _ in read_directory(SAMPLE).advisors]
    frameworks = {word for profile in profiles for word in profile.frameworks}
    frameworks |= {word for trade in _TRADES for word in trade.frameworks}
    languages = {word for profile in profiles for word in profile.languages}
    factors = {word for profile in profiles for word in (*profile.skills, *profile.specialties)}
    factors |= {*_SKILLS, *_SPECIALTIES}
    table = rules()
    told = {rule.word for rule in table.frameworks} - frameworks
    told |= {rule.word for rule in table.factors} - factors
    told |= {rule.word for rule in table.languages} - languages
    told |= set(table.ecosystems.values()) - languages
    assert told == NOT_YET_IN_A_PROFILE


def test_every_ecosystem_named_by_a_rule_is_known() -> None:
    table = rules()
    for rule in (*table.languages, *table.frameworks, *table.factors):
        assert rule.patterns, rule.word
        assert set(rule.patterns) <= set(table.ecosystems)
        assert not rule.in_place_of or rule.in_place_of in table.ecosystems.values()


def test_a_repository_of_many_packages_is_read_in_seconds(tmp_path: Path) -> None:
    write(tmp_path, "package.json", ["typescript"])
    for number in range(900):
        write(tmp_path, f"packages/{number}/package.json", ["react"])
    began = time.process_time()
    assert detect_stack(tmp_path) == TechStack(framework="react", languages=["typescript"])
    assert time.process_time() - began < 3


def test_requirements_that_include_each_other_without_end_are_refused(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n")
    (tmp_path / "requirements.txt").write_text("-r 0.txt\n")
    with pytest.raises(ValueError, match="more than 100 files are included"):
        detect_stack(tmp_path)


def test_a_path_that_the_system_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x: File name too long"):
        detect_stack(tmp_path / ("x" * 5000))
