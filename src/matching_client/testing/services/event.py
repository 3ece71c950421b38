"""EventService: a project's log, and the streams that tell of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from advisor_matching.v1 import event_service_pb2 as pb
from advisor_matching.v1.types_pb2 import HeartbeatEvent, ProjectEvent
from matching_client.errors import EventIdUnknown, EventsCompacted, StreamEvicted, Unauthenticated
from matching_client.testing.caller import Caller
from matching_client.testing.entries import Log, Stream
from matching_client.testing.paging import DEFAULT_PAGE
from matching_client.testing.refusals import error_of, event_id_invalid, no_project
from matching_client.testing.values import new_id, now
from matching_client.testing.world import World

STREAMS_PER_USER = 3


def list_project_events(
    world: World, request: pb.ListProjectEventsRequest, caller: Caller
) -> pb.ListProjectEventsResponse:
    """The events that the caller may see, oldest first."""
    seen = _visible(world, request.project_id, caller)
    log = _log(world, request.project_id)
    seq = log.forgotten
    if request.after_event_id:
        seq = _position(world, request.project_id, request.after_event_id, "after_event_id")
    size = request.page_size or DEFAULT_PAGE
    found = [event for event in log.events[seq:] if seen is None or _match_of(event) in seen][:size]
    reached = found[-1].seq if len(found) == size else len(log.events)
    return pb.ListProjectEventsResponse(
        events=found, last_event_id=world.event_id(request.project_id, reached)
    )


def start_of(world: World, request: pb.WatchProjectEventsRequest, caller: Caller) -> int:
    """The number after which a watch begins. Raises what refuses it."""
    _visible(world, request.project_id, caller)
    log = _log(world, request.project_id)
    if request.last_event_id:
        return _position(world, request.project_id, request.last_event_id, "last_event_id")
    return log.forgotten if request.from_start else len(log.events)


def enter(world: World, request: pb.WatchProjectEventsRequest, caller: Caller) -> Stream:
    """A new stream of the caller's, which may end older ones."""
    stream = Stream(caller.user_id, request.watch_id or new_id())
    theirs = [other for other in world.streams if other.user_id == caller.user_id and other.ending is None]
    namesakes = [other for other in theirs if other.watch_id == stream.watch_id]
    others = [other for other in theirs if other not in namesakes]
    too_many = len(others) - STREAMS_PER_USER + 1
    for old in [*namesakes, *others[: max(too_many, 0)]]:
        old.ending = error_of(StreamEvicted, "a newer stream of the same user took this one's place")
    world.streams.append(stream)
    world.changed.notify_all()
    return stream


def watch(
    world: World,
    request: pb.WatchProjectEventsRequest,
    caller: Caller,
    stream: Stream,
    seq: int,
    is_active: Callable[[], bool],
) -> Iterator[pb.WatchProjectEventsResponse]:
    """The events after number `seq`, as they come, with a heartbeat after each silence.

    Raises the error with which the stream ends; ends without one when it is no longer active.
    """
    seen: set[str] | None = set()
    while True:
        with world.changed:
            log = _log(world, request.project_id)
            deadline = time.monotonic() + min(world.heartbeat, max(caller.expires - time.time(), 0))
            while len(log.events) <= seq and stream.ending is None and is_active():
                left = deadline - time.monotonic()
                if left <= 0 or not world.changed.wait(left):
                    break
            if not is_active():
                return
            if stream.ending is not None:
                raise stream.ending
            events, seq = log.events[seq:], max(seq, len(log.events))
            allowed = _rights(world, request.project_id, caller)
            ended = allowed == set()
            # What ended the right to watch is still told.
            seen = None if seen is None or allowed is None else seen | allowed
        shown = [event for event in events if _is_wanted(event, request, seen)]
        yield from (pb.WatchProjectEventsResponse(event=event) for event in shown)
        if ended:
            raise no_project(request.project_id)
        if caller.expires <= time.time():
            told = {"detail": "CLAIMS_EXPIRED"}
            raise error_of(Unauthenticated, "the claims have expired", **told)
        if not events:
            yield pb.WatchProjectEventsResponse(event=_heartbeat(world, request.project_id, seq))


def _is_wanted(event: ProjectEvent, request: pb.WatchProjectEventsRequest, seen: set[str] | None) -> bool:
    return (not request.types or event.type in request.types) and (seen is None or _match_of(event) in seen)


def _heartbeat(world: World, project_id: str, seq: int) -> ProjectEvent:
    return ProjectEvent(
        type="heartbeat",
        project_id=project_id,
        timestamp=now(),
        user_id="system",
        heartbeat=HeartbeatEvent(last_event_id=world.event_id(project_id, seq)),
    )


def _log(world: World, project_id: str) -> Log:
    return world.logs.setdefault(project_id, Log())


def _match_of(event: ProjectEvent) -> str:
    """The match that the event is about; empty: none."""
    payload = event.WhichOneof("payload")
    about = getattr(event, payload) if payload else None
    return str(getattr(about, "match_id", ""))


def _visible(world: World, project_id: str, caller: Caller) -> set[str] | None:
    """The matches whose events the caller may see, None: everything. Raises ProjectNotFound."""
    allowed = _rights(world, project_id, caller)
    if allowed == set():
        raise no_project(project_id)
    return allowed


def _rights(world: World, project_id: str, caller: Caller) -> set[str] | None:
    project = world.project(project_id)
    if caller.may_act_for(project.owner_id) or world.is_active(caller, project_id):
        return None
    return world.offers_of(caller, project_id)


def _position(world: World, project_id: str, event_id: str, field: str) -> int:
    log = _log(world, project_id)
    try:
        seq = world.position(project_id, event_id)
    except ValueError:
        raise event_id_invalid(field) from None
    if seq is None or seq > len(log.events):
        raise error_of(EventIdUnknown, "that event id is not of this project's log")
    if seq < log.forgotten:
        told = "events after that id have been pruned; start again from the oldest that is kept"
        oldest = world.event_id(project_id, log.forgotten)
        raise error_of(EventsCompacted, told, oldest_event_id=oldest)
    return seq
