"""Run by an environment that has the client alone: a match from the request to the workspace; prints what it ran on."""

from __future__ import annotations

import json
import sys
import uuid

from google import protobuf

import matching_client
from advisor_matching.v1.types_pb2 import Advisor, Project


def main() -> None:
    """The connection comes from the environment."""
    owner, advisor, project = (str(uuid.uuid4()) for _ in range(3))
    with matching_client.MatchingClient.from_env(user_id=owner, roles=["client"]) as client:
        platform = client.as_user(user_id=str(uuid.uuid4()), roles=["service"])
        adviser = client.as_user(user_id=advisor, roles=["advisor"])
        platform.upsert_advisor(Advisor(id=advisor, display_name="Ada"))
        platform.upsert_project(Project(id=project, owner_id=owner, name="Shop"))
        with client.watch(project) as watch:
            match = client.create_match(project).match
            client.submit_client_decision(match.id, "DECISION_APPROVED")
            adviser.submit_advisor_decision(match.id, "DECISION_APPROVED")
            events = [next(watch).type for _ in range(6)]
        reason = ""
        try:
            adviser.create_match(project)
        except matching_client.PermissionDenied as error:
            reason = error.reason
    said = {
        "events": events,
        "reason": reason,
        "version": matching_client.__version__,
        "protobuf": protobuf.__version__,
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
