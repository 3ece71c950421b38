"""Every code block of README.md and docs/ does what the page says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from google.protobuf.json_format import ParseDict

from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.types_pb2 import Advisor, Project
from tests.support.pages import KINDS, Page, shell_environment
from tests.support.world import SERVICE, World

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(ROOT)): page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}
READ_ONLY = ("docs/reference/",)
"""Pages whose blocks show and do nothing."""

ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "docs/notifications.md": {
        "import os": "it serves for ever; tests/unit/test_notifications_page.py sends to it",
    },
    "docs/operations.md": {
        "tls = grpc.ssl_channel_credentials(authority, client_key, client_certificate)  # PEM; the last two for "
        "mutual TLS alone": "it needs certificates; tests/acceptance/test_tls.py connects so",
        "matching-server audit": "tests/integration/test_audit_command.py runs it",
        "UPDATE event_log_epoch SET epoch = gen_random_uuid();": "tests/support/databases.py does it to every database",
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
def clone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory like a clone in which `make run` serves the sample directory; the reader is in it."""
    fill(world)
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
    yield tmp_path


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if "\n```" in page.read_text()])
def test_every_block_does_what_the_page_says(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
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
    for entry in content["projects"]:
        platform.upsert_project(ParseDict(entry, Project()))
    for entry in content["advisors"]:
        advisor = platform.upsert_advisor(ParseDict(entry["profile"], Advisor()))
        wanted = ParseDict(entry.get("availability", {}), UpdateAvailabilityRequest())
        wanted.advisor_id = advisor.id
        platform.stubs.availability.UpdateAvailability(wanted)


@pytest.mark.parametrize("language", ["ruby", "console", "python title"])
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
    ],
)
def test_a_block_that_is_wrong_fails(blocks: str, tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"# A page\n\n{blocks}")
    with pytest.raises((AssertionError, ValueError, yaml.YAMLError)):
        Page(file, directory=tmp_path, environment=shell_environment()).do()


def test_anything_is_anything(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(
        "```python\nprint('it is', 17, 'today')\n```\n\n```text\nit is … today\n```\n\n"
        '```sh\necho \'{"a": {"b": 1}, "c": 2}\'\n```\n\n```json\n{"a": {"b": "…"}, "…": "…"}\n```\n'
    )
    Page(file, directory=tmp_path, environment=shell_environment()).do()
