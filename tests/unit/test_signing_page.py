"""docs/signing.md can be implemented from alone: its vectors come out by hashes alone, in the client and the server."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf import json_format

from matching_client import Claims
from matching_client.catalog import methods, path_of
from matching_client.signing import Credentials, canonical_string
from matching_server.domain.calls import Nonce
from matching_server.domain.errors import AuthenticationFault, Unauthenticated
from matching_server.rpc.access import SERVICES, methods_of
from matching_server.rpc.auth import authenticate
from matching_server.rpc.keys import Key, KeyRing

PAGE = (Path(__file__).parents[2] / "docs" / "signing.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Vector:
    """One of the page's: the cells of its table, the text that is signed, the headers."""

    title: str
    cells: dict[str, str]
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> bytes | None:
        """The request message; None where it is not signed."""
        return bytes.fromhex(self.cells["request, in hex"]) if "request, in hex" in self.cells else None


def vectors() -> list[Vector]:
    found = []
    for section in PAGE.split("## Test vectors")[1].split("\n## ")[0].split("\n### ")[1:]:
        cells = dict(re.findall(r"^\| ([^|`]+?) \| `(.*)` \|$", section, re.MULTILINE))
        if "| request, in hex | nothing: it has no bytes |" in section:
            cells["request, in hex"] = ""
        text, headers = re.findall(r"```\n(.*?)\n```", section, re.DOTALL)[:2]
        named = dict(line.split(": ", 1) for line in headers.splitlines())
        found.append(Vector(section.splitlines()[0], cells, text, named))
    return found


VECTORS = vectors()
every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector.title))


def test_the_vectors_cover_what_implementations_get_wrong() -> None:
    bodies = [vector.body for vector in VECTORS]
    assert len(VECTORS) == 3
    assert None in bodies
    assert b"" in bodies
    assert any(bodies)
    assert any("\\u00eb" in vector.cells["claims"] for vector in VECTORS)
    assert any("\\ud83d\\ude42" in vector.cells["claims"] for vector in VECTORS)
    assert any(not vector.cells["secret"].isascii() for vector in VECTORS)
    assert any(re.fullmatch("[0-9a-f]{32}", vector.cells["secret"]) for vector in VECTORS)


@every_vector
def test_a_vector_comes_out_by_hashes_and_hmac_alone(vector: Vector) -> None:
    cells, body = vector.cells, vector.body
    claims_hash = hashlib.sha256(cells["claims"].encode("ascii")).hexdigest()
    body_hash = "UNSIGNED" if body is None else hashlib.sha256(body).hexdigest()
    assert cells["SHA-256 of the claims"] == claims_hash
    assert cells.get("SHA-256 of the request", "UNSIGNED") == body_hash
    said = [cells[name] for name in ("key id", "timestamp", "nonce", "method")]
    assert vector.text == "\n".join(["SHEEN-HMAC-SHA256-V1", *said, claims_hash, body_hash])
    secret = cells["secret"].encode()
    assert cells.get("secret, in hex", secret.hex()) == secret.hex()
    assert cells["signature"] == hmac.new(secret, vector.text.encode(), hashlib.sha256).hexdigest()
    rule = "unsigned" if body is None else "sha256"
    assert vector.headers == {
        "x-sheen-claims": cells["claims"],
        "x-sheen-signature": f"v1;kid={said[0]};ts={said[1]};nonce={said[2]};body={rule};sig={cells['signature']}",
    }


@every_vector
def test_the_client_signs_so(vector: Vector) -> None:
    cells, claims = vector.cells, json.loads(vector.cells["claims"])
    who = Claims(claims["userId"], claims["email"], claims["roles"], claims["expires"])
    credentials = Credentials(cells["key id"], cells["secret"], who)
    now = int(cells["timestamp"])
    signed = credentials.headers(cells["method"], vector.body, now=now, nonce=cells["nonce"])
    assert dict(signed) == vector.headers
    text = canonical_string(
        cells["key id"], now, cells["nonce"], cells["method"], cells["claims"], vector.body
    )
    assert text == vector.text


@every_vector
def test_the_server_takes_it_for_five_minutes(vector: Vector) -> None:
    cells, now = vector.cells, int(vector.cells["timestamp"])
    keys = KeyRing([Key(cells["key id"], cells["secret"], allow_unsigned_body=vector.body is None)])
    metadata = list(vector.headers.items())
    body = b"whatever it is" if vector.body is None else vector.body
    verified = authenticate(metadata, cells["method"], body, keys=keys, now=now, needs_nonce=True)
    assert verified.nonce == Nonce(cells["key id"], cells["nonce"])
    assert verified.caller.email == json.loads(cells["claims"])["email"]
    with pytest.raises(Unauthenticated) as refused:
        authenticate(metadata, cells["method"], body, keys=keys, now=now + 301, needs_nonce=True)
    assert refused.value.metadata["detail"] == "TIMESTAMP_SKEW"


@every_vector
def test_the_request_in_hex_is_the_one_in_json(vector: Vector) -> None:
    [method] = [method for method in methods() if path_of(method) == vector.cells["method"]]
    if vector.body is None:
        return
    [kind] = [
        known.request_type
        for known in methods_of(SERVICES[method.containing_service.name])
        if known.path == vector.cells["method"]
    ]
    message = json_format.Parse(vector.cells["request, as JSON"], kind())
    assert message.SerializeToString() == vector.body


def test_every_detail_of_a_refusal_is_named() -> None:
    told = PAGE.split("## When it is refused")[1].split("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]+)`", told)) - {"UNAUTHENTICATED", "AUTHENTICATION_ERROR"} == {
        fault.value for fault in AuthenticationFault
    }
