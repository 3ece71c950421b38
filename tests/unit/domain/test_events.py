"""Event ids name one place in one log, and nothing else passes for one."""

from __future__ import annotations

import base64
import string
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from matching_server.domain.errors import EventIdInvalid, EventIdUnknown
from matching_server.domain.events import (
    EventType,
    MatchPayload,
    ProjectEvent,
    decode_event_id,
    encode_event_id,
)
from matching_server.domain.model import MatchStatus
from tests.unit.domain.strategies import moments

EPOCH, PROJECT = uuid4(), uuid4()
URL_SAFE = set(string.ascii_letters + string.digits + "-_")
positions = st.integers(0, 2**64 - 1)


@given(st.uuids(), st.uuids(), positions)
def test_an_id_names_its_place(epoch: UUID, project: UUID, seq: int) -> None:
    id_ = encode_event_id(epoch, project, seq)
    assert decode_event_id(id_, epoch, project) == seq
    assert len(id_) == 34
    assert set(id_) <= URL_SAFE


@given(positions, positions)
def test_two_places_have_two_ids(one: int, other: int) -> None:
    assume(one != other)
    assert encode_event_id(EPOCH, PROJECT, one) != encode_event_id(EPOCH, PROJECT, other)


@given(positions)
def test_an_id_of_another_log_or_project_is_unknown(seq: int) -> None:
    for id_ in (encode_event_id(uuid4(), PROJECT, seq), encode_event_id(EPOCH, uuid4(), seq)):
        with pytest.raises(EventIdUnknown):
            decode_event_id(id_, EPOCH, PROJECT)


VALID = encode_event_id(EPOCH, PROJECT, 7)


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(sorted(URL_SAFE), max_size=60).filter(lambda text: len(text) != len(VALID)),
        st.integers(0, len(VALID) - 1).map(lambda length: VALID[:length]),
        st.text(min_size=1, max_size=3).map(lambda more: VALID + more),
        st.tuples(st.integers(0, 33), st.sampled_from(" \n\x00é\U0001f600=%")).map(
            lambda odd: VALID[: odd[0]] + odd[1] + VALID[odd[0] + 1 :]
        ),
    ).filter(lambda text: text.rstrip("=") != VALID)
)
def test_what_is_no_id_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(EventIdInvalid) as refused:
        decode_event_id(text, EPOCH, PROJECT, "after_event_id")
    assert [violation.field for violation in refused.value.violations] == ["after_event_id"]


@given(st.binary(min_size=25, max_size=25).filter(lambda raw: raw[0] != 1))
def test_an_id_of_another_version_is_refused(raw: bytes) -> None:
    with pytest.raises(EventIdInvalid):
        decode_event_id(base64.urlsafe_b64encode(raw).decode().rstrip("="), EPOCH, PROJECT)


@given(st.sampled_from(MatchStatus), moments)
def test_an_event_tells_which_match_it_is_about(status: MatchStatus, at: datetime) -> None:
    payload = MatchPayload(match_id=uuid4(), status=status)
    event = ProjectEvent(PROJECT, 1, EventType.MATCHED, payload, None, None, at)
    assert event.match_id == payload.match_id
