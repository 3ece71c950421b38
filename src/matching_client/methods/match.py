"""MatchService: asking for an advisor, and looking at what was found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Unpack

from advisor_matching.v1.match_service_pb2 import (
    ClaimMatchRequest,
    CreateMatchRequest,
    CreateMatchResponse,
    GetMatchRequest,
    ListClaimableMatchesRequest,
    ListClaimableMatchesResponse,
    ListProjectMatchesRequest,
    ListProjectMatchesResponse,
)
from advisor_matching.v1.types_pb2 import Match, MatchCriteria, MatchStatus
from matching_client.methods.base import Caller, CallOptions


class MatchMethods(Caller):
    """The methods of MatchService."""

    def create_match(
        self,
        project_id: str,
        *,
        criteria: MatchCriteria | None = None,
        expires_in: timedelta | None = None,
        fail_if_open: bool = False,
        require_immediate: bool = False,
        allow_previous: bool = False,
        request_id: str = "",
        **options: Unpack[CallOptions],
    ) -> CreateMatchResponse:
        """Finds the best free advisor for a project and offers them the project.

        Where nobody is free, the match is pending until an advisor is found or `expires_in` (2 h, 1 s to 168
        h) has passed; with `require_immediate` that is NoAdvisorsAvailable or AllAdvisorsBusy instead. A
        project that has an unsettled match gets that one, `already_open`; with `fail_if_open` that is
        DuplicateMatchRequest.
        Errors: ProjectNotFound, IdempotencyMismatch, and the common ones.
        """
        request = CreateMatchRequest(
            project_id=project_id,
            criteria=criteria,
            expires_in=expires_in,
            fail_if_open=fail_if_open,
            require_immediate=require_immediate,
            allow_previous=allow_previous,
            request_id=request_id,
        )
        return self._call(self.stubs.match.CreateMatch, request, options)

    def get_match(self, match_id: str, **options: Unpack[CallOptions]) -> Match:
        """Returns a match. Errors: MatchNotFound, and the common ones."""
        return self._call(self.stubs.match.GetMatch, GetMatchRequest(match_id=match_id), options).match

    def list_project_matches(
        self,
        project_id: str,
        *,
        statuses: Iterable[MatchStatus | str] = (),
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> ListProjectMatchesResponse:
        """Lists the matches of a project, newest first.

        50 a page, unless `page_size` (at most 200) says otherwise. Errors: ProjectNotFound, and the common
        ones.
        """
        request = ListProjectMatchesRequest(
            project_id=project_id, statuses=statuses, page_size=page_size, page_token=page_token
        )
        return self._call(self.stubs.match.ListProjectMatches, request, options)

    def list_claimable_matches(
        self, *, page_size: int = 0, page_token: str = "", **options: Unpack[CallOptions]
    ) -> ListClaimableMatchesResponse:
        """Lists the pending matches that the calling advisor may claim, oldest first.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = ListClaimableMatchesRequest(page_size=page_size, page_token=page_token)
        return self._call(self.stubs.match.ListClaimableMatches, request, options)

    def claim_match(self, match_id: str, **options: Unpack[CallOptions]) -> Match:
        """Takes a pending match for the calling advisor, who thereby accepts it.

        Errors: MatchNotFound, AdvisorNotFound, AdvisorInactive, AdvisorAtCapacity, InvalidTransition,
        MatchExpired, and the common ones.
        """
        return self._call(self.stubs.match.ClaimMatch, ClaimMatchRequest(match_id=match_id), options).match
