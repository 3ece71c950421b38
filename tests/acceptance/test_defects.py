"""Defects of the service: what a caller learns of them, what the log has, and what it never has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import grpc
import pytest

from advisor_matching.v1.chat_service_pb2 import ListMessagesRequest, SendMessageRequest
from advisor_matching.v1.event_service_pb2 import ListProjectEventsRequest
from tests.support.refusals import ASKED, SECRET, owner, refused, trap, trapped
from tests.support.world import World


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """One server."""
    return [()]


def renamed(world: World) -> Any:
    """A table is not there: somebody migrated by hand."""
    world.execute("ALTER TABLE unified_chat_messages RENAME TO mislaid")
    try:
        return refused(world, "ChatService/ListMessages", ListMessagesRequest(project_id=world.new_project()))
    finally:
        world.execute("ALTER TABLE mislaid RENAME TO unified_chat_messages")


def corrupt(world: World) -> Any:
    """What is stored is nothing that the service would have written."""
    project, _, _ = world.matched()
    world.execute(
        """UPDATE project_events SET payload = '{"match_id": "hunter2"}', type = 'advisor.hunter2'"""
    )
    try:
        request = ListProjectEventsRequest(project_id=project)
        return refused(world, "EventService/ListProjectEvents", request)
    finally:
        world.empty()


@pytest.mark.parametrize(
    ("provoke", "logged"), [(trapped, SECRET), (renamed, "unified_chat_messages"), (corrupt, SECRET)]
)
def test_of_a_defect_a_caller_learns_the_correlation_id_and_the_log_the_rest(
    world: World, provoke: Callable[[World], Any], logged: str
) -> None:
    [server] = world.servers.all
    before = len(server.log(last=100_000))
    error = provoke(world)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error"
    sent = repr([error.details(), error.trailing_metadata(), error.initial_metadata()])
    for word in (logged, "SELECT", "INSERT", "Traceback", "psycopg", "ZZ999", "matching_server", ".py"):
        assert word not in sent
    lines = [json.loads(line) for line in server.log(last=100_000)[before:].splitlines() if line]
    [line] = [line for line in lines if line["event"] == "internal error"]
    assert line["correlation_id"] == ASKED
    assert line["exception"].startswith("Traceback")
    assert logged in line["exception"]
    assert world.admin().get_pool_status().total_advisors >= 0


def test_a_defect_is_logged_without_what_people_have_written(world: World) -> None:
    [server] = world.servers.all
    project = world.new_project()
    with trap(world, "unified_chat_messages"):
        request = SendMessageRequest(project_id=project, text="between ourselves", client_msg_id=str(uuid4()))
        error = refused(world, "ChatService/SendMessage", request, owner(world, project))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "the password is" in server.log()
    assert "between ourselves" not in server.log(last=100_000)


def test_the_log_tells_neither_secrets_nor_addresses_nor_what_was_said(world: World) -> None:
    [server] = world.servers.all
    project, advisor, match = world.finalized()
    world.wait_for_ready(match.id)
    world.client(project).send_message(project, "between ourselves")
    world.advisor(advisor).list_messages(project)
    refused(world, "MatchService/GetMatch", b"\xff between ourselves")
    log = server.log(last=100_000)
    assert advisor in log
    for word in (server.endpoint.secret, "sig=", "@example.com", "between ourselves", "x-sheen-claims"):
        assert word not in log
