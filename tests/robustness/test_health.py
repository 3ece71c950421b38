"""Health tells of loss and of return, of every thread that ends, and first of all that a server is going away."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from matching_client.status_details import from_rpc_error
from matching_server.app import Application
from matching_server.config import Settings
from matching_server.embedded import EmbeddedServices
from matching_server.rpc.access import SERVICES
from matching_server.rpc.keys import KeyFile
from tests.support.load import Load
from tests.support.locks import held, wait_for_waiters
from tests.support.processes import ServerProcess, free_port, write_keys_file
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
NAMES = ("", *(service.full_name for service in SERVICES.values()))
"""The server as a whole, and each of its services."""
NOTICED_SECONDS = 5.0
HEAD = "SELECT FROM project_event_heads WHERE project_id = CAST(:id AS uuid) FOR UPDATE"
SLACK_SECONDS = 2.0
"""What a busy machine adds."""


class Health:
    """What a server tells of its health: asked, and by a watch with the moments at which it came."""

    def __init__(self, address: str) -> None:
        self.told: list[tuple[str, float]] = []
        self._channel = grpc.insecure_channel(address)
        self._stub = health_pb2_grpc.HealthStub(self._channel)
        self._call: Any = self._stub.Watch(health_pb2.HealthCheckRequest(service=""))
        self._thread = threading.Thread(target=self._read, name="health-watch")
        self._thread.start()

    def __enter__(self) -> Health:
        return self

    def __exit__(self, *_: object) -> None:
        self._call.cancel()
        self._thread.join(10)
        self._channel.close()

    def statuses(self) -> set[str]:
        """What the server and each of its services say."""
        return {self._status(name) for name in NAMES}

    @property
    def history(self) -> list[str]:
        """What the watch has told, in order."""
        return [status for status, _ in self.told]

    def _status(self, name: str) -> str:
        answer = self._stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        return _name(answer)

    def _read(self) -> None:
        with suppress(grpc.RpcError):
            for answer in self._call:
                self.told.append((_name(answer), time.monotonic()))


def _name(answer: health_pb2.HealthCheckResponse) -> str:
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name


@contextmanager
def frozen(services: EmbeddedServices) -> Iterator[None]:
    """Postgres, all its processes, stands still while the block runs: it takes what is sent, and says nothing."""
    server = psutil.Process(services.postgres.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def killed(services: EmbeddedServices) -> Iterator[None]:
    """Postgres is gone while the block runs."""
    services.postgres.kill()
    try:
        yield
    finally:
        services.postgres.restart()


@pytest.mark.parametrize("away", [killed, frozen])
def test_health_follows_the_database_away_and_back(
    mortal: World, own_services: EmbeddedServices, away: Any, tell: Tell
) -> None:
    # Nobody else takes the connections that are open: the look at the database is what hangs.
    server = mortal.start("--no-workers")
    with Health(server.address) as health:
        eventually(lambda: health.statuses() == {"SERVING"})
        went = time.monotonic()
        with away(own_services):
            eventually(
                lambda: health.statuses() == {"NOT_SERVING"},
                timeout=NOTICED_SECONDS + SLACK_SECONDS,
                what="the loss is told",
            )
        back = time.monotonic()
        eventually(
            lambda: health.statuses() == {"SERVING"},
            timeout=NOTICED_SECONDS + SLACK_SECONDS,
            what="the return is told",
        )
        assert health.history == ["SERVING", "NOT_SERVING", "SERVING"]
    mortal.reconnect()
    tell(f"told after {health.told[1][1] - went:.1f} s and {health.told[2][1] - back:.1f} s")


class Running:
    """A server in this process, whose threads can be ended."""

    def __init__(self, settings: Settings, keys: KeyFile) -> None:
        before = set(threading.enumerate())
        self.application = Application(settings, keys)
        self.address = self.application.start()
        self.threads = {thread.name: thread for thread in threading.enumerate() if thread not in before}

    def end(self, name: str) -> None:
        """Raises SystemExit in a thread, which no loop takes for a step that failed."""
        ident = self.threads[name].ident
        assert ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))


@pytest.fixture
def running(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    monkeypatch.setenv("ADVISOR_AUTO_PROVISION", "true")
    running = Running(
        Settings(
            database_url=database_url,
            redis_url=redis_url,
            listen=f"127.0.0.1:{free_port()}",
            drain_seconds=5,
            sweep_seconds=0.5,
            provision_lease_seconds=1,
        ),
        KeyFile(write_keys_file(tmp_path / "keys.json")),
    )
    try:
        yield running
    finally:
        running.application.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "name",
    [
        "backlog",
        "call-rates",
        "database-ping",
        "event-poller",
        "notifications",
        "picture",
        "provisioning-claims",
        "provisioning-heartbeats",
        "redis-subscriber",
        "stream-keeper",
        "stream-registry",
        "sweeper",
        "trust",
    ],
)
def test_the_end_of_a_thread_is_told(running: Running, name: str) -> None:
    with Health(running.address) as health:
        eventually(lambda: health.statuses() == {"SERVING"})
        running.end(name)
        eventually(
            lambda: health.statuses() == {"NOT_SERVING"},
            timeout=NOTICED_SECONDS + SLACK_SECONDS,
            what="the end is told",
        )
        assert not running.threads[name].is_alive()


def test_a_server_that_ends_under_load_says_so_first_then_tells_streams_and_ends_in_time(
    own: World, tell: Tell
) -> None:
    """Fault 19: no call fails that had begun, streams are told, exit in time."""
    leaving, _ = own.start_together(2, drain_seconds=10)
    own.new_advisor()
    held_up = own.new_project()
    own.client(held_up).create_match(held_up)
    with ExitStack() as stack:
        health = stack.enter_context(Health(leaving.address))
        eventually(lambda: health.history == ["SERVING"])
        streams = [Stream(own, held_up) for _ in range(20)]
        load = stack.enter_context(Load(own, callers=4, persistent=False))
        load.wait_for_progress()
        with held(
            own.conn,
            "SELECT FROM project_event_heads WHERE project_id = CAST(:id AS uuid) FOR UPDATE",
            id=held_up,
        ):
            begun = own.service().stubs.match.CreateMatch.future(CreateMatchRequest(project_id=held_up))
            wait_for_waiters(own.conn)
            asked = time.monotonic()
            leaving.ask_to_end()
            ends = [stream.end() for stream in streams]
            assert not begun.done(), "a call that had begun goes on while streams are told"
            assert leaving.running
        answered = begun.result(timeout=10)
        answer_at = time.monotonic()
        eventually(lambda: not leaving.running, timeout=10, what="the server has ended")
        ended = time.monotonic()
    assert answered.already_open
    assert {told for told, _ in ends} == {("UNAVAILABLE", "DRAINING")}
    assert health.history == ["SERVING", "NOT_SERVING"]
    assert asked <= health.told[1][1] <= min(at for _, at in ends)
    assert max(at for _, at in ends) <= answer_at <= ended
    assert load.codes <= {"UNAVAILABLE", "UNAVAILABLE DRAINING", "CANCELLED"}
    load.assert_kept()
    assert ended - answer_at < 3, "nothing is waited for that nobody needs, watches of health among it"
    tell(
        f"{len(ends)} streams told after {max(at for _, at in ends) - asked:.2f} s, over after {ended - asked:.1f} s"
    )


def test_a_server_whose_database_hangs_ends_in_time(mortal: World, own_services: EmbeddedServices) -> None:
    server = mortal.start(drain_seconds=2)
    project = mortal.new_project()
    mortal.service().get_service_info()
    with frozen(own_services):
        hanging = mortal.service().stubs.match.CreateMatch.future(CreateMatchRequest(project_id=project))
        time.sleep(0.5)
        assert _seconds_to_end(server) < 2 + 1 + SLACK_SECONDS
        hanging.cancel()
    mortal.reconnect()


def _seconds_to_end(server: ServerProcess) -> float:
    began = time.monotonic()
    server.terminate(timeout=30)
    return time.monotonic() - began


class Stream:
    """A raw stream, which does not resume as a client's watch would."""

    def __init__(self, world: World, project: str) -> None:
        self._caller = world.caller(uuid4(), "admin")
        self._call: Any = self._caller.stubs.event.WatchProjectEvents(
            WatchProjectEventsRequest(project_id=project)
        )
        self._call.initial_metadata()

    def end(self) -> tuple[tuple[str, str], float]:
        """Waits for the end, and returns its code and reason, and when it came."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            told = from_rpc_error(error)
            return (told.code.name, told.reason), time.monotonic()
        return ("OK", ""), time.monotonic()
