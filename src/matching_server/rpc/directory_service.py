"""DirectoryService: the projects and advisors that matching knows of."""

from __future__ import annotations

from advisor_matching.v1 import directory_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.operations import directory
from matching_server.operations.runner import Runner
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import (
    AdvisorIdInput,
    DeactivateAdvisorInput,
    ListAdvisorsInput,
    ProjectIdInput,
    UpsertAdvisorInput,
    UpsertProjectInput,
)


class DirectoryService:
    """The handlers of DirectoryService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def upsert_project(self, request: pb.UpsertProjectRequest, call: Call) -> pb.UpsertProjectResponse:
        """Creates a project or replaces its data."""
        project = read(UpsertProjectInput, request).value()
        stored = directory.upsert_project(self._runner, call, project)
        return pb.UpsertProjectResponse(project=convert.project_message(stored))

    def get_project(self, request: pb.GetProjectRequest, call: Call) -> pb.GetProjectResponse:
        """Returns a project."""
        project_id = read(ProjectIdInput, request).project_id
        found = directory.get_project(self._runner, call, project_id)
        return pb.GetProjectResponse(project=convert.project_message(found))

    def upsert_advisor(self, request: pb.UpsertAdvisorRequest, call: Call) -> pb.UpsertAdvisorResponse:
        """Creates an advisor or replaces their profile."""
        advisor = read(UpsertAdvisorInput, request).value()
        stored = directory.upsert_advisor(self._runner, call, advisor)
        return pb.UpsertAdvisorResponse(advisor=convert.advisor_message(stored))

    def get_advisor(self, request: pb.GetAdvisorRequest, call: Call) -> pb.GetAdvisorResponse:
        """Returns an advisor's profile."""
        advisor_id = read(AdvisorIdInput, request).advisor_id
        found = directory.get_advisor(self._runner, call, advisor_id)
        return pb.GetAdvisorResponse(advisor=convert.advisor_message(found))

    def list_advisors(self, request: pb.ListAdvisorsRequest, call: Call) -> pb.ListAdvisorsResponse:
        """Lists active advisors."""
        command = read(ListAdvisorsInput, request).command()
        page = directory.list_advisors(self._runner, call, command)
        return convert.advisor_page_message(page)

    def deactivate_advisor(
        self, request: pb.DeactivateAdvisorRequest, call: Call
    ) -> pb.DeactivateAdvisorResponse:
        """Takes an advisor out of matching."""
        asked = read(DeactivateAdvisorInput, request)
        advisor = directory.deactivate_advisor(self._runner, call, asked.advisor_id, asked.reason)
        return pb.DeactivateAdvisorResponse(advisor=convert.advisor_message(advisor))
