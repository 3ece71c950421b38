"""EventService: a project's events, live and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from advisor_matching.v1 import event_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.domain.errors import TooManyRequests
from matching_server.operations import watching
from matching_server.operations.commands import WatchProject
from matching_server.operations.runner import Runner
from matching_server.operations.watching import WatchStart
from matching_server.rpc.convert_events import event_page_message
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import ListEventsInput, WatchProjectInput
from matching_server.rpc.stream_context import StreamContext

START_HEADER = "x-sheen-event-id"
"""Initial metadata of a stream: the id of the place where it starts."""

_RETRY_SECONDS = 1.0
OpenWatch = Callable[[Call, WatchProject, WatchStart, StreamContext], None]
"""Hands a stream over to whatever feeds it."""


class EventService:
    """The handlers of EventService.

    Args:
        runner: gives use cases their transaction.
        open_watch: takes over a stream whose start is fixed.
        server_id: who holds the streams.
        has_room: whether this server takes another stream.
    """

    def __init__(
        self, runner: Runner, open_watch: OpenWatch, *, server_id: UUID, has_room: Callable[[], bool]
    ) -> None:
        self._runner = runner
        self._has_room = has_room
        self._server_id = server_id
        self._open_watch = open_watch

    def watch_project_events(
        self, request: pb.WatchProjectEventsRequest, call: Call, stream: StreamContext
    ) -> None:
        """Opens a stream: whatever commits after the client has its initial metadata will come."""
        command = read(WatchProjectInput, request).command()
        if not self._has_room():
            raise TooManyRequests("the server has too many streams already", retry_after=_RETRY_SECONDS)
        start = watching.begin_watch(self._runner, call, command, server_id=self._server_id)
        stream.send_initial_metadata(((START_HEADER, start.event_id),))
        self._open_watch(call, command, start, stream)

    def list_project_events(
        self, request: pb.ListProjectEventsRequest, call: Call
    ) -> pb.ListProjectEventsResponse:
        """Lists what is kept of a project's events."""
        command = read(ListEventsInput, request).command()
        return event_page_message(watching.list_events(self._runner, call, command))
