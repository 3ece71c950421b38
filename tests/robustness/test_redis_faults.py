"""Redis dies, forgets, freezes and comes back: calls go on, and events arrive in time, each once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from matching_server.embedded import EmbeddedServices
from tests.support.receipts import Receipts, delays_of_more
from tests.support.redis_faults import FAULTS, killed
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
LOOKS_EVERY, SLACK = 2.0, 1.0
"""Seconds: how long an event may stay unseen where no hint of it arrives, and what a busy machine adds."""

PROMPT = 0.25
"""Seconds: four events in a row within this were not found by looking."""


def test_events_arrive_in_time_and_once_whatever_becomes_of_redis(
    mortal: World, own_services: EmbeddedServices, tell: Tell
) -> None:
    mortal.start_together(2, "--no-workers")
    mortal.new_advisor()
    project, took = mortal.new_project(), defaultdict[str, list[float]](list)
    with Receipts(mortal.client(project), project) as receipts:
        for _ in range(rounds(1, full=20)):
            for name, fault in FAULTS.items():
                with fault(own_services.redis):
                    took[name] += delays_of_more(mortal, project, receipts)
                took[f"no longer {name}"] += delays_of_more(mortal, project, receipts)
        events = [event for event, _ in receipts.received]
    assert [event.seq for event in events] == list(range(1, len(mortal.event_types(project)) + 1))
    assert len({event.id for event in events}) == len(events)
    slowest = {when: max(seconds) for when, seconds in took.items()}
    assert max(slowest.values()) < LOOKS_EVERY + SLACK, slowest
    tell("after " + ", ".join(f"{seconds:.1f} s ({when})" for when, seconds in slowest.items()))


def test_servers_that_start_without_redis_serve_and_deliver_and_use_it_once_it_comes(
    mortal: World, own_services: EmbeddedServices, tell: Tell
) -> None:
    with killed(own_services.redis):
        mortal.start_together(2, "--no-workers")
        mortal.new_advisor()
        project = mortal.new_project()
        receipts = Receipts(mortal.client(project), project)
        without = delays_of_more(mortal, project, receipts)
    with receipts:
        assert max(without) < LOOKS_EVERY + SLACK
        eventually(
            lambda: max(delays_of_more(mortal, project, receipts)) < PROMPT,
            timeout=20,
            what="hints make events prompt",
        )
        numbers = [event.seq for event, _ in receipts.received]
    assert numbers == list(range(1, len(numbers) + 1))
    tell(f"after {max(without):.1f} s without, {max(receipts.delays(len(numbers) - 4)) * 1000:.0f} ms with")
