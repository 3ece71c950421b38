"""AdminService: steering, explaining and repairing. What has no handler here is not served yet."""

from __future__ import annotations

from advisor_matching.v1 import admin_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.operations import matching, simulating
from matching_server.operations.runner import Runner
from matching_server.rpc.convert_explanation import explanation_message, simulation_message
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import MatchIdInput, SimulateMatchInput


class AdminService:
    """The handlers of AdminService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def simulate_match(self, request: pb.SimulateMatchRequest, call: Call) -> pb.SimulateMatchResponse:
        """Says whom CreateMatch would choose, and why not the others."""
        command = read(SimulateMatchInput, request).command()
        return simulation_message(simulating.simulate_match(self._runner, call, command))

    def explain_match(self, request: pb.ExplainMatchRequest, call: Call) -> pb.ExplainMatchResponse:
        """Says why a match has the advisor it has."""
        match_id = read(MatchIdInput, request).match_id
        record, replay_matches = matching.explain_match(self._runner, call, match_id)
        return pb.ExplainMatchResponse(explanation=explanation_message(record), replay_matches=replay_matches)
