"""The strategies of `tests/support/messages.py` make well-formed messages, of every method."""

from __future__ import annotations

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, given, settings

from matching_client.catalog import methods
from tests.support.contract import in_order, name_of
from tests.support.messages import requests


@pytest.mark.parametrize("method", list(methods()), ids=name_of)
def test_every_method_gets_messages_of_its_own(method: MethodDescriptor) -> None:
    kind = message_factory.GetMessageClass(method.input_type)

    @settings(max_examples=25, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(in_order(method), ["one-that-is-there"]))
    def parses(body: bytes) -> None:
        kind.FromString(body)

    parses()
