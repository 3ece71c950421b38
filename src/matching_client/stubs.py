# Made from aio/stubs.py by scripts/make_sync.py; never edited.
"""The generated stubs, one per service, over one connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from matching_client.channel import SigningChannel
from matching_client.contract import (
    admin_grpc,
    availability_grpc,
    chat_grpc,
    decision_grpc,
    directory_grpc,
    event_grpc,
    match_grpc,
    system_grpc,
)

if TYPE_CHECKING:
    from matching_client.connection import Connection
    from matching_client.signing import Credentials


class Stubs:
    """The raw typed stubs. Their calls are signed, but not retried, and raise `grpc.RpcError`.

    Each is made when it is first used.
    """

    def __init__(self, connection: Connection, credentials: Credentials) -> None:
        self._connection = connection
        self._credentials = credentials

    @cached_property
    def match(self) -> match_grpc.MatchServiceStub:
        """MatchService."""
        return match_grpc.MatchServiceStub(self._channel)

    @cached_property
    def decision(self) -> decision_grpc.DecisionServiceStub:
        """DecisionService."""
        return decision_grpc.DecisionServiceStub(self._channel)

    @cached_property
    def availability(self) -> availability_grpc.AvailabilityServiceStub:
        """AvailabilityService."""
        return availability_grpc.AvailabilityServiceStub(self._channel)

    @cached_property
    def admin(self) -> admin_grpc.AdminServiceStub:
        """AdminService."""
        return admin_grpc.AdminServiceStub(self._channel)

    @cached_property
    def event(self) -> event_grpc.EventServiceStub:
        """EventService."""
        return event_grpc.EventServiceStub(self._channel)

    @cached_property
    def chat(self) -> chat_grpc.ChatServiceStub:
        """ChatService."""
        return chat_grpc.ChatServiceStub(self._channel)

    @cached_property
    def directory(self) -> directory_grpc.DirectoryServiceStub:
        """DirectoryService."""
        return directory_grpc.DirectoryServiceStub(self._channel)

    @cached_property
    def system(self) -> system_grpc.SystemServiceStub:
        """SystemService."""
        return system_grpc.SystemServiceStub(self._channel)

    @cached_property
    def _channel(self) -> SigningChannel:
        return SigningChannel(self._connection.channel, self._credentials)
