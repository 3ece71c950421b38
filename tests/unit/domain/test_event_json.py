"""Events survive JSON: in the log, and on the channel between servers."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matching_server.domain.event_json import (
    event_from_json,
    event_to_json,
    payload_from_json,
    payload_to_json,
)
from matching_server.domain.events import EventPayload, EventType, ProjectEvent, ReleasedPayload
from tests.unit.domain.strategies import STORED_TYPES, events, payloads

typed_payloads = st.sampled_from(STORED_TYPES).flatmap(
    lambda type_: st.tuples(st.just(type_), payloads(type_))
)


@given(typed_payloads)
def test_a_payload_is_read_as_it_was_written(typed: tuple[EventType, EventPayload]) -> None:
    type_, payload = typed
    stored = json.loads(json.dumps(payload_to_json(payload)))
    assert payload_from_json(type_, stored) == payload
    assert None not in stored.values()


@given(typed_payloads)
def test_a_payload_of_a_later_release_is_understood(typed: tuple[EventType, EventPayload]) -> None:
    type_, payload = typed
    assert payload_from_json(type_, payload_to_json(payload) | {"of_a_later_release": [1]}) == payload


@given(events)
def test_an_event_crosses_the_channel_whole(event: ProjectEvent) -> None:
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


@pytest.mark.parametrize("type_", STORED_TYPES)
def test_the_type_decides_what_the_payload_is(type_: EventType) -> None:
    names = {payload_type.__name__ for payload_type in _payload_types(type_)}
    expected = {
        EventType.WORKSPACE_READY: "WorkspaceReadyPayload",
        EventType.PROVISIONING_FAILED: "ProvisioningFailedPayload",
        EventType.RELEASED: "ReleasedPayload",
        EventType.MESSAGE_NEW: "ChatMessage",
    }.get(type_, "MatchPayload")
    assert names == {expected}


def _payload_types(type_: EventType) -> set[type]:
    seen: set[type] = set()

    @settings(max_examples=5)
    @given(payloads(type_))
    def read(payload: EventPayload) -> None:
        seen.add(type(payload_from_json(type_, payload_to_json(payload))))

    read()
    return seen


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("project_id", "seq", "type", "payload", "user_id", "correlation_id", "created_at")


@given(json_values)
def test_foreign_values_are_refused_in_the_stated_way(values: Any) -> None:
    with pytest.raises(ValueError, match="not an event"):
        event_from_json(values)


KNOWN = ProjectEvent(
    UUID(int=1),
    1,
    EventType.RELEASED,
    ReleasedPayload(None, UUID(int=2), None),
    None,
    None,
    datetime.now(UTC),
)


@example(KNOWN, "project_id", 5)
@example(KNOWN, "seq", float("inf"))
@example(KNOWN, "payload", None)
@given(events, st.sampled_from(FIELDS), json_values)
def test_an_odd_field_is_refused_in_the_stated_ways(event: ProjectEvent, field: str, odd: Any) -> None:
    values = event_to_json(event) | {field: odd}
    with suppress(ValueError, KeyError, TypeError):
        event_from_json(values)


@given(events, st.sampled_from(FIELDS))
def test_a_missing_field_is_refused(event: ProjectEvent, field: str) -> None:
    values = event_to_json(event)
    del values[field]
    with pytest.raises((ValueError, KeyError, TypeError)):
        event_from_json(values)
