"""MatchService: asking for an advisor, and looking at what was found."""

from __future__ import annotations

from advisor_matching.v1 import match_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.operations import claiming, matching
from matching_server.operations.commands import CreatedMatch
from matching_server.operations.runner import Runner
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import CreateMatchInput, ListProjectMatchesInput, MatchIdInput, PageInput


class MatchService:
    """The handlers of MatchService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def create_match(self, request: pb.CreateMatchRequest, call: Call) -> pb.CreateMatchResponse | bytes:
        """Finds an advisor; a repeat of a remembered request gets the very bytes of the first answer."""
        command = read(CreateMatchInput, request).command()
        created = matching.create_match(self._runner, call, command, _encode)
        if isinstance(created, bytes):
            return created
        return created.answer or convert.created_match_message(created)

    def get_match(self, request: pb.GetMatchRequest, call: Call) -> pb.GetMatchResponse:
        """Returns a match."""
        match_id = read(MatchIdInput, request).match_id
        match = matching.get_match(self._runner, call, match_id)
        return pb.GetMatchResponse(match=convert.match_message(match))

    def list_project_matches(
        self, request: pb.ListProjectMatchesRequest, call: Call
    ) -> pb.ListProjectMatchesResponse:
        """Lists the matches of a project."""
        command = read(ListProjectMatchesInput, request).command()
        page = matching.list_project_matches(self._runner, call, command)
        return convert.match_page_message(page)

    def list_claimable_matches(
        self, request: pb.ListClaimableMatchesRequest, call: Call
    ) -> pb.ListClaimableMatchesResponse:
        """Lists what the calling advisor may claim."""
        page = read(PageInput, request).page()
        return convert.claimable_page_message(claiming.list_claimable_matches(self._runner, call, page))

    def claim_match(self, request: pb.ClaimMatchRequest, call: Call) -> pb.ClaimMatchResponse:
        """Takes a waiting match for the calling advisor."""
        match_id = read(MatchIdInput, request).match_id
        match = claiming.claim_match(self._runner, call, match_id)
        return pb.ClaimMatchResponse(match=convert.match_message(match))


def _encode(created: CreatedMatch) -> bytes:
    return convert.created_match_message(created).SerializeToString()
