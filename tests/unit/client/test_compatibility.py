"""Callers and servers of different releases, as docs/compatibility.md promises it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2

from advisor_matching.v1.types_pb2 import Match, MatchStatus
from matching_client import MatchingClient, Unimplemented

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "compatibility.md"
NEWER = b"\x20\x63" + b"\xfa\x3e\x05later"
"""A match with `status` 99 and a field 1,007 that is a text."""


def test_what_a_newer_server_says_is_kept_by_an_older_client() -> None:
    match = Match.FromString(NEWER)
    assert match.status == 99
    assert match.status not in MatchStatus.values()
    assert match.SerializeToString() == NEWER


def test_every_enum_is_open() -> None:
    status = MatchStatus.DESCRIPTOR
    assert not status.is_closed
    file = descriptor_pb2.FileDescriptorProto()
    status.file.CopyToProto(file)
    assert file.syntax == "proto3"


def test_a_method_that_an_older_server_lacks_is_unimplemented() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with (
            MatchingClient(
                f"127.0.0.1:{port}", key_id="k", secret="s" * 32, user_id="1", roles=["client"]
            ) as client,
            pytest.raises(Unimplemented) as failed,
        ):
            client.list_advisors()
    finally:
        server.stop(None).wait()
    assert failed.value.reason == ""


def test_the_page_names_tests_that_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+)`", PAGE.read_text())
    assert len(named) > 5
    for name in named:
        assert (ROOT / name).exists(), name
