"""Creating a project that asks for an advisor, without waiting for that and without failing because of it.

`ProjectService` is the part to copy. To see it work: `make run` in one shell, and in another
`.venv/bin/python examples/create_project.py`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4, uuid5

from advisor_matching.v1.types_pb2 import Match, Project, TechStack
from matching_client import MatchingClient, MatchingError, SettingsError

log = logging.getLogger("projects")

FIRST_MATCH = UUID("6c0a5b1e-3f4e-4a53-9a4e-0d6f5d6f7b0a")
"""Names the first request of each project: see `request_id`."""


class ProjectService:
    """The platform's own service.

    Args:
        matching: calls as `service`.
        store: puts a project into the platform's database.
        patience: seconds for a request to the matching service, all its retries included.
        tell: gets each match that was made.
    """

    def __init__(
        self,
        matching: MatchingClient,
        store: Callable[[Project], None],
        *,
        patience: float = 60.0,
        tell: Callable[[Match], None] = lambda match: None,
    ) -> None:
        self._matching = matching
        self._store = store
        self._patience = patience
        self._tell = tell
        self._background = ThreadPoolExecutor(4, thread_name_prefix="ask-for-advisors")

    def create_project(self, project: Project) -> Project:
        """Stores the project and returns it; an advisor is asked for meanwhile. Fails only where storing fails."""
        self._store(project)
        self._background.submit(self._ask, project)
        return project

    def ask_again(self, projects: Iterable[Project]) -> None:
        """For projects without a match, at the start of the process: some may have been about to ask when it ended."""
        for project in projects:
            self._background.submit(self._ask, project)

    def close(self) -> None:
        """Waits for what is under way."""
        self._background.shutdown()

    def _ask(self, project: Project) -> None:
        try:
            self._matching.upsert_project(project, timeout=self._patience)
            answer = self._matching.create_match(
                project.id, request_id=request_id(project), timeout=self._patience
            )
        except MatchingError as error:
            # The user has their project, and a button to ask for an advisor.
            log.warning("project %s has no match yet: %s", project.id, error)
        else:
            self._tell(answer.match)


def request_id(project: Project) -> str:
    """The same for every attempt, in whichever process: a repeat is answered as the first one was."""
    return str(uuid5(FIRST_MATCH, project.id))


def main() -> int:
    """Creates a project and shows what comes of it."""
    logging.basicConfig(format="%(levelname)s %(message)s")
    stack = TechStack(framework="react", languages=["typescript"], complexity_factors=["payments"])
    project = Project(id=str(uuid4()), owner_id=str(uuid4()), name="Market stalls", technology_stack=stack)
    try:
        matching = MatchingClient.from_env(user_id=str(uuid4()), roles=["service"])
    except SettingsError as error:
        print(f"create_project: {error}", file=sys.stderr)
        return 2
    with matching:
        service = ProjectService(matching, store=lambda project: None, tell=show)
        created = service.create_project(project)
        print(f"created {created.name}: the user goes on")
        service.close()
    return 0


def show(match: Match) -> None:
    """Tells of a match that was made in the background."""
    advisor = match.matched_advisor.display_name
    print(f"offered to {advisor}" if advisor else "nobody is free yet; the service keeps looking")


if __name__ == "__main__":
    sys.exit(main())
