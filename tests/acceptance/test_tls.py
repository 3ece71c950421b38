"""TLS and mutual TLS, with the public client: who is let in, and certificates that change under open connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from advisor_matching.v1.admin_service_pb2 import GetPoolStatusRequest
from matching_client import AsyncMatchingClient, MatchingClient, Tls, Unavailable
from tests.support.certificates import Authority, Certificate, PrivateKey
from tests.support.processes import Endpoint, ServerNotReady, ServerProcess
from tests.support.rewriting import Put, replaced, written_over
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import ADMIN, World

EXPIRED = timedelta(hours=-1)


class Place:
    """A server with TLS, and the files that it reads."""

    def __init__(
        self, world: World, directory: Path, certificate: Certificate, client_ca: bytes | None
    ) -> None:
        self.world = world
        self.certificate, self.key = certificate.write(directory, "server")
        self.client_ca = directory / "clients.pem"
        settings: dict[str, Any] = {"tls_cert": self.certificate, "tls_key": self.key}
        if client_ca is not None:
            self.client_ca.write_bytes(client_ca)
            settings["tls_client_ca"] = self.client_ca
        self.server: ServerProcess = world.start(**settings)

    @property
    def endpoint(self) -> Endpoint:
        return self.server.endpoint

    @contextmanager
    def client(self, ca: bytes | None, shown: Certificate | None = None) -> Iterator[MatchingClient]:
        """An admin who trusts servers of the authority and shows the certificate; without either, in plaintext."""
        tls = (
            grpc.ssl_channel_credentials(ca, *((shown.key, shown.pem) if shown else (None, None)))
            if ca
            else None
        )
        endpoint = self.endpoint
        with MatchingClient(
            endpoint.address,
            key_id=endpoint.key_id,
            secret=endpoint.secret,
            user_id=str(ADMIN),
            roles=["admin"],
            tls=tls,
            # A channel of its own, and so a connection, for each client.
            channel_options=[("grpc.use_local_subchannel_pool", 1)],
        ) as client:
            yield client

    def lets_in(self, ca: bytes | None, shown: Certificate | None = None) -> bool:
        """Whether such a client is answered on a new connection."""
        with self.client(ca, shown) as client:
            # Without the client's retries: who is not let in hears of it at once.
            called = client.stubs.admin.GetPoolStatus.future(GetPoolStatusRequest(), timeout=10)
            assert called.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
            return called.code() is grpc.StatusCode.OK

    def shown(self) -> str:
        """The certificate that the server shows, in PEM."""
        host, _, port = self.endpoint.address.partition(":")
        return ssl.get_server_certificate((host, int(port)), timeout=5)


@pytest.fixture
def servers_of() -> Authority:
    return Authority("Servers")


@pytest.fixture
def clients_of() -> Authority:
    return Authority("Clients")


@pytest.fixture
def place(own: World, tmp_path: Path, servers_of: Authority) -> Place:
    """A server with TLS."""
    return Place(own, tmp_path, servers_of.issue("server"), None)


@pytest.fixture
def mutual(own: World, tmp_path: Path, servers_of: Authority, clients_of: Authority) -> Place:
    """A server with mutual TLS."""
    return Place(own, tmp_path, servers_of.issue("server"), clients_of.pem)


either_way = pytest.mark.parametrize("put", [replaced, written_over], ids=lambda put: str(put.__name__))


def test_a_client_who_trusts_the_authority_is_served_and_watches(place: Place, servers_of: Authority) -> None:
    project = place.world.new_project()
    with place.client(servers_of.pem) as client, watching(client, project) as watch:
        match = client.create_match(project).match
        assert next(watch).match.match_id == match.id


def test_a_client_who_does_not_trust_it_or_speaks_plaintext_gets_nowhere(
    place: Place, servers_of: Authority, clients_of: Authority
) -> None:
    assert not place.lets_in(clients_of.pem)
    assert not place.lets_in(None)
    assert place.lets_in(servers_of.pem)


def test_a_server_whose_certificate_has_expired_is_trusted_by_nobody(
    own: World, tmp_path: Path, servers_of: Authority
) -> None:
    place = Place(own, tmp_path, servers_of.issue("server", lasts=EXPIRED), None)
    assert not place.lets_in(servers_of.pem)


def test_under_mutual_tls_a_client_shows_a_certificate_that_holds(
    mutual: Place, servers_of: Authority, clients_of: Authority
) -> None:
    assert mutual.lets_in(servers_of.pem, clients_of.issue("client"))
    strangers = {
        "none": None,
        "of another authority": servers_of.issue("client"),
        "expired": clients_of.issue("client", lasts=EXPIRED),
        "of an authority of the same name": Authority("Clients").issue("client"),
    }
    assert {name for name, shown in strangers.items() if mutual.lets_in(servers_of.pem, shown)} == set()
    assert not mutual.lets_in(None)


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_keys_of_other_kinds_that_are_taken_serve(
    own: World, tmp_path: Path, servers_of: Authority, key: PrivateKey
) -> None:
    place = Place(own, tmp_path, servers_of.issue("server", key=key), None)
    assert place.lets_in(servers_of.pem)


@either_way
def test_another_certificate_is_shown_to_new_connections_and_open_ones_stay(
    place: Place, servers_of: Authority, put: Put
) -> None:
    project, others = place.world.new_project(), Authority("Other Servers")
    new = others.issue("server")
    with place.client(servers_of.pem) as old, watching(old, project) as watch:
        put(place.certificate, new.pem)
        put(place.key, new.key)
        eventually(lambda: place.lets_in(others.pem), timeout=20, what="the new certificate is shown")
        assert not place.lets_in(servers_of.pem)
        # It trusts the old authority alone: a new connection would be refused.
        match = old.create_match(project).match
        assert next(watch).match.match_id == match.id


@either_way
def test_another_authority_of_clients_is_asked_about_new_connections_and_open_ones_stay(
    mutual: Place, servers_of: Authority, clients_of: Authority, put: Put
) -> None:
    project, others = mutual.world.new_project(), Authority("Other Clients")
    former, newcomer = clients_of.issue("former"), others.issue("newcomer")
    with mutual.client(servers_of.pem, former) as old, watching(old, project) as watch:
        put(mutual.client_ca, clients_of.pem + others.pem)
        eventually(
            lambda: mutual.lets_in(servers_of.pem, newcomer), timeout=20, what="both authorities are trusted"
        )
        assert mutual.lets_in(servers_of.pem, former)
        put(mutual.client_ca, others.pem)
        eventually(
            lambda: not mutual.lets_in(servers_of.pem, former), timeout=20, what="the former one no longer is"
        )
        assert mutual.lets_in(servers_of.pem, newcomer)
        match = old.create_match(project).match
        assert next(watch).match.match_id == match.id


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how a client reaches a place, and by what TLS."""

    def set_to(place: Place, **variables: Path | str) -> None:
        endpoint = place.endpoint
        server = {"ADDRESS": endpoint.address, "KEY_ID": endpoint.key_id, "SECRET": endpoint.secret}
        for name in ("TLS_CA", "TLS_CLIENT_CERT", "TLS_CLIENT_KEY"):
            monkeypatch.delenv(f"MATCHING_{name}", raising=False)
        for name, value in (server | variables).items():
            monkeypatch.setenv(f"MATCHING_{name}", str(value))

    return set_to


def reached(**tls: Any) -> bool:
    """Whether both clients are served, connected as the environment says."""
    who: Any = {"user_id": str(ADMIN), "roles": ["admin"], "timeout": 5.0, **tls}
    # A channel of its own, and so a connection, for each client.
    who["channel_options"] = [("grpc.use_local_subchannel_pool", 1)]

    async def awaited() -> int:
        async with AsyncMatchingClient.from_env(**who) as client:
            return (await client.get_pool_status()).total_advisors

    try:
        with MatchingClient.from_env(**who) as client:
            return client.get_pool_status().total_advisors == asyncio.run(awaited())
    except Unavailable:
        return False


def test_clients_find_a_server_with_tls_by_the_environment(
    place: Place,
    servers_of: Authority,
    clients_of: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: Callable[..., None],
) -> None:
    ca, others = tmp_path / "ca.pem", tmp_path / "others.pem"
    ca.write_bytes(servers_of.pem)
    others.write_bytes(clients_of.pem)
    environ(place, TLS_CA=ca)
    assert reached()
    assert not reached(tls=Tls(ca=others), timeout=1.0), "what the program says goes over the environment"
    environ(place)
    assert reached(tls=Tls(ca=ca))
    environ(place, TLS_CA="system")
    assert not reached(timeout=1.0)
    # How one adds an authority to those of the system for one process.
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    assert reached()
    environ(place)
    assert reached(tls=True)


def test_clients_show_the_certificate_that_the_environment_names(
    mutual: Place,
    servers_of: Authority,
    clients_of: Authority,
    tmp_path: Path,
    environ: Callable[..., None],
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(servers_of.pem)
    certificate, key = clients_of.issue("client").write(tmp_path, "client")
    environ(mutual, TLS_CA=ca)
    assert not reached(timeout=1.0)
    environ(mutual, TLS_CA=ca, TLS_CLIENT_CERT=certificate, TLS_CLIENT_KEY=key)
    assert reached()


def test_files_that_are_broken_or_do_not_fit_leave_the_former_ones_in_use(
    mutual: Place, servers_of: Authority, clients_of: Authority
) -> None:
    before, client, new = mutual.shown(), clients_of.issue("client"), servers_of.issue("server")
    faults: list[tuple[Path, bytes]] = [
        (mutual.certificate, new.pem[:200]),
        (mutual.certificate, b""),
        (mutual.certificate, new.pem),
        (mutual.key, b"no key"),
        (mutual.client_ca, b"nobody"),
    ]
    for path, content in faults:
        good = path.read_bytes()
        with mutual.server.telling("trusted_files_not_in_order"):
            replaced(path, content)
        assert mutual.lets_in(servers_of.pem, client)
        assert mutual.shown() == before
        with mutual.server.telling("trusted_files_in_use"):
            replaced(path, good)
    with mutual.server.telling("trusted_files_not_in_order"):
        mutual.client_ca.unlink()
    assert mutual.lets_in(servers_of.pem, client)
    mutual.client_ca.write_bytes(clients_of.pem)
    replaced(mutual.key, new.key)
    replaced(mutual.certificate, new.pem)
    eventually(lambda: mutual.shown() != before, timeout=20, what="the new certificate is shown")
    assert mutual.lets_in(servers_of.pem, client)
    assert "PRIVATE KEY" not in mutual.server.log(last=10_000)
    assert "Traceback" not in mutual.server.log(last=10_000)


def refusal(world: World, **settings: Any) -> str:
    """The one line with which the server refuses to start."""
    with pytest.raises(ServerNotReady) as refused:
        world.start(**settings)
    said = str(refused.value).splitlines()[1:]
    assert [line for line in said if line.startswith("matching-server: ")] == said[-1:]
    assert "Traceback" not in str(refused.value)
    return said[-1]


def sealed(key: Path) -> Path:
    """The key, encrypted."""
    password = serialization.BestAvailableEncryption(b"password")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encoded = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password)
    path = key.with_suffix(".sealed")
    path.write_bytes(encoded)
    return path


def test_files_that_cannot_be_used_stop_the_start_with_one_line(
    own: World, tmp_path: Path, servers_of: Authority, clients_of: Authority
) -> None:
    certificate, key = servers_of.issue("server").write(tmp_path, "server")
    other, _ = servers_of.issue("other").write(tmp_path, "other")
    empty = tmp_path / "empty.pem"
    empty.touch()
    good: dict[str, Any] = {"tls_cert": certificate, "tls_key": key}
    assert "nowhere cannot be read" in refusal(own, **good | {"tls_cert": tmp_path / "nowhere"})
    assert f"{other} and key {key} cannot be used" in refusal(own, **good | {"tls_cert": other})
    assert f"{certificate} and key {empty} cannot be used" in refusal(own, **good | {"tls_key": empty})
    assert refusal(own, **good | {"tls_key": sealed(key)}).endswith("cannot be used: not PEM, or encrypted")
    for kind in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())):
        odd, odd_key = servers_of.issue("odd", key=kind).write(tmp_path, "odd")
        assert "its key is none of RSA, P-256, P-384" in refusal(own, tls_cert=odd, tls_key=odd_key)
    assert f"client CA {empty} cannot be used" in refusal(own, **good, tls_client_ca=empty)


def test_beyond_loopback_a_server_asks_for_tls_unless_told_otherwise(
    own: World, tmp_path: Path, servers_of: Authority
) -> None:
    listen = "0.0.0.0:" + own.servers.free_address().rpartition(":")[2]
    assert "listen is beyond loopback" in refusal(own, listen=listen)
    certificate, key = servers_of.issue("server").write(tmp_path, "server")
    for settings in ({"tls_cert": certificate, "tls_key": key}, {"allow_plaintext": "true"}):
        own.start(listen=listen, **settings).kill()
