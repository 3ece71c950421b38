"""Keys that are added, changed and removed in the file of a server that serves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from advisor_matching.v1.admin_service_pb2 import GetPoolStatusRequest
from matching_client import Claims, MatchingClient, MatchingError
from matching_client.signing import Credentials
from matching_server.rpc.keys import new_key
from tests.support.locks import held, wait_for_waiter_on
from tests.support.raw import SignedCall
from tests.support.rewriting import Put, replaced, written_over
from tests.support.spawning import run_command
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import ADMIN, World

POOL_STATUS = "/advisor_matching.v1.AdminService/GetPoolStatus"
WHO = Claims(str(ADMIN), roles=["admin", "client"])
INVALID = "SIGNATURE_INVALID"
NOT_IN_ORDER, IN_USE = "trusted_files_not_in_order", "trusted_files_in_use"
Entry = dict[str, Any]


class Keys:
    """The key file of the server. Its first key, which tests leave there, is that of the world's clients."""

    def __init__(self, world: World, file: Path) -> None:
        self.world = world
        self.file = file
        self.server = world.servers.all[0]
        [self.first] = self.entries.values()

    @property
    def entries(self) -> dict[str, Entry]:
        """What the file says, by the keys' ids."""
        return {entry["id"]: entry for entry in json.loads(self.file.read_bytes())["keys"]}

    def put(self, *entries: Entry, put: Put = replaced) -> None:
        """Has the file say that these are the keys, beside the first."""
        put(self.file, json.dumps({"keys": [self.first, *entries]}).encode())

    def told(self, entry: Entry, *, signs_body: bool = True) -> str:
        """What a call is told that is signed with the key: OK, or why it is refused."""
        body = GetPoolStatusRequest().SerializeToString()
        credentials = Credentials(entry["id"], entry["secret"], WHO)
        headers = credentials.headers(POOL_STATUS, body if signs_body else None)
        with self.world.channel() as channel:
            try:
                SignedCall(POOL_STATUS, body, headers).send(channel)
            except MatchingError as error:
                return error.metadata.get("detail", error.reason)
        return "OK"

    def wait_until(self, said: str, entry: Entry, **how: bool) -> None:
        """Waits until a call that is signed with the key is told that."""
        what = f"{entry['id']} is told {said}"
        eventually(lambda: self.told(entry, **how) == said, timeout=20, interval=0.1, what=what)

    def client(self, entry: Entry) -> MatchingClient:
        """A client that signs with the key; its user closes it."""
        return MatchingClient(self.server.address, key_id=entry["id"], secret=entry["secret"], claims=WHO)


def add(file: Path, kid: str) -> None:
    """Makes a key as an operator does."""
    made = run_command("keys", "new", "--file", str(file), "--id", kid)
    assert (made.returncode, made.stdout) == (0, f"{kid}\n")


def entry_of(kid: str, **changes: Any) -> Entry:
    return new_key(kid).as_json() | changes


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    add(file, "first")
    return file


@pytest.fixture(scope="module")
def server_settings(keys_file: Path) -> Mapping[str, object]:
    return {"hmac_keys_file": keys_file}


@pytest.fixture(scope="module")
def server_arguments() -> Sequence[tuple[str, ...]]:
    """One server."""
    return [()]


@pytest.fixture
def keys(world: World, keys_file: Path) -> Iterator[Keys]:
    """A server, and its key file; at the end that has its first key alone, and the server knows."""
    keys = Keys(world, keys_file)
    yield keys
    last = entry_of("last")
    keys.put(last)
    keys.wait_until("OK", last)
    keys.put()
    keys.wait_until(INVALID, last)


either_way = pytest.mark.parametrize("put", [replaced, written_over], ids=lambda put: str(put.__name__))


@either_way
def test_keys_rotate_while_streams_and_calls_are_under_way(keys: Keys, put: Put) -> None:
    world, old = keys.world, entry_of("old")
    project, asked = world.new_project(), world.new_project()
    keys.put(old, put=put)
    keys.wait_until("OK", old)
    add(keys.file, "new")
    new = keys.entries["new"]
    keys.wait_until("OK", new)
    assert keys.told(old) == "OK"
    pending = world.service().create_match(asked).match
    lock = "SELECT 1 FROM project_event_heads WHERE project_id = :id FOR UPDATE"
    with (
        keys.client(old) as former,
        keys.client(new) as latter,
        watching(former, project) as watch,
        ThreadPoolExecutor(1) as pool,
    ):
        with held(world.conn, lock, id=asked) as holder:
            waiting = pool.submit(former.create_match, asked, timeout=60)
            wait_for_waiter_on(world.conn, holder)
            keys.put(new, put=put)
            keys.wait_until(INVALID, old)
        assert waiting.result(20).match.id == pending.id
        match = latter.create_match(project).match
        assert next(watch).match.match_id == match.id
    assert [keys.told(key) for key in (old, new)] == [INVALID, "OK"]
    assert '"kid":"old"' in keys.server.log()
    assert old["secret"] not in keys.server.log()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def doubled(content: bytes) -> bytes:
    return json.dumps({"keys": json.loads(content)["keys"] * 2}).encode()


BROKEN: Mapping[str, Callable[[bytes], bytes]] = {
    "in the middle of being written": half,
    "emptied": lambda _: b"",
    "an id twice": doubled,
    "a short secret": lambda _: b'{"keys": [{"id": "first", "secret": "hush"}]}',
    "no key": lambda _: b'{"keys": []}',
    "nested deeply": lambda _: b"[" * 100_000,
}


def test_a_file_that_is_broken_or_away_leaves_the_keys_in_use(keys: Keys) -> None:
    good = keys.file.read_bytes()
    for put, (name, breaking) in zip([replaced, written_over] * len(BROKEN), BROKEN.items(), strict=False):
        with keys.server.telling(NOT_IN_ORDER):
            put(keys.file, breaking(good))
        assert keys.told(keys.first) == "OK", name
        with keys.server.telling(IN_USE):
            put(keys.file, good)
    with keys.server.telling(NOT_IN_ORDER):
        away = keys.file.rename(keys.file.with_suffix(".away"))
    assert keys.told(keys.first) == "OK"
    with keys.server.telling(IN_USE):
        away.rename(keys.file)
    assert keys.told(keys.first) == "OK"
    assert "hush" not in keys.server.log()
    assert "Traceback" not in keys.server.log()


def test_what_a_key_may_is_what_the_file_says_now(keys: Keys) -> None:
    key = entry_of("changing")
    keys.put(key)
    keys.wait_until("OK", key)
    assert keys.told(key, signs_body=False) == "BODY_UNSIGNED"
    keys.put(key | {"allow_unsigned_body": True})
    keys.wait_until("OK", key, signs_body=False)
    keys.put(key | {"max_roles": ["client"]})
    keys.wait_until("PERMISSION_DENIED", key)
    assert keys.told(key, signs_body=False) == "BODY_UNSIGNED"
    keys.put(entry_of("changing"))
    keys.wait_until(INVALID, key)


def test_a_key_is_good_from_its_beginning_to_its_end(keys: Keys) -> None:
    def seconds_from_now(seconds: float) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()

    later, other = entry_of("later", not_before=seconds_from_now(3600)), entry_of("other")
    for seconds in (4, 12, 36):
        began, ends = seconds_from_now(-3600), seconds_from_now(seconds)
        brief = entry_of("brief", not_before=began, not_after=ends)
        keys.put(later, brief, other)
        keys.wait_until("OK", other)
        if keys.told(brief) == "OK":
            break
        other = entry_of("other")
    else:
        pytest.fail("no key was good before its end, even where that was half a minute away")
    assert keys.told(later) == INVALID
    eventually(lambda: keys.told(brief) == INVALID, timeout=40, interval=0.1, what="the end has come")
