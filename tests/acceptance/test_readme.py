"""What README.md says is so: its commands, first calls and lifecycle, and what it promises of streams and notices."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import Connection, text

from matching_client import MatchingClient, StreamEvicted
from matching_server.domain.lifecycle import TRANSITIONS, Transition
from matching_server.domain.model import MatchStatus
from matching_server.rpc.access import SERVICES, Kind, methods_of
from matching_server.seeding import load_directory, read_directory
from matching_server.storage.database import Database
from scripts.diagrams import WORDS
from tests.support.processes import Servers
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EVERYTHING = ["client", "advisor", "service", "admin"]
SECONDS = 60.0

ACTIONS = {words: action for action, words in WORDS.items()}
"""What the lifecycle's table calls what the code calls actions."""


@pytest.fixture
def clone(tmp_path: Path, servers: Servers, database: Database) -> Path:
    """A directory like a clone in which `make run` serves the sample directory."""
    for _ in load_directory(database, read_directory(ROOT / "examples" / "directory.json")):
        pass
    servers.start()
    clone = tmp_path / "clone"
    (clone / ".matching").mkdir(parents=True)
    (connection_file,) = tmp_path.glob("*.connection.json")
    (clone / ".matching" / "connection.json").symlink_to(connection_file)
    (clone / ".venv").symlink_to(Path(sys.prefix))
    (clone / "protos").symlink_to(ROOT / "protos")
    return clone


@pytest.fixture
def client(clone: Path) -> Iterator[MatchingClient]:
    """The sample project's owner, who may also do everything else."""
    settings = clone / ".matching" / "connection.json"
    with MatchingClient.from_connection_file(settings, user_id=named("OWNER"), roles=EVERYTHING) as client:
        yield client


def test_the_first_call_from_python_prints_what_is_written(clone: Path) -> None:
    assert run(clone, ".venv/bin/python", "-c", block("python")) == block("text")


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_first_call_by_buf_works_as_pasted_again_and_again(clone: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    first, second = (json.loads(run(clone, shell, "-c", block("sh"))) for _ in range(2))
    assert first["match"]["status"] == "MATCH_STATUS_MATCHED"
    assert "alreadyOpen" not in first
    assert second["alreadyOpen"] is True
    assert second["match"]["id"] == first["match"]["id"]


def test_every_method_of_the_contract_is_served(client: MatchingClient) -> None:
    unimplemented = [
        (service, method.name)
        for service, descriptor in SERVICES.items()
        for method in methods_of(descriptor)
        if code_of(client, service, method) is grpc.StatusCode.UNIMPLEMENTED
    ]
    assert unimplemented == []


def test_a_fourth_stream_of_a_user_ends_the_oldest(client: MatchingClient) -> None:
    assert "a fourth ends the oldest with `STREAM_EVICTED`" in " ".join(README.split())
    with ExitStack() as stack:
        oldest, *others = (stack.enter_context(client.watch(named("PROJECT"))) for _ in range(4))
        with pytest.raises(StreamEvicted):
            next(oldest)
        client.create_match(named("PROJECT"))
        assert [next(watch).type for watch in others] == ["advisor.matched"] * len(others)


def test_notifications_are_delivered_in_order_for_each_recipient(
    client: MatchingClient, conn: Connection
) -> None:
    assert "Notifications are delivered at least once, in order for each recipient" in " ".join(
        README.split()
    )
    project = named("PROJECT")
    with client.watch(project) as watch:
        match = client.create_match(project).match
        client.submit_client_decision(match.id, "DECISION_APPROVED")
        advisor = client.as_user(user_id=match.matched_advisor.id, roles=["advisor"])
        advisor.submit_advisor_decision(match.id, "DECISION_APPROVED")
        next(event for event in watch if event.type == "advisor.workspace_ready")
    pending = text("SELECT count(*) FROM notification_outbox WHERE status = 'pending'")
    eventually(lambda: conn.execute(pending).scalar_one() == 0, what="all are delivered")
    rows = conn.execute(text("SELECT type, status, attempt_count FROM notification_outbox")).all()
    assert {row.type for row in rows} >= {"match_offered", "advisor_accepted", "workspace_ready"}
    assert {(row.status, row.attempt_count) for row in rows} == {("sent", 1)}
    in_order = text(
        "SELECT array_agg(type ORDER BY updated_at) = array_agg(type ORDER BY created_at, id)"
        " FROM notification_outbox GROUP BY recipient_id"
    )
    assert set(conn.execute(in_order).scalars()) == {True}


def test_the_lifecycle_is_that_of_the_code() -> None:
    told = {
        Transition(source, ACTIONS[what], target)
        for sources, what, targets in table("from", "what happens", "to")
        for source in statuses(sources)
        for target in statuses(targets)
        if target
    }
    assert told == set(TRANSITIONS)
    picture = README[README.index("## The life of a match") : README.index("| from |")]
    assert set(MatchStatus) <= set(re.findall(r"\w+", picture))


def test_every_command_is_one_of_make() -> None:
    named_targets = set(re.findall(r"`make (\w+)`", README))
    assert {"demo", "run", "test", "check", "help"} <= named_targets
    makefile = (ROOT / "Makefile").read_text()
    for target in named_targets:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_ci_runs_the_test_command() -> None:
    makefile = (ROOT / "Makefile").read_text()
    check = re.search(r"^check: (.*?) ##", makefile, re.MULTILINE)
    assert check is not None
    assert check[1].split()[-1] == "test"
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make check"


def test_it_needs_the_python_that_it_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Each needs Python 3.11 or newer" in README


def test_every_path_and_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    mapped = [path for cell, _ in table("path", "holds") for path in words(cell)]
    assert links
    assert mapped
    for path in [*links, *mapped]:
        assert (ROOT / path).exists(), path
    mentioned = set(re.findall(r"`((?:src|examples|tests|docs|protos|scripts)/[\w./-]*)`", README))
    assert mentioned >= set(mapped)
    for path in mentioned:
        assert (ROOT / path).exists(), path


def test_five_hops_lead_to_the_line_that_claims_an_advisor() -> None:
    hops = re.findall(r"^\d\. `([\w/.]+)`, `(\w+)`", README, re.MULTILINE)
    assert len(hops) == 5
    for (path, name), (next_path, next_name) in pairwise(hops):
        source = (ROOT / path).read_text()
        assert re.search(rf"^ *(def {name}\(|{name} = )", source, re.MULTILINE), (path, name)
        module = "" if next_path == path else f"{Path(next_path).stem}."
        assert f"{module}{next_name}" in source, (path, next_name)
    last, name = hops[-1]
    claim = (ROOT / last).read_text().partition(f'{name} = """')[2].partition('"""')[0]
    assert "SET current_projects = a.current_projects + 1" in claim


def block(language: str) -> str:
    """The README's first code block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found is not None, language
    return found[1]


def named(constant: str) -> str:
    """A constant of the README's Python block."""
    found = re.search(rf'^{constant} = "(.+)"', block("python"), re.MULTILINE)
    assert found is not None, constant
    return found[1]


def table(*headings: str) -> list[list[str]]:
    """The cells of the README's table with these headings."""
    lines = README[README.index(f"| {' | '.join(headings)} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def statuses(cell: str) -> list[MatchStatus | None]:
    """The statuses of a cell; none where the match does not exist yet."""
    return [MatchStatus(word) for word in words(cell)] or [None]


def run(directory: Path, *command: str) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def code_of(client: MatchingClient, service: str, method: Any) -> grpc.StatusCode:
    """How the server answers an empty request of a caller who may everything."""
    stub = getattr(client.stubs, service.removesuffix("Service").lower())
    call = getattr(stub, method.name)
    try:
        answer = call(method.request_type(), timeout=SECONDS)
        if method.kind is Kind.STREAM:
            next(answer)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK
