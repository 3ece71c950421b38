"""Each fault of a signature, at every method of the contract: refused by its name, and nothing comes of it."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from matching_client import MatchingError, Unauthenticated
from matching_client.catalog import path_of
from tests.support.contract import SIGNED, name_of
from tests.support.http2 import Headers, status_of
from tests.support.raw import Metadata, SignedCall
from tests.support.world import ADMIN, World
from tests.unit.rpc.signing import signature

ANY, STRICT, OVER, LATER = "any", "strict", "over", "later"
SECRET = secrets.token_hex(32)
ROLES = ["client", "advisor", "service", "admin"]
CLAIMS, SIGNATURE = "x-sheen-claims", "x-sheen-signature"
DAY = 24 * 3600
INVALID, SKEW, MALFORMED = "SIGNATURE_INVALID", "TIMESTAMP_SKEW", "CLAIMS_MALFORMED"
EXPIRED, UNSIGNED = "CLAIMS_EXPIRED", "BODY_UNSIGNED"


@pytest.fixture(scope="module")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """Keys of every kind, with one secret."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    kinds: dict[str, dict[str, Any]] = {
        ANY: {"allow_unsigned_body": True},
        STRICT: {},
        OVER: {"not_after": "2020-01-01T00:00:00Z"},
        LATER: {"not_before": "2999-01-01T00:00:00Z"},
    }
    file.write_text(
        json.dumps({"keys": [{"id": kid, "secret": SECRET} | kind for kid, kind in kinds.items()]})
    )
    return {"sweep_seconds": 3600, "hmac_keys_file": Path(file)}


@pytest.fixture(scope="module")
def server_arguments() -> Sequence[tuple[str, ...]]:
    """One server."""
    return [()]


def claims(**changes: Any) -> str:
    """The claims of somebody who may call everything; a change to None leaves that out."""
    values = {"userId": str(ADMIN), "email": "", "roles": ROLES, "expires": int(time.time()) + 60} | changes
    return json.dumps({name: value for name, value in values.items() if value is not None})


def headers(path: str, text: str | None = None, body: bytes = b"", **how: Any) -> Metadata:
    """Both headers, signed in full unless told otherwise."""
    text = claims() if text is None else text
    usual: dict[str, Any] = {"kid": STRICT, "secret": SECRET, "ts": int(time.time())}
    how = usual | {"nonce": secrets.token_hex(16)} | how
    return ((CLAIMS, text), (SIGNATURE, signature(text, path, body, **how)))


Fault = tuple[str, Callable[[str], Metadata]]


def with_claims(detail: str, text: Callable[[], str]) -> Fault:
    return detail, lambda path: headers(path, text())


def with_change(old: str, new: str) -> Fault:
    """A good header, but for a change."""

    def changed(path: str) -> Metadata:
        first, (name, value) = headers(path, nonce="ab" * 16)
        assert old in value
        return (first, (name, value.replace(old, new, 1)))

    return INVALID, changed


def in_seconds(seconds: float) -> str:
    return claims(expires=time.time() + seconds)


def timed(**how: Any) -> Callable[[str], Metadata]:
    """Headers with another time."""
    return lambda path: headers(path, **{name: int(time.time()) + value for name, value in how.items()})


FAULTS: Mapping[str, Fault] = {
    "no headers": (INVALID, lambda path: ()),
    "claims alone": (INVALID, lambda path: headers(path)[:1]),
    "a signature alone": (INVALID, lambda path: headers(path)[1:]),
    "claims twice": (INVALID, lambda path: headers(path) + headers(path)[:1]),
    "a signature twice": (INVALID, lambda path: (both := headers(path)) + both[1:]),
    "both twice": (INVALID, lambda path: (both := headers(path)) + both),
    "claims in a binary header": (
        INVALID,
        lambda path: cast(Metadata, ((f"{CLAIMS}-bin", claims().encode()), headers(path)[1])),
    ),
    "an empty signature": (INVALID, lambda path: (headers(path)[0], (SIGNATURE, ""))),
    "a long signature": (INVALID, lambda path: (headers(path)[0], (SIGNATURE, "v1;" * 1300))),
    "another version": with_change("v1;", "v2;"),
    "no key": with_change(f"kid={STRICT};", ""),
    "a part twice": with_change("body=sha256;", "body=sha256;body=sha256;"),
    "a further part": with_change("body=sha256;", "body=sha256;alg=none;"),
    "a short nonce": with_change("nonce=ab", "nonce="),
    "a nonce in capitals": with_change("nonce=ab", "nonce=AB"),
    "another nonce": with_change("nonce=ab", "nonce=cd"),
    "no body rule": with_change("body=sha256", "body=none"),
    "another body rule": with_change("body=sha256", "body=unsigned"),
    "a signature that is not hex": with_change("sig=", "sig=x"),
    "another time": with_change("ts=", "ts=0"),
    "a time with a sign": with_change("ts=", "ts=-"),
    "an unknown key": (INVALID, lambda path: headers(path, kid="nobody")),
    "a key that is over": (INVALID, lambda path: headers(path, kid=OVER)),
    "a key that is to come": (INVALID, lambda path: headers(path, kid=LATER)),
    "another secret": (INVALID, lambda path: headers(path, secret=SECRET[::-1])),
    "another method": (INVALID, lambda path: headers(path + "s")),
    "another body": (INVALID, lambda path: headers(path, body=b"\n\x01x")),
    "other claims": (INVALID, lambda path: ((CLAIMS, claims(email="x")), headers(path)[1])),
    "too old": (SKEW, timed(ts=-310)),
    "of the future": (SKEW, timed(ts=310)),
    "of the first day": (SKEW, lambda path: headers(path, ts=0)),
    "of another age": (SKEW, lambda path: headers(path, ts=999_999_999_999)),
    "no JSON": with_claims(MALFORMED, lambda: claims()[:-1]),
    "nothing": with_claims(MALFORMED, lambda: ""),
    "base64": with_claims(MALFORMED, lambda: base64.b64encode(claims().encode()).decode()),
    "broken base64": with_claims(MALFORMED, lambda: base64.b64encode(claims().encode()).decode()[:-3] + "%"),
    "a list": with_claims(MALFORMED, lambda: f"[{claims()}]"),
    "4,097 bytes": with_claims(MALFORMED, lambda: claims().ljust(4097)),
    "8,000 bytes": with_claims(MALFORMED, lambda: claims(email="x" * 8000)),
    "10,000 deep": with_claims(MALFORMED, lambda: "[" * 10_000),
    "as deep as there is room for": with_claims(MALFORMED, lambda: '{"userId":' * 409),
    "no user": with_claims(MALFORMED, lambda: claims(userId=None)),
    "a user that is no id": with_claims(MALFORMED, lambda: claims(userId="somebody")),
    "a user that is a number": with_claims(MALFORMED, lambda: claims(userId=7)),
    "an e-mail address that is none": with_claims(MALFORMED, lambda: claims(email=True)),
    "half a character": with_claims(MALFORMED, lambda: claims(email="\ud800")),
    "a control character": with_claims(MALFORMED, lambda: claims(email="\0")),
    "no roles": with_claims(MALFORMED, lambda: claims(roles=None)),
    "one role": with_claims(MALFORMED, lambda: claims(roles="admin")),
    "roles that are true": with_claims(MALFORMED, lambda: claims(roles=True)),
    "no expiry": with_claims(MALFORMED, lambda: claims(expires=None)),
    "an expiry that is true": with_claims(MALFORMED, lambda: claims(expires=True)),
    "an expiry that is text": with_claims(MALFORMED, lambda: claims(expires=str(int(time.time()) + 60))),
    "an expiry that is no number": with_claims(MALFORMED, lambda: claims(expires=float("nan"))),
    "an expiry without end": with_claims(MALFORMED, lambda: claims(expires=float("inf"))),
    "an expiry beyond floats": with_claims(MALFORMED, lambda: claims(expires=7).replace("7", "1e999")),
    "an expiry below floats": with_claims(MALFORMED, lambda: claims(expires=7).replace("7", "-1e999")),
    "an expiry of 3,000 digits": with_claims(MALFORMED, lambda: claims(expires=10**3000)),
    "an expiry in two days": with_claims(MALFORMED, lambda: in_seconds(2 * DAY)),
    "expired": with_claims(EXPIRED, lambda: in_seconds(-1)),
    "expired at the first day": with_claims(EXPIRED, lambda: claims(expires=0)),
    "expired before the world began": with_claims(EXPIRED, lambda: claims(expires=-(10**3000))),
    "an unsigned body": (UNSIGNED, lambda path: headers(path, unsigned=True)),
}


def refusal(channel: grpc.Channel, method: MethodDescriptor, metadata: Metadata) -> MatchingError | None:
    """How the call is refused; None where it is answered."""
    call = SignedCall(path_of(method), b"", metadata)
    try:
        call.open(channel) if method.server_streaming else call.send(channel)
    except MatchingError as error:
        return error
    return None


@pytest.mark.parametrize("method", SIGNED, ids=name_of)
def test_every_fault_is_refused_by_its_name_and_nothing_comes_of_it(
    world: World, method: MethodDescriptor
) -> None:
    path, told = path_of(method), {}
    with world.channel() as channel:
        for name, (_, make) in FAULTS.items():
            error = refusal(channel, method, make(path))
            assert isinstance(error, Unauthenticated), name
            assert error.code is grpc.StatusCode.UNAUTHENTICATED
            assert error.metadata.keys() == {"detail"}
            assert error.correlation_id
            told[name] = error.detail
    assert told == {name: detail for name, (detail, _) in FAULTS.items()}
    assert world.value("SELECT count(*) FROM used_nonces") == 0
    assert world.value("SELECT count(*) FROM idempotent_requests") == 0


@pytest.mark.parametrize("method", SIGNED, ids=name_of)
def test_without_a_fault_the_same_call_is_heard(world: World, method: MethodDescriptor) -> None:
    path = path_of(method)
    with world.channel() as channel:
        for metadata in (headers(path), headers(path, kid=ANY, unsigned=True)):
            error = refusal(channel, method, metadata)
            assert error is None or error.reason not in {"AUTHENTICATION_ERROR", "INTERNAL_ERROR", ""}


@pytest.mark.parametrize("method", [SIGNED[0], next(m for m in SIGNED if m.server_streaming)], ids=name_of)
def test_headers_beyond_all_bounds_are_refused_and_others_are_served(
    world: World, method: MethodDescriptor
) -> None:
    path = path_of(method)
    with world.channel() as channel:
        for size in (20_000, 200_000):
            error = refusal(channel, method, headers(path, claims(email="x" * size)))
            assert error is not None
            assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert isinstance(refusal(channel, method, ()), Unauthenticated)
    assert world.admin().get_pool_status().total_advisors == 0


REFUSED_HERE, REFUSED_BY_THE_CORE = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL
ODD_HEADERS: Mapping[str, tuple[grpc.StatusCode, Headers]] = {
    "claims in UTF-8": (
        REFUSED_HERE,
        [(b"x-sheen-claims", b'{"email": "zo\xc3\xab"}'), (b"x-sheen-signature", b"v1")],
    ),
    "claims that are no text": (
        REFUSED_HERE,
        [(b"x-sheen-claims", b"\xff\0\n"), (b"x-sheen-signature", b"v1")],
    ),
    "a signature that is no text": (
        REFUSED_HERE,
        [(b"x-sheen-claims", b"{}"), (b"x-sheen-signature", b"\xff\0")],
    ),
    "two values in one": (
        REFUSED_HERE,
        [(b"x-sheen-claims", b"{},{}"), (b"x-sheen-signature", b"v1,v1")],
    ),
    "a correlation id that is no text": (REFUSED_HERE, [(b"x-correlation-id", b"\xff\n")]),
    "broken base64": (REFUSED_BY_THE_CORE, [(b"x-sheen-claims-bin", b"%%%")]),
    "capitals": (REFUSED_BY_THE_CORE, [(b"X-Sheen-Claims", b"{}")]),
}


def test_headers_that_no_library_sends_are_refused_and_others_are_served(world: World) -> None:
    [server] = world.servers.all
    path = path_of(SIGNED[0])
    told = {name: status_of(server.address, path, odd) for name, (_, odd) in ODD_HEADERS.items()}
    assert told == {name: code.value[0] for name, (code, _) in ODD_HEADERS.items()}
    assert world.admin().get_pool_status().total_advisors == 0
    assert "Traceback" not in server.log()
