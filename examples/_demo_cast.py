"""Who takes part in the demo, and how each of them calls the service."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from _demo_server import DemoError
from google.protobuf.json_format import ParseDict

from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.types_pb2 import Advisor, Match, Project, ProjectEvent
from matching_client import MatchingClient, MatchingError, Watch

_EVENT_SECONDS = 60.0


class Directory:
    """The projects and advisors of a file such as `directory.json`."""

    def __init__(self, file: Path) -> None:
        content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        projects = [ParseDict(entry, Project()) for entry in content["projects"]]
        self.projects = {project.name: project for project in projects}
        self.advisors = [
            (
                ParseDict(entry["profile"], Advisor()),
                ParseDict(entry.get("availability", {}), UpdateAvailabilityRequest()),
            )
            for entry in content["advisors"]
        ]
        self._profiles = {advisor.id: advisor for advisor, _ in self.advisors}
        self._owners = {project.owner_id: project.name for project in projects}

    def name_of(self, user_id: str) -> str:
        """A person's name; owners of projects are called by their project."""
        if user_id in self._profiles:
            return self._profiles[user_id].display_name
        return f"the owner of {self._owners[user_id]}" if user_id in self._owners else user_id

    def zone_of(self, advisor_id: str) -> str:
        """An advisor's time zone."""
        return self._profiles[advisor_id].timezone


class Cast:
    """Clients for everybody in the demo, on one connection."""

    def __init__(self, connection_file: Path) -> None:
        # No proxy: the service is on this machine.
        self.platform = MatchingClient.from_connection_file(
            connection_file,
            user_id=str(uuid.uuid4()),
            roles=["service"],
            channel_options=[("grpc.enable_http_proxy", 0)],
        )
        self.admin = self.platform.as_user(user_id=str(uuid.uuid4()), roles=["admin"])

    def owner(self, project: Project) -> MatchingClient:
        """The client whose project it is."""
        return self.platform.as_user(user_id=project.owner_id, roles=["client"])

    def advisor(self, match: Match) -> MatchingClient:
        """The advisor to whom the match is offered."""
        return self.platform.as_user(user_id=match.matched_advisor.id, roles=["advisor"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.platform.close()


class LiveEvents:
    """Shows a project's events as they arrive, in a thread of its own, until the block ends."""

    def __init__(self, watch: Watch, show: Callable[[ProjectEvent], None]) -> None:
        self._watch = watch
        self._show = show
        self._arrived: queue.Queue[ProjectEvent | MatchingError] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="live-events", daemon=True)

    def wait_for(self, event_type: str) -> ProjectEvent:
        """Waits until an event of this type has been shown; DemoError after a minute without it."""
        deadline = time.monotonic() + _EVENT_SECONDS
        while True:
            try:
                arrived = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                raise DemoError(f"no event {event_type} within {_EVENT_SECONDS:.0f} s") from None
            if isinstance(arrived, MatchingError):
                raise arrived
            if arrived.type == event_type:
                return arrived

    def _run(self) -> None:
        try:
            for event in self._watch:
                self._show(event)
                self._arrived.put(event)
        except MatchingError as error:
            self._arrived.put(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watch.close()
        self._thread.join()
