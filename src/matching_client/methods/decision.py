"""DecisionService: the two sides' say in a match."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitAdvisorDecisionResponse,
    SubmitClientDecisionRequest,
    SubmitClientDecisionResponse,
)
from advisor_matching.v1.types_pb2 import Decision
from matching_client.methods.base import Caller, CallOptions


class DecisionMethods(Caller):
    """The methods of DecisionService."""

    def submit_client_decision(
        self,
        match_id: str,
        decision: Decision | str,
        *,
        reason: str = "",
        etag: str = "",
        **options: Unpack[CallOptions],
    ) -> SubmitClientDecisionResponse:
        """Records the client's decision, DECISION_APPROVED or DECISION_DECLINED.

        With `etag`, only on the match exactly as it was read. Repeating one's own decision changes nothing.
        Errors: MatchNotFound, EtagMismatch, MatchExpired, InvalidTransition, and the common ones.
        """
        request = SubmitClientDecisionRequest(match_id=match_id, decision=decision, reason=reason, etag=etag)
        return self._call(self.stubs.decision.SubmitClientDecision, request, options)

    def submit_advisor_decision(
        self,
        match_id: str,
        decision: Decision | str,
        *,
        reason: str = "",
        etag: str = "",
        **options: Unpack[CallOptions],
    ) -> SubmitAdvisorDecisionResponse:
        """Records the decision of the advisor to whom the match is offered.

        With `etag`, only on the match exactly as it was read. Repeating one's own decision changes nothing.
        Errors: MatchNotFound, EtagMismatch, MatchExpired, InvalidTransition, and the common ones.
        """
        request = SubmitAdvisorDecisionRequest(match_id=match_id, decision=decision, reason=reason, etag=etag)
        return self._call(self.stubs.decision.SubmitAdvisorDecision, request, options)
