from __future__ import annotations

import json
import re
import sys
import threading
import time
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from matching_client import (
    AsyncMatchingClient,
    Claims,
    MatchingClient,
    SettingsError,
    Tls,
    Unimplemented,
    Watch,
)
from matching_client.resume import WatchCursor
from matching_client.settings import read_environment
from tests.support.certificates import Authority
from tests.support.wait import eventually
from tests.unit.client.scripted import (
    GET_MATCH,
    KEY_ID,
    PATIENCE,
    SECRET,
    USER,
    WATCH,
    ScriptedServer,
    stream,
)

OTHER = "0b9d7c52-84e6-4f3b-a1d0-2c5e8f7a6b19"
FILE = {"address": "127.0.0.1:1", "key_id": KEY_ID, "secret": SECRET, "database_url": "d", "redis_url": "r"}


def caller(server: ScriptedServer) -> dict[str, object]:
    """The claims of the last call."""
    claims: dict[str, object] = json.loads(str(server.received[-1].metadata["x-sheen-claims"]))
    return claims


def connection_file(directory: Path, **values: object) -> Path:
    path = directory / "connection.json"
    path.write_text(
        json.dumps({name: value for name, value in {**FILE, **values}.items() if value is not None})
    )
    return path


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "ADDRESS",
        "KEY_ID",
        "SECRET",
        "CONNECTION_FILE",
        "TLS_CA",
        "TLS_CLIENT_CERT",
        "TLS_CLIENT_KEY",
    ):
        monkeypatch.delenv(f"MATCHING_{name}", raising=False)


def test_a_client_comes_from_a_connection_file(server: ScriptedServer, tmp_path: Path) -> None:
    path = connection_file(tmp_path, address=server.address)
    with MatchingClient.from_connection_file(path, user_id=USER, roles=["admin"]) as client:
        client.get_match("m")
    server.received[0].assert_signed()
    assert caller(server)["userId"] == USER
    assert caller(server)["roles"] == ["admin"]


def test_a_client_comes_from_the_environment(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHING_ADDRESS", server.address)
    monkeypatch.setenv("MATCHING_KEY_ID", KEY_ID)
    monkeypatch.setenv("MATCHING_SECRET", SECRET)
    with MatchingClient.from_env(user_id=USER) as client:
        client.get_match("m")
    server.received[0].assert_signed()


def test_a_client_comes_from_the_file_that_the_environment_names(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MATCHING_CONNECTION_FILE", str(connection_file(tmp_path, address=server.address)))
    with MatchingClient.from_env(claims=Claims(USER)) as client:
        client.get_match("m")
    server.received[0].assert_signed()


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    path = str(connection_file(tmp_path))
    found = read_environment({"MATCHING_CONNECTION_FILE": path, "MATCHING_ADDRESS": "elsewhere:1"})
    assert (found.address, found.key_id, found.secret) == ("elsewhere:1", KEY_ID, SECRET)
    found = read_environment(
        {"MATCHING_CONNECTION_FILE": path, "MATCHING_KEY_ID": "k", "MATCHING_SECRET": "s"}
    )
    assert (found.address, found.key_id, found.secret) == (FILE["address"], "k", "s")
    assert "s'" not in repr(found).replace("address='", "")


def test_the_default_file_is_found(tmp_path: Path) -> None:
    (tmp_path / ".matching").mkdir()
    connection_file(tmp_path / ".matching")
    assert read_environment({}).address == FILE["address"]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "MATCHING_ADDRESS"),
        ({"MATCHING_KEY_ID": "k"}, "must be set together"),
        ({"MATCHING_SECRET": "k"}, "must be set together"),
        ({"MATCHING_CONNECTION_FILE": "missing.json"}, "cannot read the connection file missing.json"),
    ],
)
def test_missing_settings_are_said_in_one_line(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        read_environment(environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"address": "a", "key_id": 3}', "lacks key_id, secret"),
    ],
)
def test_a_bad_connection_file_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "connection.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        MatchingClient.from_connection_file(path, user_id=USER)


def test_somebody_else_calls_on_the_same_connection(client: MatchingClient, server: ScriptedServer) -> None:
    other = client.as_user(user_id=OTHER, email="bob@example.com", roles=["advisor"])
    other.get_match("m")
    assert (caller(server)["userId"], caller(server)["roles"]) == (OTHER, ["advisor"])
    other.close()
    client.get_match("m")
    assert (caller(server)["userId"], caller(server)["roles"]) == (USER, ["client"])
    assert [call.method for call in server.received] == [GET_MATCH] * 2


def test_claims_are_given_in_exactly_one_way(client: MatchingClient) -> None:
    with pytest.raises(TypeError, match="either claims"):
        MatchingClient("a:1", key_id=KEY_ID, secret=SECRET)
    with pytest.raises(TypeError, match="either claims"):
        client.as_user(user_id=USER, claims=Claims(USER))


def test_a_lone_string_is_no_list_of_roles(client: MatchingClient) -> None:
    with pytest.raises(TypeError, match="roles"):
        client.as_user(user_id=USER, roles="admin")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"key_id": None}, "key_id"),
        ({"secret": SECRET.encode()}, "secret"),
        ({"user_id": 5}, "user_id"),
        ({"user_id": USER, "email": None}, "email"),
        ({"user_id": USER, "roles": ["client", 5]}, r"roles\[1\]"),
    ],
)
def test_what_is_no_text_is_refused_by_its_name_and_not_by_the_server(
    given: dict[str, Any], name: str
) -> None:
    arguments: dict[str, Any] = {"key_id": KEY_ID, "secret": SECRET, "user_id": USER} | given
    with pytest.raises(TypeError, match=f"^{name} must be a string, not (NoneType|bytes|int)$"):
        MatchingClient("127.0.0.1:1", **arguments)


def test_a_correlation_id_is_sent(client: MatchingClient, server: ScriptedServer) -> None:
    client.get_match("m", correlation_id="mine-1")
    assert server.received[0].metadata["x-correlation-id"] == "mine-1"
    client.get_match("m")
    assert "x-correlation-id" not in server.received[1].metadata


def test_closing_ends_everything_and_can_be_repeated(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(WATCH, stream(hold=True))
    before = set(threading.enumerate())
    mine, others = client.watch("p"), client.as_user(user_id=OTHER).watch("p")
    client.close()
    client.close()
    assert list(mine) == list(others) == []
    deadline = time.monotonic() + PATIENCE
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("scripted"):
            thread.join(deadline - time.monotonic())
            assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        client.get_match("m")
    with pytest.raises(RuntimeError, match="closed"):
        client.watch("p")


def test_closing_ends_the_watches_that_others_begin_meanwhile() -> None:
    client = MatchingClient("127.0.0.1:1", key_id=KEY_ID, secret=SECRET, user_id=USER)
    kept: list[Watch] = []
    over = threading.Event()

    def begin() -> None:
        with suppress(RuntimeError):
            while not over.is_set():
                watch = Watch(client.stubs.event.WatchProjectEvents, WatchCursor("p"))
                client._keep(watch)
                kept.append(watch)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with futures.ThreadPoolExecutor(3) as threads:
            beginning = [threads.submit(begin) for _ in range(3)]
            try:
                eventually(lambda: len(kept) > 200)
                client.close()
                futures.wait(beginning, PATIENCE)
            finally:
                over.set()
    finally:
        sys.setswitchinterval(interval)
    assert all(list(watch) == [] for watch in kept)


OWN = "own.pem"
SERVER = {f"MATCHING_{name.upper()}": FILE[name] for name in ("address", "key_id", "secret")}


@pytest.mark.parametrize(
    ("environ", "tls"),
    [
        ({}, None),
        ({"MATCHING_TLS_CA": ""}, None),
        ({"MATCHING_TLS_CA": "system"}, Tls()),
        ({"MATCHING_TLS_CA": "ca.pem"}, Tls(ca="ca.pem")),
        (
            {"MATCHING_TLS_CLIENT_CERT": "mine.pem", "MATCHING_TLS_CLIENT_KEY": OWN},
            Tls(certificate="mine.pem", key=OWN),
        ),
    ],
)
def test_tls_comes_from_the_environment(environ: dict[str, str], tls: Tls | None, tmp_path: Path) -> None:
    assert read_environment(SERVER | environ).tls == tls
    path = str(connection_file(tmp_path))
    assert read_environment({"MATCHING_CONNECTION_FILE": path} | environ).tls == tls


def test_a_certificate_without_its_key_is_refused() -> None:
    for name in ("MATCHING_TLS_CLIENT_CERT", "MATCHING_TLS_CLIENT_KEY"):
        with pytest.raises(SettingsError, match="must be set together"):
            read_environment(SERVER | {name: "one.pem"})
    for half in ({"certificate": "c.pem"}, {"key": "k.pem"}):
        with pytest.raises(SettingsError, match="must be given together"):
            Tls(**half)


@pytest.mark.parametrize("kind", [MatchingClient, AsyncMatchingClient])
def test_files_that_cannot_be_used_for_tls_are_said_in_one_line(
    kind: type[MatchingClient] | type[AsyncMatchingClient], tmp_path: Path
) -> None:
    authority = Authority()
    certificate, key = authority.issue("client").write(tmp_path, "client")
    _, another = authority.issue("other").write(tmp_path, "other")
    sealed = tmp_path / "sealed.pem"
    sealed.write_bytes(encrypted(key.read_bytes()))
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    for tls, message in (
        (Tls(ca="nowhere.pem"), "cannot read the TLS file nowhere.pem: No such file or directory"),
        (Tls(ca=nothing), f"the TLS authority {nothing} cannot be used: not PEM"),
        (Tls(certificate=certificate, key="nowhere.pem"), "cannot read the TLS file nowhere.pem"),
        (
            Tls(certificate=certificate, key=another),
            f"the TLS certificate {certificate} and key {another} cannot be",
        ),
        (Tls(certificate=nothing, key=key), f"the TLS certificate {nothing} and key {key} cannot be"),
        (Tls(certificate=certificate, key=sealed), "encrypted"),
    ):
        with pytest.raises(SettingsError, match=re.escape(message)) as caught:
            kind("a:1", key_id=KEY_ID, secret=SECRET, user_id=USER, tls=tls)
        assert "\n" not in str(caught.value)
    for word in ("yes", ""):
        with pytest.raises(TypeError, match=f"not '{word}'"):
            kind("a:1", key_id=KEY_ID, secret=SECRET, user_id=USER, tls=word)  # type: ignore[arg-type]


def encrypted(key: bytes) -> bytes:
    """The private key under a password."""
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )


def test_tls_is_used_where_credentials_are_given() -> None:
    pool = futures.ThreadPoolExecutor(1)
    secured = grpc.server(pool)
    port = secured.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    secured.start()
    with (
        MatchingClient(
            f"127.0.0.1:{port}",
            key_id=KEY_ID,
            secret=SECRET,
            user_id=USER,
            tls=grpc.local_channel_credentials(),
        ) as client,
        pytest.raises(Unimplemented),
    ):
        client.get_match("m")
    secured.stop(0).wait(PATIENCE)
    pool.shutdown()


@pytest.mark.parametrize("client_type", [MatchingClient, AsyncMatchingClient])
@pytest.mark.parametrize("address", ["", "http://matching.internal:50051", "https://matching.internal"])
def test_an_address_that_is_a_url_or_nothing_is_refused_at_once(client_type: type[Any], address: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        client_type(address, key_id="k", secret="s" * 32, user_id="6d0f6f2e-7a6e-4a35-9b0a-111111111111")
