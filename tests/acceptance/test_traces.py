"""A trace goes on through the service: from the caller through the queue and the outbox to whoever is notified."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from sqlalchemy import Connection

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitClientDecisionRequest,
)
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision
from matching_client import MatchingClient
from matching_server import config, tracing
from matching_server.commands import CannotRun, running
from tests.support.collector import Collector, collector
from tests.support.processes import Servers
from tests.support.receivers import SECRET, WebhookReceiver, webhook_receiver
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import own_world

APPROVED = Decision.DECISION_APPROVED
CREATE = "advisor_matching.v1.MatchService/CreateMatch"
APPROVE = "advisor_matching.v1.DecisionService/SubmitClientDecision"
ACCEPT = "advisor_matching.v1.DecisionService/SubmitAdvisorDecision"


@dataclass
class Caller:
    """Who has a trace of their own, and sends it along."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-01"),)


@pytest.fixture
def spans() -> Iterator[Collector]:
    with collector() as spans:
        yield spans


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def world(
    conn: Connection,
    servers: Servers,
    receiver: WebhookReceiver,
    spans: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """A server that answers calls, a worker that does what they leave to do, and a collector of both."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{spans.address}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with own_world(conn, servers) as world:
        world.start("--no-workers")
        world.start_worker(notify_webhook_url=receiver.url, notify_webhook_secret=SECRET)
        yield world


def create(client: MatchingClient, project: str, caller: Caller) -> Any:
    request = CreateMatchRequest(project_id=project)
    return client.stubs.match.CreateMatch(request, metadata=caller.metadata, timeout=10).match


def test_a_trace_goes_on_from_the_call_through_the_queue_to_the_webhook(
    world: World, spans: Collector, receiver: WebhookReceiver
) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    # The first offer is made step by step, since nobody knows of the advisor yet; the second at once.
    stepwise, creating, approving, accepting = Caller(), Caller(), Caller(), Caller()
    other = world.new_project()
    create(world.client(other), other, stepwise)
    watch = world.client(project).watch(project)
    match = create(world.client(project), project, creating)
    for client, caller, method, request in (
        (world.client(project), approving, "SubmitClientDecision", SubmitClientDecisionRequest),
        (world.advisor(advisor), accepting, "SubmitAdvisorDecision", SubmitAdvisorDecisionRequest),
    ):
        call = getattr(client.stubs.decision, method)
        call(request(match_id=match.id, decision=APPROVED), metadata=caller.metadata, timeout=10)
    world.wait_for_ready(match.id)
    eventually(lambda: len(receiver.taken) == 4, what="all four notifications were posted")
    eventually(lambda: len(spans.named("deliver notification")) == 4, what="all spans came")
    eventually(lambda: len(spans.named("provision workspace")) == 1)
    eventually(lambda: spans.named(ACCEPT))

    assert {span.trace_id for span in spans.named(CREATE)} == {stepwise.trace_id, creating.trace_id}
    [created] = [span for span in spans.named(CREATE) if span.trace_id == creating.trace_id]
    [accepted] = spans.named(ACCEPT)
    assert (created.trace_id, created.parent) == (creating.trace_id, creating.span_id)
    assert (created.kind, created.service, created.failed) == ("SERVER", "advisor-matching", False)
    assert created.attributes["rpc.grpc.status_code"] == "0"
    offers = {span.trace_id: span for span in spans.named("deliver notification", type="match_offered")}
    assert offers.keys() == {stepwise.trace_id, creating.trace_id}
    assert offers[creating.trace_id].parent == created.id

    assert (accepted.trace_id, accepted.parent) == (accepting.trace_id, accepting.span_id)
    [made] = spans.named("provision workspace", match_id=match.id)
    assert (made.trace_id, made.parent) == (accepting.trace_id, accepted.id)
    assert (made.kind, made.attributes["result"], made.failed) == ("CONSUMER", "completed", False)
    [ready] = spans.named("deliver notification", type="workspace_ready")
    assert (ready.trace_id, ready.parent) == (accepting.trace_id, made.id)

    # Step by step, at once, by a decision and by a worker: as listed, and as watched.
    listed = world.client(project).list_project_events(project).events
    with watch:
        seen = [next(watch) for _ in listed]
    [step] = world.client(other).list_project_events(other).events
    assert step.traceparent.split("-")[1] == stepwise.trace_id
    traces = {event.type: event.traceparent for event in listed}
    assert traces["advisor.matched"] == f"00-{creating.trace_id}-{created.id}-01"
    assert traces["advisor.client_approved"].split("-")[1] == approving.trace_id
    assert traces["advisor.finalized"] == f"00-{accepting.trace_id}-{accepted.id}-01"
    assert traces["advisor.workspace_ready"] == f"00-{accepting.trace_id}-{made.id}-01"
    assert [event.traceparent for event in seen] == [event.traceparent for event in listed]

    posted = {post.headers["traceparent"] for post in receiver.taken}
    assert f"00-{creating.trace_id}-{offers[creating.trace_id].id}-01" in posted
    assert f"00-{accepting.trace_id}-{ready.id}-01" in posted


def test_a_refused_call_is_no_failure_of_the_servers_and_a_bad_trace_begins_a_new_one(
    world: World, spans: Collector
) -> None:
    request = CreateMatchRequest(project_id="11111111-2222-4333-8444-555555555555")
    call: Any = world.service().stubs.match.CreateMatch
    with pytest.raises(grpc.RpcError):
        call(request, metadata=[("traceparent", "00-not-a-trace")], timeout=10)
    eventually(lambda: spans.named(CREATE))
    [refused] = spans.named(CREATE)
    assert (refused.parent, refused.failed) == ("", False)
    assert refused.attributes["rpc.grpc.status_code"] == str(grpc.StatusCode.NOT_FOUND.value[0])
    assert refused.attributes["correlation_id"]


def test_what_an_ending_server_has_traced_is_sent(world: World, spans: Collector) -> None:
    project, caller = world.new_project(), Caller()
    create(world.service(), project, caller)
    assert world.servers.all[0].terminate() == 0
    assert [span.trace_id for span in spans.named(CREATE)] == [caller.trace_id]


def test_a_collector_that_is_away_holds_up_neither_calls_nor_the_end(
    conn: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{servers.free_address()}")
    with own_world(conn, servers) as world:
        server = world.start(drain_seconds=5)
        create(world.service(), world.new_project(), Caller())
        assert server.terminate(timeout=5 + 1 + 2) == 0
        assert all(json.loads(line) for line in server.log().splitlines())


def test_nothing_is_traced_and_nothing_stored_unless_asked_for(own: World) -> None:
    own.start()
    own.new_advisor()
    create(own.service(), own.new_project(), Caller())
    assert own.values("SELECT traceparent FROM notification_outbox") == [None]
    imported = "import sys, matching_server.app; sys.exit('opentelemetry.sdk.trace.export' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imported], check=False).returncode == 0


def test_asking_for_traces_without_the_extra_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(CannotRun, match=r"MATCHING_OTEL: traces need .*advisor-matching\[otel\]"):
        running._start_tracing(config.load(otel=True))
    # The variable alone may be meant for others.
    monkeypatch.setenv(tracing.ENDPOINT_VARIABLE, "http://127.0.0.1:4317")
    running._start_tracing(config.load())
    assert not tracing.on()
