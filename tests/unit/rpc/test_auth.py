from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching_server.domain.errors import AuthenticationFault, Unauthenticated
from matching_server.domain.model import Role
from matching_server.rpc.auth import Authenticated, authenticate
from matching_server.rpc.keys import Key, KeyRing
from tests.unit.rpc.signing import KID, NONCE, NOW, SECRET, USER, claims, headers, signature

METHOD = "/advisor_matching.v1.MatchService/CreateMatch"
BODY = b"\n\x02hi"
KEYS = KeyRing(
    [
        Key(KID, SECRET),
        Key("may-skip-body", SECRET, allow_unsigned_body=True),
        Key("clients-only", SECRET, max_roles=frozenset({Role.CLIENT})),
        Key("over", SECRET, not_after=NOW),
        Key("later", SECRET, not_before=NOW + 1),
    ]
)


def check(
    metadata: list[tuple[str, Any]],
    *,
    method: str = METHOD,
    body: bytes = BODY,
    now: float = NOW,
    needs_nonce: bool = True,
) -> Authenticated:
    return authenticate(metadata, method, body, keys=KEYS, now=now, needs_nonce=needs_nonce)


def fault(metadata: list[tuple[str, Any]], **kwargs: Any) -> str:
    with pytest.raises(Unauthenticated) as caught:
        check(metadata, **kwargs)
    assert SECRET not in str(caught.value)
    return caught.value.metadata["detail"]


def test_a_signed_call_gives_its_caller_and_nonce() -> None:
    verified = check(headers(METHOD, BODY))
    assert verified.caller.user_id == UUID(USER)
    assert verified.caller.email == "ada@example.com"
    assert verified.caller.roles == {Role.CLIENT}
    assert verified.nonce is not None
    assert (verified.nonce.kid, verified.nonce.value) == (KID, NONCE)
    assert verified.claims_expire_at == NOW + 3600


def test_a_known_vector_stays_valid() -> None:
    """Worked out once with openssl, so that both sides cannot change together unseen."""
    text = (
        '{"userId": "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11", "email": "ada@example.com",'
        ' "roles": ["client"], "expires": 1750003600}'
    )
    sig = "19d1081ddc90236d26bd74b80ea04e72a18e891f0972b571245926a09b73c337"
    header = f"v1;kid={KID};ts={NOW};nonce={NONCE};body=sha256;sig={sig}"
    assert check([("x-sheen-claims", text), ("x-sheen-signature", header)]).caller.email == "ada@example.com"


def test_a_read_spends_no_nonce() -> None:
    assert check(headers(METHOD, BODY), needs_nonce=False).nonce is None


def test_the_key_limits_the_roles_and_unknown_roles_give_nothing() -> None:
    text = claims(roles=["client", "admin", "astronaut"])
    assert check(headers(METHOD, BODY, text)).caller.roles == {Role.CLIENT, Role.ADMIN}
    assert check(headers(METHOD, BODY, text, kid="clients-only")).caller.roles == {Role.CLIENT}


def test_an_unsigned_body_passes_where_the_key_allows_it() -> None:
    metadata = headers(METHOD, b"", kid="may-skip-body", unsigned=True)
    assert check(metadata, body=b"anything").caller.user_id == UUID(USER)


SIGNATURE_INVALID = [
    pytest.param([], id="no headers"),
    pytest.param(headers(METHOD, BODY)[:1], id="no signature"),
    pytest.param(headers(METHOD, BODY)[1:], id="no claims"),
    pytest.param(headers(METHOD, BODY) + headers(METHOD, BODY)[:1], id="claims twice"),
    pytest.param(headers(METHOD, BODY) + headers(METHOD, BODY)[1:], id="signature twice"),
    pytest.param(headers(METHOD, BODY, kid="nobody"), id="unknown key"),
    pytest.param(headers(METHOD, BODY, kid="over"), id="key no longer valid"),
    pytest.param(headers(METHOD, BODY, kid="later"), id="key not yet valid"),
    pytest.param(headers(METHOD, BODY, secret=SECRET[::-1]), id="wrong secret"),
    pytest.param(headers("/advisor_matching.v1.MatchService/GetMatch", BODY), id="another method"),
    pytest.param(headers(METHOD, BODY + b"x"), id="another body"),
    pytest.param([("x-sheen-claims", claims(roles=["admin"])), headers(METHOD, BODY)[1]], id="other claims"),
]


@pytest.mark.parametrize("metadata", SIGNATURE_INVALID)
def test_what_is_not_signed_so_is_signature_invalid(metadata: list[tuple[str, Any]]) -> None:
    assert fault(metadata) == "SIGNATURE_INVALID"


def test_an_unknown_key_reads_like_a_bad_signature() -> None:
    texts = []
    for metadata in (headers(METHOD, BODY, kid="nobody"), headers(METHOD, BODY, secret=SECRET[::-1])):
        with pytest.raises(Unauthenticated) as caught:
            check(metadata)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1;", "v2;"),
        ("v1;", " v1;"),
        ("kid=test-key", "kid="),
        ("kid=test-key", "kid=test key"),
        (f"ts={NOW}", f"ts=+{NOW}"),
        (f"ts={NOW}", f"ts={NOW}.0"),
        (f"ts={NOW}", f"ts=0{NOW}"),
        (f"ts={NOW}", "ts=\u0661\u0667\u0665"),
        (f"nonce={NONCE}", f"nonce={NONCE.upper()}"),
        (f"nonce={NONCE}", f"nonce={NONCE[:-1]}"),
        ("body=sha256", "body=none"),
        ("sig=", "sig=0"),
        ("sig=", "SIG="),
        (";body", ";extra=1;body"),
    ],
)
def test_a_misshapen_header_is_signature_invalid(old: str, new: str) -> None:
    text, (name, header) = headers(METHOD, BODY)
    assert fault([text, (name, header.replace(old, new, 1))]) == "SIGNATURE_INVALID"
    assert fault([text, (name, header + "\n")]) == "SIGNATURE_INVALID"
    assert fault([text, (name, header.encode())]) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("off", [-301, 301, -NOW])
def test_a_timestamp_that_is_off_is_skew(off: int) -> None:
    assert fault(headers(METHOD, BODY, ts=NOW + off)) == "TIMESTAMP_SKEW"


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_timestamp_within_five_minutes_passes(off: int) -> None:
    check(headers(METHOD, BODY, ts=NOW + off))


MALFORMED_CLAIMS = [
    "",
    "{",
    "[]",
    "null",
    '"text"',
    "[" * 4000,
    claims() + " " * 4096,
    claims(email="ä").encode().decode("unicode_escape"),
    claims(userId=None),
    claims(userId=7),
    claims(userId=USER.replace("-", "")),
    claims(userId="{" + USER + "}"),
    claims(userId=USER + "\n"),
    claims(email=None),
    claims(email="a\x00b@example.com"),
    claims(email="a\nb@example.com"),
    claims(email="\ud800@example.com"),
    claims(roles=None),
    claims(roles="client"),
    claims(roles={"client": True}),
    claims(roles=["client", 1]),
    claims(expires=None),
    claims(expires=True),
    claims(expires=str(NOW + 60)),
    claims(expires=NOW + 24 * 3600 + 1),
    claims(expires=10**3000),
    claims(expires=float("nan")),
    claims(expires=float("inf")),
    claims().replace(str(NOW + 3600), "1e999"),
]


@pytest.mark.parametrize("text", MALFORMED_CLAIMS)
def test_odd_claims_are_malformed(text: str) -> None:
    assert fault(headers(METHOD, BODY, text)) == "CLAIMS_MALFORMED"


def test_claims_without_a_field_are_malformed() -> None:
    for name in ("userId", "email", "roles", "expires"):
        values = json.loads(claims())
        del values[name]
        assert fault(headers(METHOD, BODY, json.dumps(values))) == "CLAIMS_MALFORMED"


def test_claims_that_are_not_ascii_are_malformed() -> None:
    text = json.dumps(json.loads(claims(email="ä@example.com")), ensure_ascii=False)
    assert fault(headers(METHOD, BODY, text)) == "CLAIMS_MALFORMED"
    assert check(headers(METHOD, BODY, claims(email="ä@example.com"))).caller.email == "ä@example.com"


@pytest.mark.parametrize("expires", [NOW, NOW - 1, NOW - 0.5, -(10**3000), 0])
def test_past_claims_are_expired(expires: float) -> None:
    assert fault(headers(METHOD, BODY, claims(expires=expires))) == "CLAIMS_EXPIRED"


def test_claims_may_hold_for_a_day() -> None:
    assert check(headers(METHOD, BODY, claims(expires=NOW + 24 * 3600))).claims_expire_at == NOW + 86400


def test_an_unsigned_body_is_refused_unless_the_key_allows_it() -> None:
    assert fault(headers(METHOD, b"", unsigned=True)) == "BODY_UNSIGNED"


def test_the_checks_come_in_the_order_of_the_contract() -> None:
    """Each call has every later fault, too; the first one counts."""
    late, bad = NOW - 1000, SECRET[::-1]
    expired, odd = claims(expires=NOW - 1), "[]"
    sign: dict[str, Any] = {"unsigned": True}
    assert fault(headers(METHOD, b"", odd, kid="nobody", ts=late, secret=bad, **sign)) == "SIGNATURE_INVALID"
    assert fault(headers(METHOD, b"", odd, ts=late, secret=bad, **sign)) == "TIMESTAMP_SKEW"
    assert fault(headers(METHOD, b"", odd, secret=bad, **sign)) == "SIGNATURE_INVALID"
    assert fault(headers(METHOD, b"", odd, **sign)) == "CLAIMS_MALFORMED"
    assert fault(headers(METHOD, b"", expired, **sign)) == "CLAIMS_EXPIRED"
    assert fault(headers(METHOD, b"", **sign)) == "BODY_UNSIGNED"


@given(st.text(), st.text(), st.booleans())
def test_no_header_breaks_the_check(text: str, other: str, signed: bool) -> None:
    sig = signature(text.encode("utf-8", "replace").decode(), METHOD, BODY) if signed else other
    with pytest.raises(Unauthenticated) as caught:
        check([("x-sheen-claims", text), ("x-sheen-signature", sig)])
    assert caught.value.metadata["detail"] in set(AuthenticationFault)
