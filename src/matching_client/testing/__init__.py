"""A fake of the matching service, for tests of code that calls it.

    import pytest
    from matching_client.testing import FakeMatching

    @pytest.fixture
    def matching():
        with FakeMatching() as fake:
            yield fake

    def test_the_dialog_shows_the_advisor(matching):
        project, ada = matching.add_project(), matching.add_advisor(display_name="Ada")
        client = matching.client(user_id=project.owner_id, roles=["client"])
        assert client.create_match(project.id).match.matched_advisor.display_name == "Ada"

A gRPC server in this process, on loopback; it needs nothing beyond the client package. The same contract tests
hold it to the real service.
"""

from matching_client.testing.fake import FakeMatching
from matching_client.testing.server import Call

__all__ = ["Call", "FakeMatching"]
