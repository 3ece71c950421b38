"""A database that cannot write, its disk full or itself read-only: an error, and never an acknowledgement."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, CreateMatchResponse
from matching_client import Claims, DatabaseError
from matching_client.catalog import find_method, path_of
from matching_server.embedded import EmbeddedServices
from tests.robustness.conftest import Tell
from tests.support.at_once import together
from tests.support.load import Load
from tests.support.raw import sign
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import SERVICE, World

FULL = Path("/dev/full")
"""Every write to it fails as on a full disk (ENOSPC), and it reads as an empty file."""
WRITTEN = (
    "advisor_match_requests",
    "project_event_heads",
    "project_events",
    "notification_outbox",
    "used_nonces",
)
"""The tables to which an offer adds rows."""
SETTINGS: dict[str, Any] = {
    "sweep_seconds": 0.2,
    "provision_lease_seconds": 1,
    "provision_backoff_seconds": 0.05,
}


@contextmanager
def full(world: World, services: EmbeddedServices, table: str) -> Iterator[None]:
    """No room for the table's first page, for servers that start within the block. It has to be empty."""
    world.execute(f"TRUNCATE {table} CASCADE")
    named = world.value("SELECT pg_relation_filepath(CAST(:table AS regclass))", table=table)
    file = services.postgres.working_directory / str(named)
    assert file.stat().st_size == 0
    file.unlink()
    file.symlink_to(FULL)
    yield
    # Its next file is where there is room; it is a new one also to those who had opened the old one.
    truncate = f"SET lock_timeout = '100ms'; TRUNCATE {table} CASCADE; SET lock_timeout = 0"
    eventually(lambda: world.done_at_once(truncate), what="there is room")
    assert not file.is_file() or file.stat().st_size == 0


def ask(world: World, project: str, request_id: str) -> str:
    """One attempt, as a client signs it anew: the match's id."""
    path = path_of(find_method("MatchService/CreateMatch"))
    request = CreateMatchRequest(project_id=project, request_id=request_id)
    call = sign(world.servers.all[0].endpoint, Claims(str(SERVICE), roles=["service"]), path, request)
    with world.channel() as channel:
        return CreateMatchResponse.FromString(call.send(channel)).match.id


def assert_refused(error: object) -> None:
    assert isinstance(error, DatabaseError), error
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.retry_after is not None
    assert error.message == "storage is not available; try again"


def test_on_a_full_disk_nothing_is_acknowledged_and_with_room_again_everything_is_done(
    mortal: World, own_services: EmbeddedServices, tell: Tell
) -> None:
    server = mortal.start(**SETTINGS)
    server.terminate()
    refused = 0
    for table in WRITTEN:
        mortal.empty()
        advisor, asked = (
            mortal.new_advisor(slots=100),
            {mortal.new_project(): str(uuid.uuid4()) for _ in range(8)},
        )
        with full(mortal, own_services, table):
            server.start()
            for _ in range(rounds(1)):
                for told in together([partial(ask, mortal, *one) for one in asked.items()]):
                    assert_refused(told)
                    refused += 1
            assert mortal.statuses() == {}
            assert mortal.load(advisor) == 0
            assert mortal.value("SELECT count(*) FROM project_events") == 0
            assert mortal.service().get_advisor(advisor).id == advisor
        made = together([partial(ask, mortal, *one) for one in asked.items()])
        assert set(made) == set(mortal.values("SELECT id::text FROM advisor_match_requests"))
        assert mortal.statuses() == {"matched": 8}
        assert mortal.load(advisor) == 8
        assert "internal error" not in server.log()
        server.terminate()
    tell(f"{refused} calls refused, {len(WRITTEN)} tables")


def read_only(world: World, state: str) -> None:
    """For every transaction that begins from now on, in whichever session."""
    world.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
    world.execute("SELECT pg_reload_conf()")


def test_a_read_only_postgres_is_told_as_unavailable_and_goes_on_being_read(
    mortal: World, tell: Tell
) -> None:
    mortal.start_together(2, **SETTINGS)
    times = rounds(2, full=20)
    with Load(mortal, servers=2) as load:
        for _ in range(times):
            load.wait_for_progress()
            refused = len(load.refusals)
            read_only(mortal, "on")
            eventually(lambda: len(load.refusals) > refused, timeout=15, what="calls are refused")  # noqa: B023
            for match in load.acknowledged.created[-3:]:
                assert mortal.service().get_match(match).id == match
            read_only(mortal, "off")
            load.wait_for_progress(20)
    load.assert_kept()
    assert load.codes == {"UNAVAILABLE DATABASE_ERROR"}
    for _, error in load.refusals:
        assert_refused(error)
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    tell(f"{times} times, {load.count} calls, {len(load.refusals)} refused")
