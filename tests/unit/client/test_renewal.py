from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from matching_client import AsyncMatchingClient, AsyncRenewingClaims, Claims, MatchingClient, RenewingClaims
from tests.unit.client.scripted import KEY_ID, SECRET, USER, ScriptedServer


class IdentityService:
    """Gives claims that are valid for so many seconds, or fails."""

    def __init__(self, *lifetimes: int | Exception | None) -> None:
        self.asked = 0
        self._lifetimes = lifetimes

    def claims(self) -> Claims:
        threading.Event().wait(0.01)
        lifetime = self._lifetimes[min(self.asked, len(self._lifetimes) - 1)]
        self.asked += 1
        if isinstance(lifetime, Exception):
            raise lifetime
        expires = None if lifetime is None else int(time.time()) + lifetime
        return Claims(f"user-{self.asked}", expires=expires)

    async def awaited(self) -> Claims:
        await asyncio.sleep(0.01)
        return self.claims()


def threads(identity: IdentityService, count: int) -> list[Claims]:
    """What so many threads get at once, and after that one more."""
    provider = RenewingClaims(identity.claims)
    with ThreadPoolExecutor(count) as pool:
        given = list(pool.map(lambda _: provider(), range(count)))
    return [*given, provider()]


def tasks(identity: IdentityService, count: int) -> list[Claims]:
    """What so many tasks get at once, and after that one more."""
    provider: Any = AsyncRenewingClaims(identity.awaited)

    async def ask() -> Claims:
        claims = provider()
        return claims if isinstance(claims, Claims) else await claims

    async def use() -> list[Claims]:
        return [*await asyncio.gather(*(ask() for _ in range(count))), await ask()]

    return asyncio.run(use())


Ask = Callable[[IdentityService, int], list[Claims]]
either = pytest.mark.parametrize("ask", [threads, tasks])


@either
def test_claims_are_fetched_once_for_all_calls(ask: Ask) -> None:
    identity = IdentityService(3600)
    assert {claims.user_id for claims in ask(identity, 8)} == {"user-1"}
    assert identity.asked == 1


@either
def test_claims_are_renewed_before_they_expire(ask: Ask) -> None:
    identity = IdentityService(20, 20, 3600)
    assert ask(identity, 1)[-1].user_id == "user-2"
    assert identity.asked == 2, "20 s are less than the margin"


@either
def test_while_the_identity_service_is_away_claims_serve_as_long_as_they_are_valid(ask: Ask) -> None:
    identity = IdentityService(20, ConnectionError("away"))
    assert ask(identity, 1)[-1].user_id == "user-1"
    assert identity.asked == 2


@either
def test_the_error_of_the_identity_service_is_raised_where_there_are_no_valid_claims(ask: Ask) -> None:
    with pytest.raises(ConnectionError):
        ask(IdentityService(ConnectionError("away")), 1)
    with pytest.raises(ConnectionError):
        ask(IdentityService(-1, ConnectionError("away")), 1)


@either
def test_claims_that_never_expire_are_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match="when they expire"):
        ask(IdentityService(None), 1)


def test_the_clients_take_them(server: ScriptedServer) -> None:
    key: Any = {"key_id": KEY_ID, "secret": SECRET}
    identity = IdentityService(3600)
    with MatchingClient(server.address, claims=RenewingClaims(identity.claims), **key) as client:
        client.get_match("m")
        client.get_match("m")

    async def use() -> None:
        claims = AsyncRenewingClaims(identity.awaited)
        async with AsyncMatchingClient(server.address, claims=claims, **key) as client:
            await client.get_match("m")
            await client.get_match("m")

    asyncio.run(use())
    asked = [str(call.metadata["x-sheen-claims"]) for call in server.received]
    assert ['"user-1"' in claims for claims in asked] == [True, True, False, False]
    assert identity.asked == 2


def test_a_provider_that_has_to_be_awaited_is_none_for_the_synchronous_client(server: ScriptedServer) -> None:
    async def use() -> Claims:
        return Claims(USER)

    later = use()
    with (
        MatchingClient(server.address, key_id=KEY_ID, secret=SECRET, claims=lambda: later) as client,  # type: ignore[arg-type, return-value]
        pytest.raises(TypeError, match="AsyncMatchingClient awaits them"),
    ):
        client.get_match("m")
    later.close()
