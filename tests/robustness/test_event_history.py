"""Watchers who come, go, sleep and come back while servers and Redis die: what each was told agrees with the log."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from threading import Event
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr

from advisor_matching.v1.chat_service_pb2 import SendMessageRequest
from advisor_matching.v1.decision_service_pb2 import SubmitClientDecisionRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision
from matching_client import MatchingClient
from matching_client.status_details import from_rpc_error
from matching_server.backend import Backend
from matching_server.config import Settings
from matching_server.domain.calls import Call
from matching_server.domain.errors import TransactionConflict
from matching_server.domain.model import Caller, Role
from matching_server.embedded import EmbeddedRedis, EmbeddedServices
from matching_server.operations import chat
from matching_server.operations.commands import SendMessage
from matching_server.operations.runner import Runner
from tests.support.databases import connected
from tests.support.history import History
from tests.support.on_loop import on_loop
from tests.support.processes import ServerProcess
from tests.support.redis_faults import FAULTS
from tests.support.rounds import SCALE, new_seed, rounds
from tests.support.wait import eventually
from tests.support.watch_history import judge, read_log
from tests.support.watchers import ClientWatcher, Habits, RawWatcher
from tests.support.world import World

Tell = Callable[[str], None]
SERVERS, PROJECTS, WRITERS, REPLICAS = 3, 3, 4, 2
BURST, BURST_SIZE = 2_000, 8_000
"""Events that come at once, and the characters of each. For who does not read, some 4 MB wait at the wire, and 1,000
events before it: more than that, and the stream is cut.
"""
BURST_SECONDS, NAP_SECONDS = 4.0, 4.0
QUIET_SECONDS = 4.0
"""Longer than the silence before a heartbeat, which is 1 s here."""
CALL_SECONDS = 1.0
CATCH_UP_SECONDS = 30.0
SHOWN = 3
"""Violations of each kind that a failure lists."""
ROAMS = Habits()
VANISHES = Habits(stays=1.5, away=3.0)
FILTERS = Habits(types=["advisor.match_declined"])
SLEEPS = Habits(stays=5.0, naps=NAP_SECONDS)
FROM_START = Habits(from_start=True)
LINGERS = Habits(stays=8.0)


class Crowd:
    """Everybody who watches, by project. Each is another user."""

    def __init__(self, world: World, seed: int) -> None:
        self.of: dict[str, list[RawWatcher | ClientWatcher]] = {}
        self._world, self._seed = world, seed
        self._clients = ExitStack()

    def roams(self, project: str, habits: Habits) -> None:
        """One more, by bare streams to whichever server."""
        name = f"watcher {len(self.of.get(project, [])) + 1} of {project}"
        user, dice = uuid.uuid4(), Random(f"{self._seed}/{name}")
        clients = [self._world.caller(user, "service", server=server) for server in range(SERVERS)]
        self._add(project, RawWatcher(name, project, clients, habits, dice))

    def stays(self, project: str, habits: Habits, *, server: int) -> None:
        """Two more, with the watches of the two clients."""
        for kind, connect in (("client", MatchingClient), ("async client", on_loop)):
            name = f"{kind} at server {server + 1} of {project}"
            end = self._world.servers.all[server].endpoint
            client = self._clients.enter_context(
                connect(
                    end.address,
                    key_id=end.key_id,
                    secret=end.secret,
                    user_id=str(uuid.uuid4()),
                    roles=["service"],
                    channel_options=[("grpc.max_reconnect_backoff_ms", 200)],
                )
            )
            self._add(project, ClientWatcher(name, project, client, habits))

    def hurry(self) -> None:
        """Nobody sleeps or leaves any more."""
        for watcher in self.everybody:
            watcher.hurry()

    def stop(self) -> None:
        """All go home."""
        with self._clients:
            for watcher in self.everybody:
                watcher.stop()

    @property
    def everybody(self) -> list[RawWatcher | ClientWatcher]:
        """All of them."""
        return [watcher for watchers in self.of.values() for watcher in watchers]

    def ends(self) -> Counter[str]:
        """How often connections ended how."""
        histories = (watcher.history for watcher in self.everybody if isinstance(watcher, RawWatcher))
        return Counter(connection.end for history in histories for connection in history.connections)

    def _add(self, project: str, watcher: RawWatcher | ClientWatcher) -> None:
        self.of.setdefault(project, []).append(watcher)


@contextmanager
def replica(services: EmbeddedServices) -> Iterator[Runner]:
    """A part of the service that answers no calls, in this process: what it does becomes known by the log and Redis."""
    settings = Settings(
        database_url=SecretStr(services.database_url), redis_url=SecretStr(services.redis_url)
    )
    backend = Backend(
        settings, workers=False, show=lambda _: None, look_at=lambda _: None, look_at_streams=lambda: None
    )
    backend.start()
    try:
        yield backend.runner
    finally:
        backend.stop()


class Written:
    """Those who write: how much was acknowledged to them."""

    def __init__(self, world: World, projects: list[str], seed: int) -> None:
        self.count = 0
        self.stopped = Event()
        self._world, self._projects, self._seed = world, projects, seed

    def write_within(self, runner: Runner, number: int) -> None:
        """One writer's words, without a server between."""
        dice = Random(f"{self._seed}/replica {number}")
        caller = Caller(uuid.uuid4(), "writer@example.com", frozenset({Role.SERVICE}))
        while not self.stopped.is_set():
            call = Call(caller, correlation_id=f"replica-{number}")
            words = SendMessage(UUID(dice.choice(self._projects)), "x" * dice.randint(1, 500), uuid.uuid4())
            # A frozen server can hold a project's head for longer than anybody waits.
            with suppress(TransactionConflict):
                chat.send_message(runner, call, words)
                self.count += 1

    def write(self, number: int) -> None:
        """One writer's calls to whichever server: mostly words, at times a match and its refusal."""
        dice = Random(f"{self._seed}/writer {number}")
        clients = [self._world.service(server=server).stubs for server in range(SERVERS)]
        while not self.stopped.is_set():
            project, stubs = dice.choice(self._projects), dice.choice(clients)
            try:
                if dice.random() < 0.9:
                    request = SendMessageRequest(
                        project_id=project, text="x" * dice.randint(1, 500), client_msg_id=str(uuid.uuid4())
                    )
                    stubs.chat.SendMessage(request, timeout=CALL_SECONDS)
                else:
                    asked = CreateMatchRequest(project_id=project, allow_previous=True)
                    match = stubs.match.CreateMatch(asked, timeout=CALL_SECONDS).match
                    declined = SubmitClientDecisionRequest(
                        match_id=match.id, decision=Decision.DECISION_DECLINED
                    )
                    stubs.decision.SubmitClientDecision(declined, timeout=CALL_SECONDS)
                self.count += 1
            except grpc.RpcError as error:
                # Whether it was done is for the log to say. Who is down is not asked again at once.
                if from_rpc_error(error).code is grpc.StatusCode.UNAVAILABLE:
                    self.stopped.wait(0.02)


def torment_servers(servers: list[ServerProcess], dice: Random, ended: Event) -> Counter[str]:
    """One after the other, at random, is killed, told to end, or frozen; how often which."""
    done: Counter[str] = Counter()
    while not ended.wait(dice.uniform(0.2, 1.5)):
        server, fault = dice.choice(servers), dice.choice(["killed", "terminated", "frozen"])
        done[f"servers {fault}"] += 1
        if fault == "frozen":
            server.freeze()
            ended.wait(dice.uniform(0, 1.5))
            server.thaw()
        else:
            if fault == "killed":
                server.kill()
            else:
                assert server.terminate() == 0
            ended.wait(dice.uniform(0, 1))
            server.start()
    return done


def torment_redis(redis: EmbeddedRedis, dice: Random, ended: Event) -> Counter[str]:
    """It is killed, frozen or emptied; how often which."""
    done: Counter[str] = Counter()
    while not ended.wait(dice.uniform(0.2, 2)):
        name = dice.choice(list(FAULTS))
        done[f"Redis {name}"] += 1
        with FAULTS[name](redis):
            ended.wait(dice.uniform(0, 2))
    return done


def write_by_sql(
    url: str, project: str, count: int, size: int, within: float, dice: Random, ended: Event
) -> None:
    """So many events at once, of which no hint tells; and again, each time within so many seconds."""
    with connected(url) as conn:
        while not ended.wait(dice.uniform(within / 2, within)):
            History(conn).messages(UUID(project), count, size=size)


@contextmanager
def turmoil(
    world: World, services: EmbeddedServices, quiet: str, fat: str, seed: int
) -> Iterator[Counter[str]]:
    """Whatever can go wrong does so while the block runs; afterwards all is well, and counted."""
    ended, done, url = Event(), Counter[str](), services.database_url
    with ThreadPoolExecutor(4) as pool:
        doing = [
            pool.submit(torment_servers, world.servers.all, Random(f"{seed}/servers"), ended),
            pool.submit(torment_redis, services.redis, Random(f"{seed}/redis"), ended),
        ]
        writing = [
            pool.submit(write_by_sql, url, quiet, 2, 10, QUIET_SECONDS, Random(f"{seed}/quiet"), ended),
            pool.submit(
                write_by_sql, url, fat, BURST, BURST_SIZE, BURST_SECONDS, Random(f"{seed}/fat"), ended
            ),
        ]
        try:
            yield done
        finally:
            ended.set()
        for each in doing:
            done += each.result()
        for written in writing:
            written.result()


def gather(crowd: Crowd, busy: list[str], quiet: str, fat: str) -> None:
    """Those who are there from the beginning."""
    for number, project in enumerate(busy):
        crowd.stays(project, ROAMS, server=number % SERVERS)
        for habits in (ROAMS, FROM_START, VANISHES, FILTERS):
            crowd.roams(project, habits)
    crowd.stays(quiet, ROAMS, server=0)
    for habits in (LINGERS, LINGERS, VANISHES):
        crowd.roams(quiet, habits)
    for habits in (ROAMS, SLEEPS):
        crowd.roams(fat, habits)


@pytest.mark.timeout(120 * max(1, 2 * SCALE))
def test_what_every_watcher_was_told_agrees_with_the_log_whatever_happens(
    mortal: World, own_services: EmbeddedServices, tell: Tell
) -> None:
    """Each event once, in order, none missing and none made up; and from every id it goes on right after it."""
    wanted, least, seed = rounds(800, full=25_000), rounds(12, full=200), new_seed()
    mortal.start_together(SERVERS, "--no-workers", heartbeat_seconds=1)
    mortal.new_advisor(slots=100)
    *busy, quiet, fat = projects = [mortal.new_project() for _ in range(PROJECTS + 2)]
    crowd, written = Crowd(mortal, seed), Written(mortal, busy, seed)
    began = time.monotonic()

    def is_through(share: float) -> bool:
        """Whether that share of the writes is done, and of the least time that it is to take."""
        return written.count >= share * wanted and time.monotonic() - began >= share * least

    gather(crowd, busy, quiet, fat)
    try:
        with ThreadPoolExecutor(WRITERS + REPLICAS) as pool, replica(own_services) as runner:
            writers = [pool.submit(written.write, number) for number in range(WRITERS)]
            writers += [pool.submit(written.write_within, runner, number) for number in range(REPLICAS)]
            try:
                with turmoil(mortal, own_services, quiet, fat, seed) as done:
                    eventually(lambda: is_through(0.5), timeout=rounds(60, full=900))
                    for project in projects:
                        crowd.roams(project, FROM_START)
                    eventually(lambda: is_through(1.0), timeout=rounds(60, full=900))
            finally:
                written.stopped.set()
            for writer in writers:
                writer.result()
        took = time.monotonic() - began
        crowd.hurry()
        for project in projects:
            # The last one is for everybody to find by looking.
            History(mortal.conn).messages(UUID(project), 1, size=1)
        logs = {project: read_log(mortal.conn, project) for project in projects}

        def behind() -> list[str]:
            return [
                watcher.history.name
                for project, watchers in crowd.of.items()
                for watcher in watchers
                if watcher.position != logs[project].end
            ]

        # Who does not get there hears below of what.
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while behind() and time.monotonic() < deadline:
            time.sleep(0.1)
        late = behind()
    finally:
        crowd.stop()
    told = sum(len(c.told) for w in crowd.everybody for c in w.history.connections)
    tell(
        f"{sum(len(log.events) for log in logs.values())} events in {took:.0f} s,"
        f" {told} messages to {len(crowd.everybody)} watchers, {dict(done)}, {dict(crowd.ends())}; seed {seed}"
    )
    judged = [
        judge([watcher.history for watcher in crowd.of[project]], logs[project]) for project in projects
    ]
    said = [
        f"{name} ({len(lines)}): {line}"
        for violations in judged
        for name, lines in violations.items()
        for line in lines[:SHOWN]
    ]
    assert not said, "\n".join([f"seed {seed}", *said])
    assert late == [], f"seed {seed}"
    mortal.assert_sound()
