"""A silent stream carries a heartbeat with the newest id, from which it can be resumed without a loss."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from uuid import UUID, uuid4

import pytest

from matching_server.domain.events import EventType, ProjectEvent, decode_event_id
from matching_server.domain.model import Role
from matching_server.operations.watching import WatchRights
from tests.support.wait import eventually
from tests.unit.streams.memory import WAIT, Reader, Stage, arrives, running

pytestmark = pytest.mark.usefixtures("fast")
SILENCE = 0.03


@pytest.fixture
def stage(fast: None) -> Iterator[Stage]:
    with running(heartbeat_seconds=SILENCE) as stage:
        yield stage


def beats(reader: Reader, count: int = 1) -> list[str]:
    return eventually(lambda: reader.heartbeats[-1:] if len(reader.heartbeats) >= count else [])


def test_silence_is_broken_by_heartbeats_with_the_newest_id(stage: Stage) -> None:
    reader = stage.open()
    assert beats(reader, 3) == [stage.id_of(0)]
    stage.commit()
    arrives(reader, [1])
    eventually(lambda: reader.heartbeats[-1] == stage.id_of(1))


def test_a_heartbeat_moves_past_what_the_stream_does_not_see(stage: Stage) -> None:
    filtered = stage.open(types=frozenset({EventType.RELEASED}))
    nothing = WatchRights(everything=False, matches=frozenset({uuid4()}), by_place=True)
    stage.log.now = nothing
    limited = stage.open(rights=nothing, role=Role.ADVISOR)
    for _ in range(5):
        stage.commit()
    for reader in (filtered, limited):
        eventually(partial(_has_beaten, reader, stage.id_of(5)))
        assert reader.seqs == []


def _has_beaten(reader: Reader, event_id: str) -> bool:
    return event_id in reader.heartbeats


def test_a_stream_that_is_not_silent_has_no_heartbeats() -> None:
    with running(heartbeat_seconds=5) as stage:
        reader = stage.open()
        for _ in range(50):
            stage.commit()
        arrives(reader, list(range(1, 51)))
        assert reader.heartbeats == []


def test_a_heartbeat_never_names_an_event_that_has_not_been_sent_before_it(stage: Stage) -> None:
    """Else who resumes from that heartbeat loses the event."""
    first, second = uuid4(), uuid4()
    one, other = stage.open(project=first), stage.open(project=second)
    beats(one)
    beats(other)
    rendering, beaten = threading.Event(), threading.Event()

    def render(event: ProjectEvent) -> bytes:
        # The event is being rendered while the keeper looks for silent streams.
        rendering.set()
        beaten.wait(0.5)
        return str(event.seq).encode()

    def beat(project: UUID, event_id: str) -> bytes:
        if project == first and not rendering.is_set():
            threading.Thread(target=stage.commit, args=(second,)).start()
            rendering.wait(0.5)
        elif project == second and rendering.is_set():
            beaten.set()
        return f"heartbeat {event_id}".encode()

    stage.render, stage.render_heartbeat = render, beat
    arrives(other, [1])
    position = 0
    for message in list(other.got):
        if message.isdigit():
            position = int(message)
        else:
            named = decode_event_id(message.decode().removeprefix("heartbeat "), stage.log.epoch, second)
            assert named == position, "a heartbeat named what had not been sent, or less than had been"


def test_a_stuck_stream_is_not_filled_with_heartbeats(stage: Stage) -> None:
    watch, reader = stage.watch()
    reader.stop_reading()
    stage.hub.open(watch)
    stage.commit()
    other = stage.open()
    beats(other, 5)
    assert watch.waiting <= 1
    assert reader.cancelled.wait(WAIT)
