"""`matching decide`: what the two sides say to a match.

Only the project's owner and the advisor may. Whoever holds the key may sign for either, so where nobody is
named the operator looks up who it is, and the decision is theirs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionResponse,
    SubmitClientDecisionResponse,
)
from advisor_matching.v1.types_pb2 import Decision
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.options import MatchId, Reason
from matching_client.commands.words import words_argument

group = typer.Typer(name="decide", help="Approve or decline a match, for either side.")

Verdict = Annotated[str, words_argument(Decision, "DECISION", "What they say")]
Etag = Annotated[
    str, typer.Option(help="Only if the match still is as it was read: its etag, from `matches get`.")
]


@command(group, "client", method="DecisionService/SubmitClientDecision")
def client(call: Call, match_id: MatchId, decision: Verdict, reason: Reason = "", etag: Etag = "") -> None:
    """Records the client's decision. Without --user-id, for the project's owner."""
    who = call.client
    if not call.named:
        match = who.get_match(str(match_id))
        who = call.as_person(who.get_project(match.project_id).owner_id, "client", "the project's owner")
    _show(call, who.submit_client_decision(str(match_id), decision, reason=reason, etag=etag))


@command(group, "advisor", method="DecisionService/SubmitAdvisorDecision")
def advisor(call: Call, match_id: MatchId, decision: Verdict, reason: Reason = "", etag: Etag = "") -> None:
    """Records the advisor's decision. Without --user-id, for the advisor to whom the match is offered."""
    who = call.client
    if not call.named:
        offered_to = who.get_match(str(match_id)).matched_advisor.id
        if not offered_to:
            raise ValueError("the match is offered to nobody yet; an advisor takes it by `matches claim`")
        who = call.as_person(offered_to, "advisor", "the advisor")
    _show(call, who.submit_advisor_decision(str(match_id), decision, reason=reason, etag=etag))


def _show(call: Call, answer: SubmitClientDecisionResponse | SubmitAdvisorDecisionResponse) -> None:
    call.show(answer, lambda: views.match(answer.match))
