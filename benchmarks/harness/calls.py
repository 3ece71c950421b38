"""Calls of the service, built and signed before the clock runs.

A signature is good for 300 s, and once where the call changes something: so, sign just before each window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

from google.protobuf.message import Message

from advisor_matching.v1.availability_service_pb2 import GetAvailabilityRequest
from advisor_matching.v1.chat_service_pb2 import SendMessageRequest
from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, CreateMatchResponse
from advisor_matching.v1.types_pb2 import MatchCriteria, MatchStatus
from benchmarks.harness import seed
from benchmarks.harness.load import GrpcCall
from benchmarks.harness.results import BenchmarkError
from benchmarks.harness.stage import Server
from matching_client.signing import PACKAGE, STREAM_LIFETIME, Claims, Credentials

CREATE_MATCH = f"/{PACKAGE}.MatchService/CreateMatch"
GET_AVAILABILITY = f"/{PACKAGE}.AvailabilityService/GetAvailability"
SEND_MESSAGE = f"/{PACKAGE}.ChatService/SendMessage"
WATCH = f"/{PACKAGE}.EventService/WatchProjectEvents"
TEXT = (
    "The import of last year's invoices is done; may I show you on Thursday what is left of the old tables?"
)
"""What chat messages say: about as much as a sentence."""

_OWNER = Claims(str(seed.OWNER), "owner@example.com", ("client",))
_PLATFORM = Claims(str(UUID(int=2)), "platform@example.com", ("service",))


def create_match(
    server: Server, projects: Iterable[int], criteria: MatchCriteria | None = None
) -> list[GrpcCall]:
    """Each project's owner asks for an advisor, with a request id, as the published client does."""
    requests = (
        CreateMatchRequest(
            project_id=str(seed.project_id(number)), criteria=criteria, request_id=str(uuid4())
        )
        for number in projects
    )
    return _signed(server, CREATE_MATCH, _OWNER, requests)


def get_availability(server: Server, advisors: Iterable[UUID]) -> list[GrpcCall]:
    """The platform asks for each advisor's availability."""
    requests = (GetAvailabilityRequest(advisor_id=str(advisor)) for advisor in advisors)
    return _signed(server, GET_AVAILABILITY, _PLATFORM, requests)


def send_message(server: Server, messages: Iterable[tuple[UUID, UUID]]) -> list[GrpcCall]:
    """The platform writes into projects' chats; a message is its project and its own id."""
    requests = (
        SendMessageRequest(project_id=str(project), client_msg_id=str(message), text=TEXT)
        for project, message in messages
    )
    return _signed(server, SEND_MESSAGE, _PLATFORM, requests)


def watch(server: Server, projects: Iterable[UUID], *, after: str = "") -> list[GrpcCall]:
    """A stream for each project, from ``after`` on where that is given.

    Each is a caller's of their own, who acts for the platform: nobody may have more than three.
    """
    made = []
    for project in projects:
        who = Claims(str(uuid4()), "watcher@example.com", ("service",))
        credentials = Credentials(server.key_id, server.secret, who)
        body = WatchProjectEventsRequest(project_id=str(project), last_event_id=after).SerializeToString()
        made.append(GrpcCall(body, credentials.headers(WATCH, body, lifetime=STREAM_LIFETIME)))
    return made


def assert_matched(answers: Sequence[bytes]) -> None:
    """Every answer is a new match that has its advisor: nothing else was to be measured.

    Raises:
        BenchmarkError: one is not.
    """
    for answer in answers:
        created = CreateMatchResponse.FromString(answer)
        if created.already_open or created.match.status != MatchStatus.MATCH_STATUS_MATCHED:
            status = MatchStatus.Name(created.match.status)
            raise BenchmarkError(f"a match is {status}{', and not new' if created.already_open else ''}")


def _signed(server: Server, method: str, who: Claims, requests: Iterable[Message]) -> list[GrpcCall]:
    credentials = Credentials(server.key_id, server.secret, who)
    bodies = (request.SerializeToString() for request in requests)
    return [GrpcCall(body, credentials.headers(method, body)) for body in bodies]
