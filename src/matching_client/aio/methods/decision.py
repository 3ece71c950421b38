"""DecisionService: the two sides' say in a match."""

from __future__ import annotations

from typing import Unpack

from matching_client.aio.caller import Caller
from matching_client.contract import decision as decisions
from matching_client.contract import types
from matching_client.options import CallOptions
from matching_client.words import value_of


class DecisionMethods(Caller):
    """The methods of DecisionService."""

    async def submit_client_decision(
        self,
        match_id: str,
        decision: types.Decision | str,
        *,
        reason: str = "",
        etag: str = "",
        **options: Unpack[CallOptions],
    ) -> decisions.SubmitClientDecisionResponse:
        """Records the client's decision, "approved" or "declined".

        With `etag`, only on the match exactly as it was read. Repeating one's own decision changes nothing.
        Errors: MatchNotFound, EtagMismatch, MatchExpired, InvalidTransition, and the common ones.
        """
        request = decisions.SubmitClientDecisionRequest(
            match_id=match_id, decision=value_of(types.Decision, decision), reason=reason, etag=etag
        )
        return await self._call(self.stubs.decision.SubmitClientDecision, request, options)

    async def submit_advisor_decision(
        self,
        match_id: str,
        decision: types.Decision | str,
        *,
        reason: str = "",
        etag: str = "",
        **options: Unpack[CallOptions],
    ) -> decisions.SubmitAdvisorDecisionResponse:
        """Records the decision, "approved" or "declined", of the advisor to whom the match is offered.

        With `etag`, only on the match exactly as it was read. Repeating one's own decision changes nothing.
        Errors: MatchNotFound, EtagMismatch, MatchExpired, InvalidTransition, and the common ones.
        """
        request = decisions.SubmitAdvisorDecisionRequest(
            match_id=match_id, decision=value_of(types.Decision, decision), reason=reason, etag=etag
        )
        return await self._call(self.stubs.decision.SubmitAdvisorDecision, request, options)
