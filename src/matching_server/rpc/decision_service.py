"""DecisionService: the two sides' say in a match."""

from __future__ import annotations

from advisor_matching.v1 import decision_service_pb2 as pb
from advisor_matching.v1 import types_pb2
from matching_server.domain.calls import Call
from matching_server.domain.model import Side
from matching_server.operations import decisions
from matching_server.operations.runner import Runner
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import DecisionInput


class DecisionService:
    """The handlers of DecisionService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def submit_client_decision(
        self, request: pb.SubmitClientDecisionRequest, call: Call
    ) -> pb.SubmitClientDecisionResponse:
        """Records the client's decision."""
        match = self._submit(request, call, Side.CLIENT)
        return pb.SubmitClientDecisionResponse(
            status=match.status, workspace_provisioning=match.workspace_provisioning, match=match
        )

    def submit_advisor_decision(
        self, request: pb.SubmitAdvisorDecisionRequest, call: Call
    ) -> pb.SubmitAdvisorDecisionResponse:
        """Records the advisor's decision."""
        match = self._submit(request, call, Side.ADVISOR)
        return pb.SubmitAdvisorDecisionResponse(
            status=match.status, workspace_provisioning=match.workspace_provisioning, match=match
        )

    def _submit(
        self,
        request: pb.SubmitClientDecisionRequest | pb.SubmitAdvisorDecisionRequest,
        call: Call,
        side: Side,
    ) -> types_pb2.Match:
        command = read(DecisionInput, request).command(side)
        return convert.match_message(decisions.submit_decision(self._runner, call, command))
