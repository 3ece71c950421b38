"""Every code block of README.md and docs/ does what the page says, and the examples do what they say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from google.protobuf.json_format import ParseDict

from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.types_pb2 import Advisor, Match, MatchStatus, Project
from examples import create_project
from matching_client import MatchingClient
from tests.support.pages import KINDS, Page, shell_environment
from tests.support.wait import eventually
from tests.support.world import SERVICE, World

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(ROOT)): page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}
READ_ONLY = ("docs/reference/", "docs/testing-your-code.md")
"""Pages whose blocks only show how something is called; and one of tests, which `test_testing_guide.py` runs."""

ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "docs/notifications.md": {
        "import os": "it serves for ever; tests/unit/test_notifications_page.py sends to it",
    },
    "docs/operations.md": {
        'tls = Tls(ca="authority.pem", certificate="client.pem", key="client.key")  # the last two for mutual TLS '
        "alone": "it needs certificates; tests/acceptance/test_tls.py connects so",
        "matching-server audit": "tests/integration/test_audit_command.py runs it",
        "UPDATE event_log_epoch SET epoch = gen_random_uuid();": "tests/support/databases.py does it to every database",
    },
    "docs/production.md": {
        "docker build --tag advisor-matching:0.1.0 .": "it needs Docker; test_deployment.py reads the file",
        "sh deploy/make-secrets.sh deploy/secrets": "test_deployment.py runs the script",  # pragma: allowlist secret
        "kubectl apply --kustomize deploy/kubernetes": "it needs a cluster; test_deployment.py reads the files",
    },
    "docs/start.md": {
        "make run": "it serves until Ctrl-C, and a server of this module stands for it",
        "python3 -m venv venv": "it takes the package from a registry",
    },
}
"""Blocks that are not run here, by page and first line, and why."""


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    return [()]


@pytest.fixture(scope="module")
def server_settings() -> Mapping[str, object]:
    return {}


@pytest.fixture
def reader(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like a clone in which the service was started; the reader is in it."""
    (tmp_path / ".matching").mkdir()
    endpoint = world.servers.all[0].endpoint
    connection = {"address": endpoint.address, "key_id": endpoint.key_id, "secret": endpoint.secret}
    (tmp_path / ".matching" / "connection.json").write_text(json.dumps(connection, indent=2))
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    for name in ("protos", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for name in ("MATCHING_ADDRESS", "MATCHING_KEY_ID", "MATCHING_SECRET", "MATCHING_CONNECTION_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def clone(reader: Path, world: World) -> Path:
    """The same, and the service has the sample directory, as that of `make run` has."""
    fill(world)
    return reader


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if "\n```" in page.read_text()])
def test_every_block_does_what_the_page_says(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    elsewhere = ELSEWHERE.get(name, {})
    run = not name.startswith(READ_ONLY)
    page = Page(PAGES[name], directory=tmp_path, environment={}, elsewhere=elsewhere, run=run)
    if page.runs:
        directory: Path = request.getfixturevalue("clone")
        page = Page(PAGES[name], directory=directory, environment=shell_environment(), elsewhere=elsewhere)
    page.do()


def test_what_is_not_run_here_is_there() -> None:
    for name, blocks in ELSEWHERE.items():
        page = Page(PAGES[name], directory=ROOT, environment={})
        assert blocks.keys() <= page.first_lines, name


def fill(world: World) -> None:
    """Brings the service's directory to examples/directory.json, through the service, so that it knows at once."""
    content = json.loads((ROOT / "examples" / "directory.json").read_text())
    platform = world.caller(SERVICE, "service")

    def add(entry: Any) -> None:
        advisor = platform.upsert_advisor(ParseDict(entry["profile"], Advisor()))
        wanted = ParseDict(entry.get("availability", {}), UpdateAvailabilityRequest(advisor_id=advisor.id))
        platform.stubs.availability.UpdateAvailability(wanted)

    for entry in content["projects"]:
        platform.upsert_project(ParseDict(entry, Project()))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, content["advisors"]))


@pytest.mark.parametrize("language", ["ruby", "go", "python title"])
def test_a_block_in_another_language_fails(language: str, tmp_path: Path) -> None:
    file = tmp_path / f"{uuid4()}.md"
    file.write_text(f"# A page\n\n```{language}\nputs 1\n```\n")
    assert language not in KINDS
    with pytest.raises(AssertionError, match="none that tests know"):
        Page(file, directory=tmp_path, environment={}).do()


@pytest.mark.parametrize(
    "blocks",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint('a', 1)\n```\n\n```text\na … b\n```\n",
        "```python\nraise ValueError\n```\n",
        '```sh\necho \'{"a": 1, "b": 2}\'\n```\n\n```json\n{"a": "…"}\n```\n',
        "```sh\nfalse | cat\n```\n",
        "```json\n{]\n```\n",
        "```yaml\na: [\n```\n",
        "```toml\na = b\n```\n",
        "```ini\na = b\n```\n",
        "```console\nmake run\n```\n",
    ],
)
def test_a_block_that_is_wrong_fails(blocks: str, tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"# A page\n\n{blocks}")
    with pytest.raises((AssertionError, ValueError, ConfigParserError, yaml.YAMLError)):
        Page(file, directory=tmp_path, environment=shell_environment()).do()


def test_anything_is_anything(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(
        "```python\nprint('it is', 17, 'today')\n```\n\n```text\nit is … today\n```\n\n"
        '```sh\necho \'{"a": {"b": 1}, "c": 2}\'\n```\n\n```json\n{"a": {"b": "…"}, "…": "…"}\n```\n'
    )
    Page(file, directory=tmp_path, environment=shell_environment()).do()


def test_a_project_is_created_and_then_has_a_match(clone: Path) -> None:
    created, offered = example("create_project.py").splitlines()
    assert created == "created Market stalls: the user goes on"
    assert offered.startswith("offered to ")


def test_a_project_is_asked_for_once_however_often_that_is_tried(reader: Path) -> None:
    told: list[Match] = []
    project = Project(id=str(uuid4()), owner_id=str(uuid4()), name="Again")
    with MatchingClient.from_env(user_id=str(uuid4()), roles=["service"]) as matching:
        for _ in range(2):
            service = create_project.ProjectService(matching, lambda project: None, tell=told.append)
            service.ask_again([project])
            service.close()
            owner = matching.as_user(user_id=project.owner_id, roles=["client"])
            owner.submit_client_decision(told[0].id, "DECISION_DECLINED")
    assert len({match.id for match in told}) == 1
    assert len(told) == 2


def test_a_project_is_created_while_the_matching_service_is_away(caplog: pytest.LogCaptureFixture) -> None:
    stored: list[Project] = []
    project = Project(id=str(uuid4()), owner_id=str(uuid4()), name="Alone")
    with MatchingClient("127.0.0.1:1", key_id="k", secret="s" * 32, user_id=str(uuid4())) as matching:
        service = create_project.ProjectService(matching, stored.append, patience=0.3)
        assert service.create_project(project) is project
        service.close()
    assert stored == [project]
    assert f"project {project.id} has no match yet" in caplog.text


def test_the_dialog_finds_another_and_the_one_that_was_picked(clone: Path) -> None:
    told = example("decline.py", answers="n a n b 2 y")
    offers = [line for line in told.splitlines() if line.startswith("Harbour Checkout: ")]
    [picked] = [
        line.split("  ")[2].partition(",")[0] for line in told.splitlines() if line.startswith("  2  ")
    ]
    assert len(set(offers)) == 3
    assert offers[-1].startswith(f"Harbour Checkout: {picked} (")


def test_the_dialog_leaves_no_open_match_for_later(clone: Path, world: World) -> None:
    told = example("decline.py", answers="n l")
    assert told.splitlines()[-1] == "You can ask for an advisor at any time."
    project = json.loads((ROOT / "examples" / "directory.json").read_text())["projects"][0]["id"]
    [match] = world.caller(SERVICE, "service").list_project_matches(project).matches
    assert match.status == MatchStatus.MATCH_STATUS_CLIENT_DECLINED


def test_the_dashboard_shows_pool_queues_and_interventions(clone: Path, world: World) -> None:
    admin = world.caller(uuid4(), "admin")
    project = json.loads((ROOT / "examples" / "directory.json").read_text())["projects"][0]["id"]
    admin.assign_advisor(project, admin.list_advisors(available=True).advisors[0].id, reason="a test of it")
    told = example("dashboard.py", "--once")
    assert "60 advisors, large" in told
    assert "complex scoring" in told
    for shown in ("workspaces, 24 h", "backlog", "advisor_assigned", "a test of it", project[:8]):
        assert shown in told


def test_the_dashboard_goes_on_until_it_is_interrupted(reader: Path, world: World) -> None:
    server = world.servers.all[0]
    before = server.log(last=10_000).count("GetPoolStatus")
    command = [sys.executable, "examples/dashboard.py", "--interval", "0.05"]
    with subprocess.Popen(
        command, cwd=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        eventually(
            lambda: server.log(last=10_000).count("GetPoolStatus") >= before + 3,
            timeout=30,
            what="it looks again",
        )
        shown.send_signal(signal.SIGINT)
        told, complaint = shown.communicate(timeout=30)
    assert shown.returncode == 0, complaint
    assert "0 advisors" in told


@pytest.mark.parametrize("name", ["create_project.py", "decline.py", "dashboard.py"])
def test_an_example_without_a_service_says_so_in_a_line(name: str, tmp_path: Path) -> None:
    done = run_example(name, directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name.removesuffix('.py')}: set MATCHING_ADDRESS")
    assert done.stderr.count("\n") == 1


def example(name: str, *arguments: str, answers: str = "") -> str:
    """What an example prints; it has to succeed."""
    done = run_example(name, *arguments, answers=answers)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_example(
    name: str, *arguments: str, answers: str = "", directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """An example, started where the reader is."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=directory,
        env=shell_environment() | {"COLUMNS": "140"},
        input="".join(f"{answer}\n" for answer in answers.split()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
