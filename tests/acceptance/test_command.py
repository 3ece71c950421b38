"""The command ``matching`` against a real server, as a person at a prompt uses it: with no setting at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.command import matching, ok
from tests.support.world import World

PATIENCE = 30.0


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    return [()]


@pytest.fixture(autouse=True)
def _here_the_server_has_been_started(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder where the server's connection.json lies, and nothing in the environment."""
    for name in [name for name in os.environ if name.startswith("MATCHING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    endpoint = world.servers.all[0].endpoint
    values = {"address": endpoint.address, "key_id": endpoint.key_id, "secret": endpoint.secret}
    Path(".matching").mkdir()
    Path(".matching/connection.json").write_text(json.dumps(values))


def process(*arguments: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    command = [str(Path(sys.executable).with_name("matching")), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_match_lives_its_whole_life_at_the_prompt(world: World) -> None:
    owner, advisor = str(uuid4()), str(uuid4())
    ok("advisors", "add", advisor, "--name", "Ada", "--framework", "vue", "--timezone", "UTC")
    Path("package.json").write_text('{"dependencies": {"vue": "3", "stripe": "1"}}')
    project = ok("projects", "add", "--from", ".", "--owner-id", owner, "--json").json["id"]
    assert ok("projects", "get", project, "--json").json["technologyStack"] == {
        "framework": "vue",
        "languages": ["javascript"],
        "complexityFactors": ["payments"],
    }
    assert "Ada" in ok("admin", "simulate", project).out

    created = ok("matches", "create", project, "--expires-in", "1h", "--json").json["match"]
    assert created["matchedAdvisor"]["id"] == advisor
    match, etag = created["id"], created["etag"]
    assert "client_approved" in ok("decide", "client", match, "approved", "--etag", etag).out
    done = ok("decide", "advisor", match, "approved", "--reason", "with pleasure")
    assert "finalized" in done.out
    assert advisor in done.err
    world.wait_for_ready(match)

    seen = ok("watch", project, "--from-start", "--until", "advisor.workspace_ready", "--json")
    assert [line["type"] for line in seen.lines][-1] == "advisor.workspace_ready"
    last = seen.lines[-1]["id"]
    ok("chat", "send", project, "hello", "--user-id", owner)
    [told] = ok("watch", project, "--since", last, "--until", "message.new", "--json").lines
    assert told["message"]["text"] == "hello"
    assert len(ok("events", "list", project, "--all", "--json").lines) == len(seen.lines) + 1
    assert "hello" in ok("chat", "list", project, "--order", "oldest_first").out
    assert "ready" in ok("matches", "list", project, "--status", "finalized").out

    assert "byte for byte" in ok("admin", "explain", match).out
    assert "1 of 3" in ok("availability", "get", advisor).out
    assert ok("admin", "provisioning", "stats", "--json").json["successRate"] == 1.0
    assert ok("admin", "provisioning", "jobs", "--status", "completed", "--json").json["jobs"]
    assert ok("admin", "release", project, advisor, "--json").json == {"released": True}
    assert "0 of 3" in ok("availability", "set", advisor, "--status", "busy").out
    assert ok("admin", "pool", "--json").json["statusBreakdown"] == {"busy": 1}
    ok("admin", "audit")


def test_an_advisor_claims_what_waits(world: World) -> None:
    advisor, project = world.new_advisor(status="offline"), world.new_project()
    match = ok("matches", "create", project, "--json").json["match"]["id"]
    assert match in ok("matches", "claimable", "--user-id", advisor).out
    assert "advisor_accepted" in ok("matches", "claim", match, "--user-id", advisor).out


def test_rules_are_added_listed_and_deleted(world: World) -> None:
    advisor = world.new_advisor()
    rule = ok("admin", "rules", "add", advisor, "exclude", "--until", "2099-01-01", "--json").json["id"]
    assert rule in ok("admin", "rules", "list").out
    ok("admin", "rules", "delete", rule)
    assert ok("admin", "rules", "list").out == "no rules\n"


def test_each_kind_of_failure_has_its_exit_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    project, advisor, match = world.matched()
    nobody = str(uuid4())

    def fails(*arguments: str) -> tuple[int, str]:
        done = matching(*arguments)
        assert (done.out, done.err.count("\n")) == ("", 1)
        return done.code, done.err

    code, told = fails("matches", "create", project, "--expires-in", "999h")
    assert (code, "expires_in" in told) == (2, True)
    code, told = fails("matches", "get", nobody)
    assert (code, "MATCH_NOT_FOUND" in told, "correlation id" in told) == (3, True, True)
    code, told = fails("admin", "pool", "--user-id", advisor)
    assert (code, "--roles" in told) == (4, True)
    code, told = fails("matches", "create", project, "--fail-if-open")
    assert (code, f"matching matches get {match.id}" in told) == (5, True)
    owner = world.value("SELECT owner_id FROM projects WHERE id = :project", project=project)
    code, told = fails("decide", "client", match.id, "approved", "--etag", "old", "--user-id", str(owner))
    assert (code, "ETAG_MISMATCH" in told) == (5, True)
    code, told = fails("info", "--address", "127.0.0.1:1", "--timeout", "0.3")
    assert (code, "127.0.0.1:1" in told) == (6, True)
    monkeypatch.setenv("MATCHING_KEY_ID", "test")
    monkeypatch.setenv("MATCHING_SECRET", "another-secret-of-more-than-thirty-two-bytes")
    code, told = fails("matches", "get", match.id)
    assert (code, "secret" in told) == (4, True)


def test_ctrl_c_ends_a_watch_in_peace(world: World) -> None:
    project, *_ = world.matched()
    with process("watch", project, "--from-start") as watching:
        assert watching.stdout is not None
        assert "what happened" in watching.stdout.readline()
        assert "advisor.matched" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, out) == (0, "")
    last = err.split("--since ")[1].strip()
    assert last == ok("events", "list", project, "--json").json["lastEventId"]


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(world: World) -> None:
    project, *_ = world.matched()
    for _ in range(5):
        ok("chat", "send", project, "many words " * 900, "--as", "system")
    with process("chat", "list", project, "--page-size", "1", "--all", "--json") as listing:
        assert listing.stdout is not None
        assert listing.stdout.readline().startswith("{")
        listing.stdout.close()
        assert listing.stderr is not None
        assert (listing.stderr.read(), listing.wait(PATIENCE)) == ("", 0)


def test_without_a_server_s_file_the_settings_that_are_missing_are_said() -> None:
    Path(".matching/connection.json").unlink()
    done = matching("info")
    assert (done.code, "MATCHING_ADDRESS" in done.err) == (2, True)
