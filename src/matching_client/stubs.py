"""The generated stubs, one per service, over one channel."""

from __future__ import annotations

import grpc

from advisor_matching.v1.admin_service_pb2_grpc import AdminServiceStub
from advisor_matching.v1.availability_service_pb2_grpc import AvailabilityServiceStub
from advisor_matching.v1.chat_service_pb2_grpc import ChatServiceStub
from advisor_matching.v1.decision_service_pb2_grpc import DecisionServiceStub
from advisor_matching.v1.directory_service_pb2_grpc import DirectoryServiceStub
from advisor_matching.v1.event_service_pb2_grpc import EventServiceStub
from advisor_matching.v1.match_service_pb2_grpc import MatchServiceStub
from advisor_matching.v1.system_service_pb2_grpc import SystemServiceStub


class Stubs:
    """The raw typed stubs. Their calls are signed, but not retried, and raise `grpc.RpcError`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.match = MatchServiceStub(channel)
        self.decision = DecisionServiceStub(channel)
        self.availability = AvailabilityServiceStub(channel)
        self.admin = AdminServiceStub(channel)
        self.event = EventServiceStub(channel)
        self.chat = ChatServiceStub(channel)
        self.directory = DirectoryServiceStub(channel)
        self.system = SystemServiceStub(channel)
