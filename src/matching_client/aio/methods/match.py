"""MatchService: asking for an advisor, and looking at what was found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Unpack

from matching_client.aio.caller import Caller
from matching_client.contract import match, types
from matching_client.options import CallOptions
from matching_client.words import values_of


class MatchMethods(Caller):
    """The methods of MatchService."""

    async def create_match(
        self,
        project_id: str,
        *,
        criteria: types.MatchCriteria | None = None,
        expires_in: timedelta | None = None,
        fail_if_open: bool = False,
        require_immediate: bool = False,
        allow_previous: bool = False,
        request_id: str = "",
        **options: Unpack[CallOptions],
    ) -> match.CreateMatchResponse:
        """Finds the best free advisor for a project and offers them the project.

        Where nobody is free, the match is pending until an advisor is found or `expires_in` (2 h, 1 s to 168
        h) has passed; with `require_immediate` that is NoAdvisorsAvailable or AllAdvisorsBusy instead. A
        project that has an unsettled match gets that one, `already_open`; with `fail_if_open` that is
        DuplicateMatchRequest.
        Errors: ProjectNotFound, IdempotencyMismatch, and the common ones.
        """
        request = match.CreateMatchRequest(
            project_id=project_id,
            criteria=criteria,
            expires_in=expires_in,
            fail_if_open=fail_if_open,
            require_immediate=require_immediate,
            allow_previous=allow_previous,
            request_id=request_id,
        )
        return await self._call(self.stubs.match.CreateMatch, request, options)

    async def get_match(self, match_id: str, **options: Unpack[CallOptions]) -> types.Match:
        """Returns a match. Errors: MatchNotFound, and the common ones."""
        response = await self._call(
            self.stubs.match.GetMatch, match.GetMatchRequest(match_id=match_id), options
        )
        return response.match

    async def list_project_matches(
        self,
        project_id: str,
        *,
        statuses: Iterable[types.MatchStatus | str] = (),
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> match.ListProjectMatchesResponse:
        """Lists the matches of a project, newest first.

        50 a page, unless `page_size` (at most 200) says otherwise. Errors: ProjectNotFound, and the common
        ones.
        """
        request = match.ListProjectMatchesRequest(
            project_id=project_id,
            statuses=values_of(types.MatchStatus, statuses),
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(self.stubs.match.ListProjectMatches, request, options)

    def iter_project_matches(
        self,
        project_id: str,
        *,
        statuses: Iterable[types.MatchStatus | str] = (),
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.Match]:
        """The matches of a project, as `list_project_matches` lists them, page after page as they are needed.

        `timeout` is that of each page.
        """
        wanted = values_of(types.MatchStatus, statuses)
        return self._pages(
            lambda token: self.list_project_matches(
                project_id, statuses=wanted, page_size=page_size, page_token=token, **options
            ),
            lambda page: (page.matches, page.next_page_token),
        )

    async def list_claimable_matches(
        self, *, page_size: int = 0, page_token: str = "", **options: Unpack[CallOptions]
    ) -> match.ListClaimableMatchesResponse:
        """Lists the pending matches that the calling advisor may claim, oldest first.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = match.ListClaimableMatchesRequest(page_size=page_size, page_token=page_token)
        return await self._call(self.stubs.match.ListClaimableMatches, request, options)

    def iter_claimable_matches(
        self, *, page_size: int = 0, **options: Unpack[CallOptions]
    ) -> AsyncIterator[types.Match]:
        """What `list_claimable_matches` lists, page after page as they are needed; `timeout` is of each page."""
        return self._pages(
            lambda token: self.list_claimable_matches(page_size=page_size, page_token=token, **options),
            lambda page: (page.matches, page.next_page_token),
        )

    async def claim_match(self, match_id: str, **options: Unpack[CallOptions]) -> types.Match:
        """Takes a pending match for the calling advisor, who thereby accepts it.

        Errors: MatchNotFound, AdvisorNotFound, AdvisorInactive, AdvisorAtCapacity, InvalidTransition,
        MatchExpired, and the common ones.
        """
        response = await self._call(
            self.stubs.match.ClaimMatch, match.ClaimMatchRequest(match_id=match_id), options
        )
        return response.match
