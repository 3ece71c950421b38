"""What is shown of an advisor after a write through another server, at the wire, with Redis and without."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import redis

from advisor_matching.v1.types_pb2 import Availability, Match
from matching_server.embedded import EmbeddedServices
from tests.support.at_once import together
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
DECLINED = "DECISION_DECLINED"
OLD_AT_MOST = 2.0


def shown(world: World, advisor: str, server: int) -> Availability:
    return world.service(server=server).get_availability(advisor)


def set_slots(world: World, advisor: str, server: int, slots: int) -> None:
    world.service(server=server).update_availability(advisor, max_concurrent_projects=slots)


def decline_as_client(world: World, match: Match, server: int) -> None:
    world.client(match.project_id, server=server).submit_client_decision(match.id, DECLINED)


def decline_as_advisor(world: World, match: Match, server: int) -> None:
    advisor = world.advisor(match.matched_advisor.id, server=server)
    advisor.submit_advisor_decision(match.id, DECLINED)


def withdraw(world: World, match: Match, server: int) -> None:
    world.service(server=server).update_availability(match.matched_advisor.id, decline_open_offers=True)


ENDS = (decline_as_client, decline_as_advisor, withdraw)
"""Not by expiry, which a sweep may commit that has acknowledged it to nobody yet."""


def test_a_write_through_one_server_is_shown_by_the_other_at_once(world: World, tell: Tell) -> None:
    """While readers fill the cache all the time."""
    advisor, ended, reads = world.new_advisor(), threading.Event(), [0, 0]

    def read_on(server: int) -> None:
        while not ended.is_set():
            shown(world, advisor, server)
            reads[server] += 1

    def write_on() -> None:
        try:
            for number in range(rounds(60)):
                servers = random.sample((0, 1), 2)
                change_and_check(world, advisor, 1 + number % 100, *servers)
        finally:
            ended.set()

    actions: list[Callable[[], None]] = [write_on, partial(read_on, 0), partial(read_on, 1)]
    assert together(actions) == [None] * 3
    tell(f"{3 * rounds(60)} writes, each read at once from the other server; {sum(reads)} reads beside them")


def change_and_check(world: World, advisor: str, slots: int, writer: int, reader: int) -> None:
    set_slots(world, advisor, writer, slots)
    assert shown(world, advisor, reader).max_capacity == slots
    match = world.service(server=writer).create_match(world.new_project()).match
    assert match.matched_advisor.id == advisor
    assert shown(world, advisor, reader).current_capacity == 1
    random.choice(ENDS)(world, match, reader)
    assert shown(world, advisor, writer).current_capacity == 0
    assert shown(world, advisor, reader).current_capacity == 0


def test_what_the_sweep_does_is_shown(world: World, services: EmbeddedServices) -> None:
    """By whichever server's sweep."""
    advisor = world.new_advisor(slots=1)
    match = world.service().create_match(world.new_project(), expires_in=timedelta(seconds=1)).match
    keep_for_good(world, advisor, services.redis_url)
    world.wait_for_status(match.id, "expired")
    eventually(lambda: shown(world, advisor, 1).is_available)


def keep_for_good(world: World, advisor: str, redis_url: str) -> None:
    """What is shown now is kept and does not grow old: only a deletion shows what is new."""

    def kept() -> bool:
        shown(world, advisor, 0)
        return any(client.persist(key) for key in client.scan_iter())

    with redis.Redis.from_url(redis_url) as client:
        eventually(kept)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_with_redis_away_writes_are_shown_at_once_by_their_server_and_in_time_by_the_other(
    mortal: World, own_services: EmbeddedServices, fault: str, tell: Tell
) -> None:
    mortal.start_together(2)
    advisor, numbers = mortal.new_advisor(), itertools.cycle(range(1, 101))
    waited: list[float] = []

    def other_shows(slots: int) -> bool:
        return shown(mortal, advisor, 1).max_capacity == slots

    def write_and_read(times: int) -> None:
        for _ in range(times):
            slots, began = next(numbers), time.monotonic()
            set_slots(mortal, advisor, 0, slots)
            assert shown(mortal, advisor, 0).max_capacity == slots
            waited.append(time.monotonic() - began)
            eventually(partial(other_shows, slots), timeout=OLD_AT_MOST, what="the other server shows it")

    for _ in range(rounds(2)):
        write_and_read(20)
        if fault == "killed":
            own_services.redis.kill()
        else:
            os.kill(own_services.redis.pid, signal.SIGSTOP)
        write_and_read(20)
        if fault == "killed":
            own_services.redis.restart()
        else:
            os.kill(own_services.redis.pid, signal.SIGCONT)
        write_and_read(20)
    assert max(waited) < 3
    tell(f"{len(waited)} writes, the slowest took {max(waited):.2f} s with its read")


def test_what_is_loaded_from_a_file_is_shown_at_once(
    own: World, tmp_path: Path, database_url: str, redis_url: str
) -> None:
    own.start()
    advisor = own.new_advisor()
    file = tmp_path / "directory.json"
    for slots in range(10, 10 + rounds(2)):
        entry = {
            "profile": {"id": advisor, "display_name": "Ada"},
            "availability": {"max_concurrent_projects": slots},
        }
        file.write_text(json.dumps({"advisors": [entry]}))
        keep_for_good(own, advisor, redis_url)
        seed(file, database_url, redis_url)
        assert shown(own, advisor, 0).max_capacity == slots


def seed(file: Path, database_url: str, redis_url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "matching_server.cli", "seed", str(file)],
        env=os.environ | {"MATCHING_DATABASE_URL": database_url, "MATCHING_REDIS_URL": redis_url},
        capture_output=True,
        check=True,
        timeout=30,
    )
