from __future__ import annotations

import json
import re

import pytest

from matching_client import Claims, Credentials
from matching_client.signing import claims_json, correlation_metadata, needs_signature
from tests.unit.client.scripted import GET_MATCH, KEY_ID, SECRET, USER, WATCH, Received

CLAIMS = Claims(USER, "ada@example.com", ("client", "admin"))
NOW = 1_750_000_000.9
NONCE = "0123456789abcdef0123456789abcdef"


def headers(claims: Claims = CLAIMS, body: bytes | None = b"body", lifetime: int = 60) -> Received:
    signed = Credentials(KEY_ID, SECRET, claims).headers(GET_MATCH, body, now=NOW, lifetime=lifetime)
    return Received(GET_MATCH, body or b"", dict(signed), None)


def test_the_signature_is_as_the_contract_says() -> None:
    call = headers()
    call.assert_signed()
    assert call.part("ts") == "1750000000"
    assert call.part("body") == "sha256"
    assert re.fullmatch("[0-9a-f]{32}", call.part("nonce"))


def test_an_unsigned_body_is_said_to_be_so() -> None:
    call = headers(body=None)
    call.assert_signed()
    assert call.part("body") == "unsigned"


def test_every_signature_has_its_own_nonce() -> None:
    assert headers().part("nonce") != headers().part("nonce")


def test_claims_without_an_expiry_get_a_fresh_one() -> None:
    assert json.loads(str(headers(lifetime=300).metadata["x-sheen-claims"])) == {
        "userId": USER,
        "email": "ada@example.com",
        "roles": ["client", "admin"],
        "expires": 1_750_000_300,
    }
    fixed = headers(Claims(USER, expires=1_750_000_042))
    assert json.loads(str(fixed.metadata["x-sheen-claims"]))["expires"] == 1_750_000_042


def test_a_function_is_asked_for_the_claims_of_each_attempt() -> None:
    users = iter(["first", "second"])
    credentials = Credentials(KEY_ID, SECRET, lambda: Claims(next(users)))
    spoken = [json.loads(credentials.headers(GET_MATCH, b"")[0][1])["userId"] for _ in range(2)]
    assert spoken == ["first", "second"]


def test_claims_are_printable_ascii_without_spaces_and_wildcards() -> None:
    odd = Claims(USER, 'zoë "the one" *? \x7f\n@example.com 🙂', ("a role",))
    text = claims_json(odd, 1)
    assert re.fullmatch(r"[!-~]+", text)
    assert not set(" *?") & set(text)
    assert json.loads(text)["email"] == odd.email
    assert json.loads(text)["roles"] == ["a role"]


def test_claims_beyond_4_kb_are_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        claims_json(Claims(USER, "x" * 4096), 1)


def test_a_lone_string_is_no_list_of_roles() -> None:
    with pytest.raises(TypeError, match="roles"):
        Claims(USER, "", "admin")


@pytest.mark.parametrize("key_id", ["", "a;b", "a b", "a\nb", "ä", "x" * 65])
def test_a_key_id_that_no_server_takes_is_refused(key_id: str) -> None:
    with pytest.raises(ValueError, match="key id"):
        Credentials(key_id, SECRET, CLAIMS)


def test_a_short_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes") as caught:
        Credentials(KEY_ID, "hunter2", CLAIMS)
    assert "hunter2" not in str(caught.value)
    Credentials(KEY_ID, "ü" * 16, CLAIMS)


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(Credentials(KEY_ID, SECRET, CLAIMS))


@pytest.mark.parametrize(
    ("method", "signed"),
    [
        (GET_MATCH, True),
        (WATCH, True),
        ("/advisor_matching.v1.SystemService/GetServiceInfo", False),
        ("/grpc.health.v1.Health/Check", False),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", False),
    ],
)
def test_only_the_contract_is_signed(method: str, signed: bool) -> None:
    assert needs_signature(method) is signed


@pytest.mark.parametrize("wrong", ["", "a b", "ä", "x" * 129, "a\n"])
def test_a_correlation_id_that_the_service_would_not_take_over_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="correlation id"):
        correlation_metadata(wrong)
    assert correlation_metadata("A-1.b_2") == (("x-correlation-id", "A-1.b_2"),)
    assert correlation_metadata(None) == ()
