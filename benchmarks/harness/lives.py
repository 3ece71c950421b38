"""Matches that live their whole life: asked for, approved by both sides, seen to be ready by a watcher.

What follows from an answer, a decision on the match that it names, is built and signed while the clock runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import grpc.aio

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitClientDecisionRequest,
)
from advisor_matching.v1.match_service_pb2 import CreateMatchResponse
from advisor_matching.v1.types_pb2 import Decision
from benchmarks.harness.load import GrpcCall, Window, told
from benchmarks.harness.results import BenchmarkError
from matching_client.signing import PACKAGE, Claims, Credentials

_CREATE = f"/{PACKAGE}.MatchService/CreateMatch"
_CLIENT_DECIDES = f"/{PACKAGE}.DecisionService/SubmitClientDecision"
_ADVISOR_DECIDES = f"/{PACKAGE}.DecisionService/SubmitAdvisorDecision"
_CALL_SECONDS = 10.0
_LIFE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Lives:
    """``created`` are the CreateMatch calls of the owner, one a life."""

    address: str
    key_id: str
    secret: str
    owner: UUID
    created: Sequence[GrpcCall]
    in_flight: int


async def run(load: Lives, seen: Callable[[int], Awaitable[None]]) -> Window:
    """Lives all the lives, so many at a time; ``seen`` waits until the watcher of a life has seen its end.

    Raises:
        BenchmarkError: a call failed, or an end was not seen within half a minute.
    """
    starts, latencies = [0.0] * len(load.created), [0.0] * len(load.created)
    numbers = iter(range(len(load.created)))
    owner = Credentials(load.key_id, load.secret, Claims(str(load.owner), "owner@example.com", ("client",)))
    async with grpc.aio.insecure_channel(load.address) as channel:
        methods: dict[str, Any] = {
            name: channel.unary_unary(name) for name in (_CREATE, _CLIENT_DECIDES, _ADVISOR_DECIDES)
        }

        async def decide(method: str, who: Credentials, body: bytes) -> None:
            await methods[method](body, metadata=who.headers(method, body), timeout=_CALL_SECONDS)

        async def live(number: int) -> None:
            made = load.created[number]
            answer = await methods[_CREATE](made.body, metadata=made.metadata, timeout=_CALL_SECONDS)
            match = CreateMatchResponse.FromString(answer).match
            advisor = Claims(match.matched_advisor.id, "advisor@example.com", ("advisor",))
            approved: dict[str, Any] = {"match_id": match.id, "decision": Decision.DECISION_APPROVED}
            await decide(_CLIENT_DECIDES, owner, SubmitClientDecisionRequest(**approved).SerializeToString())
            await decide(
                _ADVISOR_DECIDES,
                Credentials(load.key_id, load.secret, advisor),
                SubmitAdvisorDecisionRequest(**approved).SerializeToString(),
            )
            async with asyncio.timeout(_LIFE_SECONDS):
                await seen(number)

        async def one_after_the_other() -> None:
            for number in numbers:
                starts[number] = time.perf_counter()
                await live(number)
                latencies[number] = time.perf_counter() - starts[number]

        await asyncio.wait_for(channel.channel_ready(), _CALL_SECONDS)
        cpu, began = time.process_time(), time.perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(load.in_flight):
                    group.create_task(one_after_the_other())
        except ExceptionGroup as error:
            first = error.exceptions[0]
            what = "a ready workspace was not seen" if isinstance(first, TimeoutError) else told(first)
            raise BenchmarkError(f"a life failed: {what}") from None
        seconds = time.perf_counter() - began
    return Window(seconds, starts, latencies, [], time.process_time() - cpu)
