"""The demo: a directory of 60 advisors, and matches from the first request to the open workspace.

It starts the service with a Postgres and a Redis of its own in a temporary directory, talks to it through
`matching_client` as the platform, the owners, the advisors and an admin would, and ends it again. `whole_life`
is the part to read first. Run it with `make demo`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from _demo_cast import Cast, Directory, LiveEvents
from _demo_server import DemoError, DemoServer, scratch_directory
from _demo_view import View, status_word, word
from psycopg.rows import dict_row

from advisor_matching.v1 import types_pb2 as pb
from matching_client import MatchingError

SAMPLE = Path(__file__).with_name("directory.json")
APPROVED, DECLINED = pb.DECISION_APPROVED, pb.DECISION_DECLINED

EARLIER = {
    "Ticket Kiosk": ("client", "advisor"),
    "Parcel Lockers": ("advisor", "client"),
    "Beehive Survey": ("client",),
    "Relief Supplies": ("client",),
    "Second-hand Books": (),
}
"""Projects that asked before, and who has approved since, in this order."""

ROWS = (
    ("workspace_provisioning_queue", "status, attempt_count", "match_id = %(match)s"),
    ("project_advisors", "status, role", "project_id = %(project)s"),
    ("unified_chat_sessions", "actor_type, session_state, preferred_locale", "project_id = %(project)s"),
    ("unified_chat_messages", "actor_type, mode, text", "project_id = %(project)s"),
    ("notification_outbox", "type, status", "payload ->> 'matchId' = %(match)s"),
)


def fill(cast: Cast, directory: Directory, view: View) -> None:
    """The platform stores its projects and its advisors, and what each advisor can take."""
    for project in view.progress("projects", list(directory.projects.values())):
        cast.platform.upsert_project(project)
    for advisor, availability in view.progress("advisors", directory.advisors):
        cast.platform.upsert_advisor(advisor)
        cast.platform.update_availability(
            advisor.id,
            status=availability.status,
            max_concurrent_projects=availability.max_concurrent_projects,
            preferences=availability.preferences,
        )


def earlier_projects(cast: Cast, directory: Directory, view: View) -> None:
    """Others have asked before: their advisors have something to do by now."""
    rows = []
    for name, deciders in EARLIER.items():
        project = directory.projects[name]
        owner = cast.owner(project)
        match = owner.create_match(project.id).match
        for side in deciders:
            if side == "client":
                owner.submit_client_decision(match.id, APPROVED)
            else:
                cast.advisor(match).submit_advisor_decision(match.id, APPROVED)
        status = status_word(owner.get_match(match.id).status)
        load = cast.platform.get_availability(match.matched_advisor.id)
        slots = f"{load.current_capacity} of {load.max_capacity}"
        rows.append((name, match.matched_advisor.display_name, f"{match.score:.2f}", status, slots))
    view.table(("project", "advisor", "score", "status", "advisor's slots taken"), rows)
    view.say("Each advisor's load counts in the next choice: what was given is no longer free.")


def whole_life(cast: Cast, directory: Directory, view: View, database_url: str) -> None:
    """One match: found, explained, approved by both sides, and its workspace opened."""
    project = directory.projects["Harbour Checkout"]
    owner = cast.owner(project)
    view.say(f"The owner asks for an advisor. The project: {needs(project)}.")
    with LiveEvents(owner.watch(project.id), lambda event: view.event("event", event)) as events:
        match = owner.create_match(project.id).match
        events.wait_for("advisor.matched")
        explain(cast, directory, view, match)
        again = owner.create_match(project.id)
        same = again.already_open and again.match.id == match.id
        view.say(f"Asked a second time, the service answers with {'the same' if same else 'another'} match.")

        view.say("\nThe owner approves.")
        owner.submit_client_decision(match.id, APPROVED)
        events.wait_for("advisor.client_approved")
        view.say("The advisor accepts. With both approvals the match is final, and the workspace is made.")
        cast.advisor(match).submit_advisor_decision(match.id, APPROVED)
        events.wait_for("advisor.workspace_ready")

    view.say("\nWhat that left in the database (read with psycopg; all else here goes through the client):")
    view.rows(provisioned_rows(database_url, match))
    view.say(
        "The notifications were written with what they tell of; the server sends them on, here to its log."
    )


def explain(cast: Cast, directory: Directory, view: View, match: pb.Match) -> None:
    """Why this advisor: what an admin is told."""
    answer = cast.admin.explain_match(match.id)
    advisor = match.matched_advisor.display_name
    view.say(f"\nOffered to [bold green]{advisor}[/], and why (ExplainMatch, as an admin sees it):")
    view.explanation(answer.explanation, directory.zone_of)
    if answer.replay_matches:
        view.say("Computed again from the inputs stored with the match, the scores are the same.")


def decline_and_backlog(cast: Cast, directory: Directory, view: View) -> None:
    """An offer is declined: the slot goes to a team that waits for it, and the first team asks again."""
    grid, board = directory.projects["Monsoon Grid"], directory.projects["Railway Freight Board"]
    grid_owner, board_owner = cast.owner(grid), cast.owner(board)
    with (
        LiveEvents(grid_owner.watch(grid.id), lambda event: view.event("Grid ", event)) as grid_events,
        LiveEvents(board_owner.watch(board.id), lambda event: view.event("Board", event)) as board_events,
    ):
        view.say(f"“{grid.name}” asks. The project: {needs(grid)}.")
        offer = grid_owner.create_match(grid.id).match
        grid_events.wait_for("advisor.matched")
        wanted = offer.matched_advisor

        view.say(f"“{board.name}” asks for {wanted.display_name} and nobody else: every other is excluded.")
        others = [advisor.id for advisor, _ in directory.advisors if advisor.id != wanted.id]
        criteria = pb.MatchCriteria(exclude_advisor_ids=others)
        waiting = board_owner.create_match(board.id, criteria=criteria).match
        board_events.wait_for("advisor.match_pending")
        reason = word(pb.PendingReason, waiting.pending_reason, "PENDING_REASON_").replace("_", " ")
        view.say(f"It waits ({reason}): {wanted.display_name} has one slot, and the offer holds it.")

        view.say(f"\n{wanted.display_name} declines “{grid.name}”. The free slot goes to who waits for it.")
        cast.advisor(offer).submit_advisor_decision(offer.id, DECLINED, reason="I work for a competitor")
        grid_events.wait_for("advisor.match_declined")
        board_events.wait_for("advisor.matched")

        view.say(f"\n“{grid.name}” asks again and gets the next best; who declined is left out for a week.")
        second = grid_owner.create_match(grid.id).match
        grid_events.wait_for("advisor.matched")
        explain(cast, directory, view, second)


def needs(project: pb.Project) -> str:
    """What a project says of itself."""
    stack = project.technology_stack
    complexity = word(pb.ProjectComplexity, project.project_complexity, "PROJECT_COMPLEXITY_")
    technologies = ", ".join([stack.framework, *stack.languages])
    return (
        f"{complexity}, {technologies}, with {', '.join(stack.complexity_factors)}; {project.owner_timezone}"
    )


def provisioned_rows(database_url: str, match: pb.Match) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows that the match's end wrote: one look, read-only."""
    with psycopg.connect(database_url, row_factory=dict_row, connect_timeout=10) as connection:
        connection.read_only = True
        for table, columns, condition in ROWS:
            query = f"SELECT {columns} FROM {table} WHERE {condition}"
            for row in connection.execute(query, {"match": match.id, "project": match.project_id}):
                yield table, row


def tell(server: DemoServer, directory: Directory, view: View) -> None:
    """The whole story."""
    view.say(
        "\nThis service finds the best free advisor for a project, gets both sides to agree, and opens the"
    )
    view.say(
        "project's workspace to the advisor. It can say why it chose whom, and tells watchers what happens."
    )
    view.chapter("1  The service")
    view.say("Starting Postgres, Redis and the service …")
    with view.console.status("a few seconds"):
        server.start()
    view.say(f"It serves on {server.address}.")
    with Cast(server.connection_file) as cast:
        view.chapter("2  The directory: advisors with skills, time zones and slots; projects with needs")
        fill(cast, directory, view)
        view.chapter("3  Five projects have asked before")
        earlier_projects(cast, directory, view)
        view.chapter("4  One match through its whole life")
        whole_life(cast, directory, view, server.database_url)
        view.chapter("5  Declined, and a team that waits")
        decline_and_backlog(cast, directory, view)
    view.chapter("6  The end")
    view.say("Stopping the service …")
    server.stop()
    view.say("It ended in good order. To try it yourself: make run. What to read next: README.md.")


def main() -> int:
    """Tells the story; what goes wrong is one line, with the end of the server's log, and status 1."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    # A shell that starts this in the background may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory = Directory(SAMPLE)
    view = View(directory.name_of)
    began = time.monotonic()
    with scratch_directory() as path:
        server = DemoServer(path / "data")
        try:
            with server:
                tell(server, directory, view)
        except (DemoError, MatchingError, psycopg.Error, OSError) as error:
            return _complain(error, server)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
    view.say(f"That took {time.monotonic() - began:.1f} s.")
    return 0


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _complain(error: Exception, server: DemoServer) -> int:
    ended = "" if server.exit_status in (None, 0) else f" (the server ended with status {server.exit_status})"
    print(f"\ndemo: {error}{ended}\nThe end of the server's log:\n{server.log_tail()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
