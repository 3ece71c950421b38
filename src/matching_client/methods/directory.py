# Made from aio/methods/directory.py by scripts/make_sync.py; never edited.
"""DirectoryService: the projects and advisors that matching knows of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from matching_client.caller import Caller
from matching_client.contract import directory, types
from matching_client.options import CallOptions


class DirectoryMethods(Caller):
    """The methods of DirectoryService."""

    def upsert_project(self, project: types.Project, **options: Unpack[CallOptions]) -> types.Project:
        """Creates a project or replaces its data; returns it as stored. Errors: the common ones."""
        response = self._call(
            self.stubs.directory.UpsertProject, directory.UpsertProjectRequest(project=project), options
        )
        return response.project

    def get_project(self, project_id: str, **options: Unpack[CallOptions]) -> types.Project:
        """Returns a project. Errors: ProjectNotFound, and the common ones."""
        response = self._call(
            self.stubs.directory.GetProject, directory.GetProjectRequest(project_id=project_id), options
        )
        return response.project

    def upsert_advisor(self, advisor: types.Advisor, **options: Unpack[CallOptions]) -> types.Advisor:
        """Creates an advisor or replaces their profile; returns it as stored.

        Optional fields that are unset stay as they were. Errors: the common ones.
        """
        response = self._call(
            self.stubs.directory.UpsertAdvisor, directory.UpsertAdvisorRequest(advisor=advisor), options
        )
        return response.advisor

    def get_advisor(self, advisor_id: str, **options: Unpack[CallOptions]) -> types.Advisor:
        """Returns an advisor's profile, active or not. Errors: AdvisorNotFound, and the common ones."""
        response = self._call(
            self.stubs.directory.GetAdvisor, directory.GetAdvisorRequest(advisor_id=advisor_id), options
        )
        return response.advisor

    def list_advisors(
        self,
        *,
        skill: str = "",
        framework: str = "",
        available: bool | None = None,
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> directory.ListAdvisorsResponse:
        """Lists the active advisors that meet every filter given, newest first.

        `available` true: only those who can be offered a project now; false: only the others.
        Errors: the common ones.
        """
        request = directory.ListAdvisorsRequest(
            skill=skill, framework=framework, page_size=page_size, page_token=page_token
        )
        if available is not None:
            request.available = available
        return self._call(self.stubs.directory.ListAdvisors, request, options)

    def iter_advisors(
        self,
        *,
        skill: str = "",
        framework: str = "",
        available: bool | None = None,
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> Iterator[types.Advisor]:
        """What `list_advisors` lists, page after page as they are needed; `timeout` is of each page."""
        return self._pages(
            lambda token: self.list_advisors(
                skill=skill,
                framework=framework,
                available=available,
                page_size=page_size,
                page_token=token,
                **options,
            ),
            lambda page: (page.advisors, page.next_page_token),
        )

    def deactivate_advisor(
        self, advisor_id: str, *, reason: str = "", **options: Unpack[CallOptions]
    ) -> types.Advisor:
        """Takes an advisor out of matching and closes their open offers; returns them.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = directory.DeactivateAdvisorRequest(advisor_id=advisor_id, reason=reason)
        response = self._call(self.stubs.directory.DeactivateAdvisor, request, options)
        return response.advisor
