"""Signature and claims at random: nobody gets in who did not sign what they say, and the server stays well."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_client import Claims, MatchingError
from matching_client.catalog import find_method, path_of
from matching_client.signing import Credentials, canonical_string
from matching_client.status_details import from_rpc_error
from tests.robustness.conftest import Tell
from tests.support.http2 import status_of
from tests.support.messages import batches
from tests.support.rounds import rounds
from tests.support.world import SERVICE, World

CLAIMS, SIGNATURE = "x-sheen-claims", "x-sheen-signature"
METHODS = [
    find_method(name)
    for name in ("MatchService/GetMatch", "MatchService/CreateMatch", "EventService/WatchProjectEvents")
]
WELL_SIGNED = {
    "CLAIMS_MALFORMED",
    "CLAIMS_EXPIRED",
    "PERMISSION_DENIED",
    "INVALID_ARGUMENT",
    "SIGNATURE_INVALID",
}
"""Where an empty message ends that was signed well, whatever the claims say."""
FAULTS = {"SIGNATURE_INVALID", "TIMESTAMP_SKEW", "CLAIMS_MALFORMED", "CLAIMS_EXPIRED", "BODY_UNSIGNED"}
T = TypeVar("T")
_SECONDS = 30.0
Headers = Sequence[tuple[str, str | bytes]]
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200)
HUGE = st.builds(lambda text, times: (text + "x") * times, PRINTABLE, st.sampled_from((10, 40)))
JUNK = PRINTABLE | HUGE
UNUSUAL = st.tuples(st.sampled_from((f"{CLAIMS}-bin", f"{SIGNATURE}-bin")), st.binary(max_size=100))


def calls(headers: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[str, T]]:
    """A method's path with each."""
    return st.tuples(st.sampled_from([path_of(method) for method in METHODS]), headers)


def proper(world: World, path: str) -> Headers:
    """What would let an empty message in."""
    endpoint = world.servers.all[0].endpoint
    who = Claims(str(SERVICE), roles=["service"])
    return Credentials(endpoint.key_id, endpoint.secret, who).headers(path, b"")


def told(channel: grpc.Channel, calls: Sequence[tuple[str, Headers]]) -> list[MatchingError]:
    """How each of the calls is refused, all made at once with an empty message."""
    begun = []
    for path, headers in calls:
        call: Any = channel.unary_unary(path)
        begun.append(call.future(b"", metadata=tuple(headers), timeout=_SECONDS))
    return [from_rpc_error(call) for call in begun]


def assert_refused(error: MatchingError, headers: Headers) -> None:
    if sum(len(name) + len(value) + 32 for name, value in headers) > 8_000 and not error.reason:
        # gRPC itself refuses what is beyond its bounds.
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED, headers
        return
    assert error.code is grpc.StatusCode.UNAUTHENTICATED, (error, headers)
    assert error.metadata["detail"] in FAULTS
    assert error.correlation_id


def well(world: World) -> None:
    [server] = [world.servers.all[0]]
    assert world.values("SELECT kid FROM used_nonces") == []
    assert world.admin().get_pool_status().total_advisors == 0
    log = server.log(last=1_000_000)
    assert "Traceback" not in log
    assert "internal error" not in log


def test_headers_at_random_let_nobody_in(world: World) -> None:
    one = st.one_of(st.tuples(st.sampled_from((CLAIMS, SIGNATURE)), JUNK), UNUSUAL)
    with world.channel() as channel:
        for batch in batches(calls(st.lists(one, max_size=4)), rounds(320, full=10_000)):
            for error, (_, headers) in zip(told(channel, batch), batch, strict=True):
                assert_refused(error, headers)
    well(world)


HEX = "0123456789abcdef"
Damage = tuple[int, int, int, str]
"""Which header, from where, how much of it, and what takes its place; nothing for nothing is another of its kind."""
DAMAGES: st.SearchStrategy[Damage] = st.tuples(
    st.integers(0, 1), st.integers(0, 400), st.integers(0, 4), st.text('{}"0aAfF;=:, ', max_size=4)
) | st.tuples(st.integers(0, 1), st.integers(0, 400), st.just(0), st.just(""))


def damaged(headers: Headers, damage: Damage) -> Headers:
    which, at, length, new = damage
    pairs = [(name, str(value)) for name, value in headers]
    name, value = pairs[which]
    at %= len(value)
    if not new and not length:
        # The shape stays as it is.
        length, new = 1, HEX[HEX.index(value[at]) - 1] if value[at] in HEX else value[at].swapcase()
    pairs[which] = (name, value[:at] + new + value[at + length :])
    return pairs


def test_a_good_signature_that_is_damaged_anywhere_lets_nobody_in(world: World) -> None:
    with world.channel() as channel:
        for batch in batches(calls(DAMAGES), rounds(320, full=10_000)):
            bad = []
            for path, damage in batch:
                good = proper(world, path)
                headers = damaged(good, damage)
                # gRPC trims what surrounds a value.
                if [str(value).strip() for _, value in headers] != [value for _, value in good]:
                    bad.append((path, headers))
            for error, (_, headers) in zip(told(channel, bad), bad, strict=True):
                assert_refused(error, headers)
    well(world)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(str(SERVICE)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GOOD = {"userId": str(SERVICE), "email": "", "roles": ["service"], "expires": 0}


@st.composite
def claimed(draw: Any) -> str:
    """The claims of the platform, most of them with something else in a place or two."""
    claims = {**GOOD, "expires": int(time.time()) + 60}
    for name in draw(st.lists(st.sampled_from(list(GOOD)), max_size=2)):
        claims[name] = draw(VALUES)
    return json.dumps(claims)


def signed(world: World, path: str, claims: str) -> Headers:
    """Whatever the claims say, signed as it has to be."""
    endpoint, now, nonce = world.servers.all[0].endpoint, int(time.time()), secrets.token_hex(16)
    text = canonical_string(endpoint.key_id, now, nonce, path, claims, b"")
    sig = hmac.new(endpoint.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return [
        (CLAIMS, claims),
        (SIGNATURE, f"v1;kid={endpoint.key_id};ts={now};nonce={nonce};body=sha256;sig={sig}"),
    ]


def test_claims_at_random_that_are_signed_well_are_malformed_or_heard(world: World, tell: Tell) -> None:
    faults: Counter[str] = Counter()
    with world.channel() as channel:
        for batch in batches(calls(claimed() | PRINTABLE.map(str.strip)), rounds(320, full=10_000)):
            made = [(path, signed(world, path, claims)) for path, claims in batch]
            for error, (_, claims) in zip(told(channel, made), batch, strict=True):
                detail = error.metadata.get("detail", error.reason)
                assert detail in WELL_SIGNED, claims
                # An empty header is none; nothing else that was signed well is a bad signature.
                assert detail != "SIGNATURE_INVALID" or not claims
                faults[detail] += 1
    assert faults["INVALID_ARGUMENT"]
    assert faults["CLAIMS_MALFORMED"]
    well(world)
    tell(f"{dict(faults)}")


@pytest.mark.parametrize("name", [CLAIMS, SIGNATURE, "x-correlation-id"])
def test_bytes_that_no_library_would_send_let_nobody_in(world: World, name: str) -> None:
    address, path = world.servers.all[0].address, path_of(METHODS[0])

    @settings(max_examples=rounds(30, full=1_000), deadline=None, database=None)
    @given(st.binary(max_size=126))
    def send(value: bytes) -> None:
        assert status_of(address, path, [(name.encode(), value)]) == grpc.StatusCode.UNAUTHENTICATED.value[0]

    send()
    well(world)
