from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from advisor_matching.v1.chat_service_pb2 import ListMessagesRequest, SendMessageRequest
from matching_server.domain.errors import InvalidArgument
from matching_server.domain.model import ActorType, ChatMode, MessageOrder
from matching_server.operations.commands import ListMessages, SendMessage
from matching_server.rpc.chat_inputs import ListMessagesInput, SendMessageInput
from matching_server.rpc.fields import RequestModel, read
from matching_server.rpc.paging import decode_message_token, encode_message_token, encode_page_token

PROJECT, OTHER = UUID(int=1 << 100), UUID(int=2 << 100)
OWN_ID = "AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee"
NEWEST, OLDEST = MessageOrder.NEWEST_FIRST, MessageOrder.OLDEST_FIRST
TOKEN = encode_message_token(7, PROJECT, NEWEST)


def send(**fields: Any) -> SendMessage:
    given = {"project_id": str(PROJECT), "text": "hello", "client_msg_id": OWN_ID} | fields
    return read(SendMessageInput, SendMessageRequest(**given)).command()


def listing(**fields: Any) -> ListMessages:
    given = {"project_id": str(PROJECT)} | fields
    return read(ListMessagesInput, ListMessagesRequest(**given)).command()


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"project_id": "", "text": "", "client_msg_id": ""}, ["project_id", "text", "client_msg_id"]),
        ({"project_id": "x"}, ["project_id"]),
        ({"client_msg_id": "mine"}, ["client_msg_id"]),
        ({"text": "x" * 10_001}, ["text"]),
        ({"text": "\N{GRINNING FACE}" * 10_001}, ["text"]),
        ({"text": "a\0b"}, ["text"]),
        ({"text": "\0"}, ["text"]),
        ({"text": "a\x1bb"}, ["text"]),
        ({"mode": 4}, ["mode"]),
        ({"actor_type": 5}, ["actor_type"]),
        ({"mode": -1, "actor_type": -1}, ["mode", "actor_type"]),
    ],
)
def test_what_is_wrong_with_a_message_is_named(fields: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        send(**fields)
    assert [violation.field for violation in refused.value.violations] == paths


@pytest.mark.parametrize(
    "text",
    ["x", " ", "\n", "one\r\n\ttwo\n", "x" * 10_000, "\N{GRINNING FACE}" * 10_000, "مرحبا", "e\u0301"],
)
def test_a_text_is_kept_as_it_is_and_its_characters_are_counted_not_its_bytes(text: str) -> None:
    assert send(text=text).text == text


def test_a_message_is_unified_and_by_place_unless_said() -> None:
    assert send() == SendMessage(PROJECT, "hello", UUID(OWN_ID), ChatMode.UNIFIED, None)
    assert send(mode=0, actor_type=0) == send()
    assert send(mode="CHAT_MODE_BUILD", actor_type="ACTOR_TYPE_SYSTEM") == SendMessage(
        PROJECT, "hello", UUID(OWN_ID), ChatMode.BUILD, ActorType.SYSTEM
    )


def test_the_chat_is_listed_newest_first_fifty_a_page_unless_said() -> None:
    assert listing() == ListMessages(PROJECT, NEWEST, 50, None)
    assert listing(order=1, page_size=200, page_token=TOKEN) == ListMessages(PROJECT, NEWEST, 200, 7)
    token = encode_message_token(7, PROJECT, OLDEST)
    assert listing(order=2, page_token=token) == ListMessages(PROJECT, OLDEST, 50, 7)


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"project_id": ""}, ["project_id"]),
        ({"page_size": 201}, ["page_size"]),
        ({"page_size": -1}, ["page_size"]),
        ({"order": 3}, ["order"]),
        ({"project_id": "x", "order": 3, "page_token": "x"}, ["project_id", "order"]),
        ({"page_token": "x"}, ["page_token"]),
        ({"page_token": "ä" * 34}, ["page_token"]),
        ({"page_token": TOKEN + "A"}, ["page_token"]),
        ({"page_token": TOKEN[:-2]}, ["page_token"]),
        ({"page_token": TOKEN, "order": 2}, ["page_token"]),
        ({"page_token": TOKEN, "project_id": str(OTHER)}, ["page_token"]),
        ({"page_token": encode_message_token(0, PROJECT, NEWEST)}, ["page_token"]),
        ({"page_token": encode_message_token(2**63, PROJECT, NEWEST)}, ["page_token"]),
    ],
)
def test_a_page_that_is_not_of_this_list_is_named(fields: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        listing(**fields)
    assert [violation.field for violation in refused.value.violations] == paths


@given(st.integers(1, 2**63 - 1), st.uuids(), st.sampled_from(MessageOrder))
def test_page_tokens_come_back_as_they_went(seq: int, project: UUID, order: MessageOrder) -> None:
    assert decode_message_token(encode_message_token(seq, project, order), project, order) == seq


def test_the_ends_of_a_list_have_no_token() -> None:
    assert encode_message_token(None, PROJECT, NEWEST) == encode_page_token(None) == ""
    assert decode_message_token("", PROJECT, NEWEST) is None


@pytest.mark.parametrize(
    ("model", "message"),
    [(SendMessageInput, SendMessageRequest), (ListMessagesInput, ListMessagesRequest)],
)
@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_checks(model: type[RequestModel], message: type[Message], data: bytes) -> None:
    # The pipeline answers bytes that are no message with MALFORMED_REQUEST.
    with suppress(DecodeError, InvalidArgument):
        read(model, message.FromString(data))
