"""What orchestrators ask: whether a process is to be started anew, whether it is to be called, and over the wire."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from advisor_matching.v1.chat_service_pb2 import SendMessageRequest
from matching_server.embedded import EmbeddedServices
from tests.support.certificates import Authority
from tests.support.locks import held, wait_for_waiters
from tests.support.processes import HOST
from tests.support.redis_faults import killed
from tests.support.wait import eventually
from tests.support.world import World

NOBODY = f"{HOST}:1"
HEAD = "SELECT FROM project_event_heads WHERE project_id = CAST(:id AS uuid) FOR UPDATE"


def answer(address: str, path: str) -> int:
    """The status of an HTTP request."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def probe(*arguments: str, **settings: object) -> tuple[int, str]:
    """The exit status of ``matching-server probe``, and what it wrote."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATCHING_")}
    done = subprocess.run(
        [sys.executable, "-m", "matching_server.cli", "probe", *arguments],
        env=inherited | {f"MATCHING_{name.upper()}": str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_process_whose_database_is_away_is_not_to_be_called_and_not_to_be_started_anew(
    mortal: World, own_services: EmbeddedServices
) -> None:
    server, worker = mortal.servers.free_address(), mortal.servers.free_address()
    address = mortal.start("--no-workers", metrics_listen=server).address
    mortal.start_worker(metrics_listen=worker)
    for each in (server, worker):
        eventually(lambda each=each: answer(each, "/readyz") == 200, what="ready")  # type: ignore[misc]
        assert answer(each, "/livez") == 200
        assert answer(each, "/metrics") == 200
    assert probe("--address", address) == (0, "SERVING")
    assert probe(listen=address) == (0, "SERVING")
    with killed(own_services.redis):
        assert (answer(server, "/readyz"), answer(worker, "/readyz")) == (200, 200)
    own_services.postgres.kill()
    for each in (server, worker):
        eventually(lambda each=each: answer(each, "/readyz") == 503, timeout=10, what="not ready")  # type: ignore[misc]
        assert answer(each, "/livez") == 200
    assert probe("--address", address) == (1, "NOT_SERVING")
    own_services.postgres.restart()
    mortal.reconnect()
    for each in (server, worker):
        eventually(lambda each=each: answer(each, "/readyz") == 200, timeout=10, what="ready")  # type: ignore[misc]


def test_a_server_that_drains_is_not_to_be_called_and_left_in_peace(own: World) -> None:
    metrics = own.servers.free_address()
    server = own.start(metrics_listen=metrics)
    project = own.matched()[2].project_id
    eventually(lambda: answer(metrics, "/readyz") == 200, what="ready")
    with held(own.conn, HEAD, id=project) as holder:
        call = own.client(project).stubs.chat.SendMessage.future(
            SendMessageRequest(project_id=project, text="Hello", client_msg_id=str(uuid4())), timeout=20
        )
        wait_for_waiters(own.conn, 1)
        server.ask_to_end()
        eventually(lambda: answer(metrics, "/readyz") == 503, what="not ready")
        assert answer(metrics, "/livez") == 200
        holder.rollback()
    assert call.result().message.text == "Hello"


@pytest.fixture
def authority() -> Authority:
    return Authority()


def test_a_probe_by_tls_takes_the_certificate_of_the_files_and_no_other(
    own: World, tmp_path: Path, authority: Authority
) -> None:
    certificate, key = authority.issue("server").write(tmp_path, "server")
    ours: dict[str, Any] = {"tls_cert": certificate, "tls_key": key}
    address = own.start(**ours).address
    assert probe("--address", address, **ours) == (0, "SERVING")
    service = "advisor_matching.v1.MatchService"
    assert probe("--address", address, "--service", service, **ours) == (0, "SERVING")
    assert probe("--address", address, "--service", "nobody.Knows", **ours) == (1, "SERVICE_UNKNOWN")
    other, other_key = authority.issue("other").write(tmp_path, "other")
    status, said = probe("--address", address, tls_cert=other, tls_key=other_key)
    assert (status, "certificate verify failed" in said) == (1, True)
    assert probe("--address", address)[0] == 1


def test_a_probe_of_mutual_tls_shows_the_servers_certificate(
    own: World, tmp_path: Path, authority: Authority
) -> None:
    certificate, key = authority.issue("server").write(tmp_path, "server")
    clients = tmp_path / "clients.pem"
    clients.write_bytes(authority.pem)
    ours: dict[str, Any] = {"tls_cert": certificate, "tls_key": key}
    address = own.start(**ours, tls_client_ca=clients).address
    assert probe("--address", address, **ours) == (0, "SERVING")


def test_a_probe_that_nobody_answers_says_so() -> None:
    status, said = probe("--address", NOBODY, "--timeout", "1")
    assert (status, said.startswith(f"{NOBODY}: UNAVAILABLE")) == (1, True)
