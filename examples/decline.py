"""The dialog after an offer was declined: another advisor, browse, or later.

`decline`, `another`, `browse` and `ask_for` are the parts to copy. To see it work: `make run` in one shell, and
in another `.venv/bin/python examples/decline.py`, which takes the answers from the keyboard.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

from advisor_matching.v1.types_pb2 import Advisor, Match, MatchCriteria, Project
from matching_client import MatchExpired, MatchingClient, MatchingError, SettingsError

OWNER = "07cfecb4-038e-424e-82c5-ae54838ce96f"
PROJECT = "fc829d20-018d-4f20-9e79-83f066c6f0ea"
MOST_EXCLUDED = 500


def decline(owner: MatchingClient, match: Match, reason: str = "") -> None:
    """Declines the offer. One whose time has run out is as good as declined."""
    with suppress(MatchExpired):
        owner.submit_client_decision(match.id, "declined", reason=reason)


def another(owner: MatchingClient, project_id: str) -> Match:
    """The next best advisor. Those who were declined are left out by the service itself, for a week."""
    return owner.create_match(project_id).match


def browse(owner: MatchingClient, project: Project) -> Iterator[Advisor]:
    """Those who know the project's framework and could be offered it now."""
    return owner.iter_advisors(framework=project.technology_stack.framework, available=True)


def ask_for(owner: MatchingClient, project_id: str, advisor_id: str) -> Match:
    """A match with this advisor and nobody else, which waits for them where they are taken meanwhile.

    ValueError where the pool is too large for that: an admin assigns in it.
    """
    others = [advisor.id for advisor in owner.iter_advisors() if advisor.id != advisor_id]
    if len(others) > MOST_EXCLUDED:
        raise ValueError("the pool is too large to ask for somebody: have an admin assign them")
    # Who picks somebody by name means them, even if they had been declined before.
    return owner.create_match(
        project_id, criteria=MatchCriteria(exclude_advisor_ids=others), allow_previous=True
    ).match


def dialog(owner: MatchingClient, project: Project) -> None:
    """Shows offers until one is kept, or until later."""
    match = another(owner, project.id)
    while True:
        print(f"{project.name}: {offered(match)}")
        if ask("keep it? [y]es, [n]o", "yn") == "y":
            return
        decline(owner, match)
        chosen = after_a_decline(owner, project)
        if chosen is None:
            print("You can ask for an advisor at any time.")
            return
        match = chosen


def after_a_decline(owner: MatchingClient, project: Project) -> Match | None:
    """The three ways; None is later."""
    match ask("[a]nother advisor, [b]rowse, [l]ater", "abl"):
        case "a":
            return another(owner, project.id)
        case "b":
            found = list(browse(owner, project))[:9]
            for number, advisor in enumerate(found, start=1):
                print(
                    f"  {number}  {advisor.display_name}, {advisor.timezone}: {', '.join(advisor.specialties)}"
                )
            chosen = ask("whom?", "".join(str(number) for number in range(1, len(found) + 1)))
            return ask_for(owner, project.id, found[int(chosen) - 1].id)
        case _:
            return None


def offered(match: Match) -> str:
    """The offer in a line."""
    advisor = match.matched_advisor
    if not advisor.id:
        return "nobody is free yet; the service keeps looking"
    return f"{advisor.display_name} ({', '.join(advisor.specialties)})"


def ask(question: str, answers: str) -> str:
    """One of the answers, each a character."""
    while True:
        print(f"{question} > ", end="", flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise EOFError
        print()
        if answer.strip() in set(answers):
            return answer.strip()


def main() -> int:
    """Goes through the dialog for a project of the sample directory."""
    try:
        with MatchingClient.from_env(user_id=OWNER, roles=["client"]) as owner:
            dialog(owner, owner.get_project(PROJECT))
    except (EOFError, KeyboardInterrupt):
        return 1
    except (MatchingError, SettingsError, ValueError) as error:
        print(f"decline: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
