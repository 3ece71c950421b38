"""Domain values for hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from matching_server.domain.events import (
    ChatMessage,
    EventPayload,
    EventType,
    MatchPayload,
    ProjectEvent,
    ProvisioningFailedPayload,
    ReleasedPayload,
    WorkspaceReadyPayload,
)
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode, MatchStatus

# Bounds for hypothesis are naive; it adds the zone.
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
seqs = st.integers(1, 2**63 - 1)
statuses = st.sampled_from(MatchStatus)

match_payloads = st.builds(
    MatchPayload,
    match_id=st.uuids(),
    status=statuses,
    advisor_id=st.none() | st.uuids(),
    advisor_name=st.none() | texts,
    previous_status=st.none() | statuses,
    reason=st.none() | texts,
    score=st.none() | st.integers(0, 10_000).map(lambda hundredths: hundredths / 100),
    expires_at=st.none() | moments,
)
PAYLOADS: dict[EventType, st.SearchStrategy[EventPayload]] = {
    EventType.WORKSPACE_READY: st.builds(
        WorkspaceReadyPayload,
        match_id=st.uuids(),
        advisor_id=st.uuids(),
        project_id=st.uuids(),
        timestamp=moments,
    ),
    EventType.PROVISIONING_FAILED: st.builds(
        ProvisioningFailedPayload,
        match_id=st.uuids(),
        advisor_id=st.none() | st.uuids(),
        reverted_to=statuses,
        reason=texts,
        attempts=st.integers(0, 20),
    ),
    EventType.RELEASED: st.builds(
        ReleasedPayload, match_id=st.none() | st.uuids(), advisor_id=st.uuids(), reason=st.none() | texts
    ),
    EventType.MESSAGE_NEW: st.builds(
        ChatMessage,
        id=st.uuids(),
        project_id=st.uuids(),
        user_id=st.none() | st.uuids(),
        actor_type=st.sampled_from(ActorType),
        message_type=st.sampled_from(ChatMessageType),
        mode=st.sampled_from(ChatMode),
        text=texts,
        client_msg_id=st.none() | texts,
        response_data=st.none() | st.dictionaries(texts, texts, max_size=4),
        seq=seqs,
        created_at=moments,
    ),
}
STORED_TYPES = [type_ for type_ in EventType if type_ is not EventType.HEARTBEAT]


def payloads(type_: EventType) -> st.SearchStrategy[EventPayload]:
    """What an event of that type carries."""
    return PAYLOADS.get(type_, match_payloads)


def _events_of(type_: EventType) -> st.SearchStrategy[ProjectEvent]:
    return st.builds(
        ProjectEvent,
        project_id=st.uuids(),
        seq=seqs,
        type=st.just(type_),
        payload=payloads(type_),
        user_id=st.none() | st.uuids(),
        correlation_id=st.none() | texts,
        created_at=moments,
    )


events = st.sampled_from(STORED_TYPES).flatmap(_events_of)
