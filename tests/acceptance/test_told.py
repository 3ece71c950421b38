"""What a server tells of what it does: lines that say who, what and why, and never what is nobody's business."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from sqlalchemy import Connection, make_url

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from matching_client import MatchingError
from tests.support.faults import JOB_QUEUED, failing_write
from tests.support.processes import ServerProcess, Servers
from tests.support.receivers import SECRET, WebhookReceiver, webhook_receiver
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import World
from tests.support.worlds import own_world

WORDS = "not-for-the-log-words"
"""Part of whatever people write here: reasons and messages."""
NAME = "Notforthelog Name"


PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
PROMISED = {
    event: set(re.findall(r"`(\w+)`", fields))
    for event, fields in re.findall(
        r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$",
        PAGE[PAGE.index("| event | told of | with |") :].partition("\n\n")[0],
        re.MULTILINE,
    )
}
"""The page's events, and what each has."""


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def world(conn: Connection, servers: Servers, receiver: WebhookReceiver) -> Iterator[World]:
    """A server that shows its metrics, and delivers to a receiver."""
    with own_world(conn, servers) as world:
        world.start(
            notify_webhook_url=receiver.url,
            notify_webhook_secret=SECRET,
            metrics_listen=servers.free_address(),
            sweep_seconds=0.2,
            log_level="debug",
        )
        yield world


def lines(server: ServerProcess, event: str | None = None) -> list[dict[str, Any]]:
    """What a server has logged, or its lines of one event."""
    found = [json.loads(line) for line in server.log(last=100_000).splitlines()]
    return [line for line in found if event in (None, line["event"])]


def told(world: World, event: str, **fields: object) -> list[dict[str, Any]]:
    """The first server's lines of an event that have these values."""
    found = lines(world.servers.all[0], event)
    return [line for line in found if all(line[name] == value for name, value in fields.items())]


def metric(world: World) -> Mapping[str, float]:
    """Every value that the first server shows, by name and labels."""
    [line] = lines(world.servers.all[0], "serving_metrics")
    with urllib.request.urlopen(f"http://{line['address']}/metrics", timeout=5) as answer:
        shown = [line.rpartition(" ") for line in answer.read().decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in shown}


def test_a_match_can_be_followed_through_the_log_from_its_call_to_its_workspace(
    world: World, receiver: WebhookReceiver
) -> None:
    advisor, other, project = world.new_advisor(), world.new_advisor(), world.new_project()
    owner = str(world.value("SELECT owner_id FROM projects"))
    client = world.client(project)
    match = client.create_match(project, correlation_id="creating").match
    chosen, left = match.matched_advisor.id, ({advisor, other} - {match.matched_advisor.id}).pop()
    client.submit_client_decision(match.id, "DECISION_APPROVED", correlation_id="approving")
    world.advisor(chosen).submit_advisor_decision(match.id, "DECISION_APPROVED", correlation_id="accepting")
    world.wait_for_ready(match.id)
    eventually(lambda: len(receiver.taken) == 3, what="everybody has heard")
    eventually(lambda: len(told(world, "notification_delivery")) == 3)

    [selection] = told(world, "selection")
    assert (selection["match_id"], selection["project_id"]) == (match.id, project)
    assert (selection["algorithm"], selection["pool_size"]) == ("simple_availability", 2)
    assert (selection["candidates"], selection["exclusions"]) == (2, {})
    assert (selection["advisor_id"], selection["runner_up_id"]) == (chosen, left)
    assert selection["correlation_id"] == "creating"

    steps = [
        (line["previous_status"], line["status"], line["actor_id"], line["correlation_id"])
        for line in told(world, "transition", match_id=match.id)
    ]
    assert steps == [
        (None, "matched", owner, "creating"),
        ("matched", "client_approved", owner, "approving"),
        ("client_approved", "advisor_accepted", chosen, "accepting"),
        ("client_approved", "finalized", chosen, "accepting"),
    ]
    [attempt] = told(world, "provisioning_attempt", match_id=match.id)
    assert (attempt["result"], attempt["correlation_id"]) == ("completed", "accepting")
    deliveries = [(line["type"], line["correlation_id"]) for line in told(world, "notification_delivery")]
    assert ("match_offered", "creating") in deliveries
    assert ("workspace_ready", "accepting") in deliveries
    [call] = told(world, "call", correlation_id="creating")
    assert call.keys() >= {"method", "caller", "code", "reason", "duration_ms", "timestamp", "level"}
    assert (call["caller"], call["code"], call["method"].rpartition("/")[2]) == (owner, "OK", "CreateMatch")


def test_what_did_not_commit_is_not_told(world: World) -> None:
    _, advisor, match = world.matched()
    server = world.servers.all[0]
    with failing_write(world.conn, JOB_QUEUED), pytest.raises(MatchingError):
        world.admin().assign_advisor(
            world.new_project(), advisor, assignment_type="ASSIGNMENT_TYPE_EMERGENCY"
        )
    refused = len(lines(server, "transition")), len(lines(server, "selection"))
    assert refused == (1, 1), "those of the match, whose call was answered"
    assert told(world, "transition", match_id=match.id)


def test_a_match_that_waited_is_told_of_with_why(world: World) -> None:
    advisor = world.new_advisor(status="busy")
    project = world.new_project()
    match = world.client(project).create_match(project).match
    [pending] = told(world, "transition", match_id=match.id)
    assert (pending["status"], pending["reason"]) == ("pending", "all_advisors_busy")
    world.advisor(advisor).update_availability(status="AVAILABILITY_STATUS_AVAILABLE")
    world.wait_for_status(match.id, "matched")
    steps = partial(told, world, "transition", match_id=match.id)
    eventually(lambda: len(steps()) == 2, what="the step is told, after the choice")
    [_, served] = steps()
    assert (served["previous_status"], served["status"], served["actor_id"]) == ("pending", "matched", None)
    [selection] = told(world, "selection", match_id=match.id)
    # Of the step of the background that did it.
    assert re.fullmatch(r"[0-9a-f]{32}", served["correlation_id"])
    assert selection["correlation_id"] == served["correlation_id"]


def test_metrics_tell_of_calls_streams_matches_and_the_pool(world: World) -> None:
    world.new_advisor(slots=5, status="offline")
    project, advisor, match = world.matched()
    with pytest.raises(MatchingError):
        world.client(project).get_match("11111111-2222-4333-8444-555555555555")
    with watching(world.client(project), project, from_start=True) as watch:
        next(watch)
        shown = metric(world)
        assert shown["matching_streams_open"] == 1
        assert shown["matching_stream_messages_sent_total"] >= 1
    world.client(project).submit_client_decision(match.id, "DECISION_DECLINED")
    eventually(lambda: metric(world)["matching_streams_open"] == 0)
    eventually(lambda: metric(world)["matching_redis_subscribed"] == 1)
    eventually(lambda: metric(world)["matching_free_slots"] == 3, what="the advisor is free again")
    shown = metric(world)
    assert shown['matching_calls_total{code="OK",method="CreateMatch"}'] == 1
    assert shown['matching_calls_total{code="NOT_FOUND",method="GetMatch"}'] == 1
    assert shown['matching_calls_total{code="CANCELLED",method="WatchProjectEvents"}'] == 1
    assert shown['matching_refusals_total{reason="MATCH_NOT_FOUND"}'] == 1
    assert shown['matching_call_seconds_count{method="CreateMatch"}'] == 1
    assert 'matching_call_seconds_count{method="WatchProjectEvents"}' not in shown
    assert (shown["matching_calls_running"], shown["matching_calls_waiting"]) == (0, 0)
    assert shown['matching_database_connections_limit{pool="server"}'] == 8
    assert 0 <= shown['matching_database_connections{pool="background"}'] <= 12
    assert shown['matching_matches_created_total{status="matched"}'] == 1
    assert shown['matching_selections_total{algorithm="simple_availability"}'] == 1
    assert shown['matching_transitions_total{status="client_declined"}'] == 1
    assert (shown['matching_advisors{state="free"}'], shown['matching_advisors{state="offline"}']) == (1, 1)
    assert shown["matching_healthy"] == 1
    assert advisor


def test_nothing_that_a_busy_server_writes_holds_a_secret_a_claim_or_what_people_wrote(
    world: World, receiver: WebhookReceiver, database_url: str
) -> None:
    password = make_url(database_url).password
    assert password
    world.new_admin()
    receiver.answer = lambda post: 204 if len(receiver.arrived) % 3 else 500
    _bustle(world)
    eventually(lambda: told(world, "notification_delivery", result="failed"), what="a delivery failed")
    eventually(lambda: told(world, "provisioning_attempt"), what="a workspace was tried")
    server = world.servers.all[0]
    secret = server.endpoint.secret
    assert server.terminate() == 0
    log = server.log(last=1_000_000)
    events = {line["event"] for line in lines(server)}
    assert events >= {"swept", "serving", "stopped", *PROMISED}
    assert PROMISED
    for event, fields in PROMISED.items():
        assert all(line.keys() >= fields | {"level", "timestamp"} for line in lines(server, event)), event
    forbidden = {
        "the key": secret,
        "the webhook's secret": SECRET.removeprefix("whsec_"),
        "the webhook's address": receiver.url,
        "the database's password": str(password),
        "an address": "@example.com",
        "what somebody wrote": WORDS,
        "a name": NAME,
    }
    assert [what for what, text in forbidden.items() if text in log] == []
    assert not re.search(r'\\?"(email|roles|user_id|exp)\\?"\s*:', log), "claims"
    claims = base64.b64encode(b'{"').decode().rstrip("=")[:3]
    assert not [word for word in re.findall(r"[A-Za-z0-9+/_-]{40,}", log) if word.startswith(claims)]


def _bustle(world: World) -> None:
    """Every flow that has something to give away."""
    for _ in range(3):
        world.new_advisor(display_name=NAME)
    declined, project, assigned = world.new_project(), world.new_project(), world.new_project()
    client = world.client(declined)
    match = client.create_match(declined).match
    client.submit_client_decision(match.id, "DECISION_DECLINED", reason=WORDS)
    match = world.client(project).create_match(project).match
    world.client(project).submit_client_decision(match.id, "DECISION_APPROVED", reason=WORDS)
    advisor = match.matched_advisor.id
    world.advisor(advisor).submit_advisor_decision(match.id, "DECISION_APPROVED", reason=WORDS)
    world.wait_for_ready(match.id)
    with watching(world.client(project), project, from_start=True) as watch:
        world.client(project).send_message(project, f"{WORDS}, said the client")
        while next(watch).type != "message.new":
            pass
    world.admin().assign_advisor(assigned, advisor, reason=WORDS)
    world.admin().release_advisor(assigned, advisor, reason=WORDS)
    world.admin().release_advisor(project, advisor, reason=WORDS)
    late = world.new_project()
    late_match = world.client(late).create_match(late).match
    world.execute(
        "UPDATE advisor_match_requests SET expires_at = clock_timestamp() WHERE id = :id", id=late_match.id
    )
    world.wait_for_status(late_match.id, "expired")
    eventually(lambda: told(world, "swept"), what="the sweep is told")
    for refused in (
        lambda: world.client(project).send_message(project, WORDS * 1_000),
        lambda: world.advisor(advisor).create_match(project),
        lambda: world.service().create_match(WORDS),
        lambda: world.client(project).submit_client_decision(match.id, "DECISION_DECLINED", reason=WORDS),
    ):
        with suppress(MatchingError):
            refused()
    _call_with_bad_claims(world)


def _call_with_bad_claims(world: World) -> None:
    claims = base64.b64encode(json.dumps({"user_id": str(UUID(int=1)), "email": WORDS}).encode()).decode()
    metadata = [
        ("x-sheen-claims", claims),
        ("x-sheen-signature", f"v1:{WORDS}"),
        ("x-key-id", WORDS),
        ("x-correlation-id", "bad id"),
    ]
    with world.channel() as channel:
        call: Any = channel.unary_unary("/advisor_matching.v1.MatchService/CreateMatch")
        for body in (b"\xff\xff", CreateMatchRequest(project_id=WORDS).SerializeToString()):
            with pytest.raises(grpc.RpcError):
                call(body, metadata=metadata, timeout=5)
