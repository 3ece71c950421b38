"""DirectoryService: the projects and advisors that matching knows of."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.directory_service_pb2 import (
    DeactivateAdvisorRequest,
    GetAdvisorRequest,
    GetProjectRequest,
    ListAdvisorsRequest,
    ListAdvisorsResponse,
    UpsertAdvisorRequest,
    UpsertProjectRequest,
)
from advisor_matching.v1.types_pb2 import Advisor, Project
from matching_client.methods.base import Caller, CallOptions


class DirectoryMethods(Caller):
    """The methods of DirectoryService."""

    def upsert_project(self, project: Project, **options: Unpack[CallOptions]) -> Project:
        """Creates a project or replaces its data; returns it as stored. Errors: the common ones."""
        return self._call(
            self.stubs.directory.UpsertProject, UpsertProjectRequest(project=project), options
        ).project

    def get_project(self, project_id: str, **options: Unpack[CallOptions]) -> Project:
        """Returns a project. Errors: ProjectNotFound, and the common ones."""
        return self._call(
            self.stubs.directory.GetProject, GetProjectRequest(project_id=project_id), options
        ).project

    def upsert_advisor(self, advisor: Advisor, **options: Unpack[CallOptions]) -> Advisor:
        """Creates an advisor or replaces their profile; returns it as stored.

        Optional fields that are unset stay as they were. Errors: the common ones.
        """
        return self._call(
            self.stubs.directory.UpsertAdvisor, UpsertAdvisorRequest(advisor=advisor), options
        ).advisor

    def get_advisor(self, advisor_id: str, **options: Unpack[CallOptions]) -> Advisor:
        """Returns an advisor's profile, active or not. Errors: AdvisorNotFound, and the common ones."""
        return self._call(
            self.stubs.directory.GetAdvisor, GetAdvisorRequest(advisor_id=advisor_id), options
        ).advisor

    def list_advisors(
        self,
        *,
        skill: str = "",
        framework: str = "",
        available: bool | None = None,
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> ListAdvisorsResponse:
        """Lists the active advisors that meet every filter given, newest first.

        `available` true: only those who can be offered a project now; false: only the others.
        Errors: the common ones.
        """
        request = ListAdvisorsRequest(
            skill=skill, framework=framework, page_size=page_size, page_token=page_token
        )
        if available is not None:
            request.available = available
        return self._call(self.stubs.directory.ListAdvisors, request, options)

    def deactivate_advisor(
        self, advisor_id: str, *, reason: str = "", **options: Unpack[CallOptions]
    ) -> Advisor:
        """Takes an advisor out of matching and closes their open offers; returns them.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = DeactivateAdvisorRequest(advisor_id=advisor_id, reason=reason)
        return self._call(self.stubs.directory.DeactivateAdvisor, request, options).advisor
