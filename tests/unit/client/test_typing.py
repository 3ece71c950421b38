"""What a caller's own `mypy --strict` says, with the package importable as installed, beside types-protobuf and
types-grpcio.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import grpc
import pytest

import advisor_matching
import matching_client

GOOD = """
from datetime import timedelta
from typing import Any

from advisor_matching.v1.types_pb2 import Decision, Match, MatchCriteria, ProjectEvent
from matching_client import AsyncMatchingClient, AsyncRenewingClaims, Claims, DuplicateMatchRequest
from matching_client import MatchingClient, MatchingError, RenewingClaims, Tls


def who() -> Claims:
    return Claims("u", roles=["client"])


async def later() -> Claims:
    return who()


def sync(project: str) -> str:
    with MatchingClient.from_env(claims=RenewingClaims(who), tls=Tls(ca="ca.pem"), timeout=5.0) as client:
        try:
            criteria = MatchCriteria(exclude_advisor_ids=["a"])
            created = client.create_match(project, criteria=criteria, expires_in=timedelta(hours=1))
            match: Match = created.match
            client.submit_client_decision(match.id, "approved", etag=match.etag, timeout=1.0)
            client.submit_client_decision(match.id, Decision.DECISION_DECLINED)
        except DuplicateMatchRequest as error:
            return error.match_id
        except MatchingError as error:
            return f"{error.code.name} {error.reason} {error.correlation_id} {error.retry_after or 0.0:g}"
        ids: list[str] = [row.id for row in client.iter_project_matches(project, statuses=["pending"])]
        with client.watch(project, types=["message.new"]) as watch:
            event: ProjectEvent = next(watch)
            return event.message.text + watch.last_event_id + "".join(ids)


async def awaited(project: str) -> str:
    async with AsyncMatchingClient("a:1", key_id="k", secret="s", claims=later, tls=True) as client:
        match: Match = (await client.create_match(project)).match
        rows = [row.matched_advisor.display_name async for row in client.iter_project_matches(project)]
        async with await client.watch(project) as watch:
            async for event in watch:
                rows.append(event.match.match_id)
        other: AsyncMatchingClient = client.as_user(claims=AsyncRenewingClaims(later))
        await other.close()
        return match.id + "".join(rows)
"""
BAD = """
from matching_client import AsyncMatchingClient, Claims, DuplicateMatchRequest, MatchingClient, MatchingError


async def later() -> Claims:
    return Claims("u")


def sync() -> None:
    with MatchingClient.from_env(user_id="u", rolls=["client"]) as client:
        try:
            print(client.get_match("m").stattus)
            client.get_match(match_id=3)
            client.submit_client_decision("m", "approved", raeson="x")
            client.create_match("p", timeout="soon")
        except DuplicateMatchRequest as error:
            print(error.matchid)
        except MatchingError as error:
            print(error.reson)
            print(error.code.nmae)
        for event in client.watch("p"):
            print(event.match.matchid)
        client.as_user(claims=later)


async def awaited() -> None:
    async with AsyncMatchingClient("a:1", key_id="k", secret="s", user_id="u") as client:
        print(client.get_match("m").id)
        print((await client.get_match("m")).stattus)
        for row in client.iter_advisors():
            print(row)
        await client.stubs.match.GetMatch("m")
        await client.list_project_matches("p", statuses=[None])
"""
FAULTS = {
    "rolls": ('Unexpected keyword argument "rolls"', "call-arg"),
    'get_match("m").stattus': ('"Match" has no attribute "stattus"; maybe "status"?', "attr-defined"),
    "match_id=3": ('incompatible type "int"; expected "str"', "arg-type"),
    "raeson": ('Unexpected keyword argument "raeson"', "call-arg"),
    '"soon"': ('"timeout" to "create_match"', "arg-type"),
    "error.matchid": ('"DuplicateMatchRequest" has no attribute "matchid"', "attr-defined"),
    "error.reson": ('"MatchingError" has no attribute "reson"; maybe "reason"?', "attr-defined"),
    "code.nmae": ('"StatusCode" has no attribute "nmae"', "attr-defined"),
    "event.match.matchid": ('"MatchEvent" has no attribute "matchid"', "attr-defined"),
    "claims=later": ("Callable[[], Coroutine[Any, Any, Claims]]", "arg-type"),
    'print(client.get_match("m").id)': ('"Coroutine[Any, Any, Match]" has no attribute "id"', "attr-defined"),
    '("m")).stattus': ('"Match" has no attribute "stattus"', "attr-defined"),
    "for row in": ('"AsyncIterator[Advisor]" has no attribute "__iter__"', "attr-defined"),
    'GetMatch("m")': ('incompatible type "str"; expected "GetMatchRequest"', "arg-type"),
    "[None]": ('has incompatible type "None"', "list-item"),
}
"""The line that has it: what is said of it."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of both programs."""
    directory = tmp_path_factory.mktemp("caller")
    venv.create(directory / "environment", with_pip=False)
    roots = {
        str(Path(str(module.__file__)).parents[1]) for module in (matching_client, advisor_matching, grpc)
    }
    [packages] = (directory / "environment").glob("lib/python*/site-packages")
    (packages / "installed.pth").write_text("\n".join(roots))
    (directory / "good.py").write_text(GOOD)
    (directory / "bad.py").write_text(BAD)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "--no-pretty"]
    python = directory / "environment" / "bin" / "python"
    command += ["--no-error-summary", "--hide-error-context", "--python-executable", str(python)]
    checked = subprocess.run(
        [*command, "good.py", "bad.py"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert checked.stderr == ""
    return [line for line in checked.stdout.splitlines() if ": note: " not in line]


def test_a_program_without_faults_passes(said: list[str]) -> None:
    assert [line for line in said if line.startswith("good.py")] == []


def test_each_fault_of_a_program_is_found_and_nothing_else_is(said: list[str]) -> None:
    lines = BAD.splitlines()
    found = {}
    for line in said:
        _, number, message = line.split(":", 2)
        [fault] = [fault for fault in FAULTS if fault in lines[int(number) - 1]]
        text, code = FAULTS[fault]
        assert text in message
        assert f"[{code}]" in message
        found[fault] = number
    assert found.keys() == FAULTS.keys()
