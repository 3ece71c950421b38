"""What matching promises to those who come at the same moment, judged by what happened.

Each check looks for breaches of one promise and returns a line for each that it finds; none means kept. A check is
sure of what it says: where the times leave it open who came first, nobody is blamed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from matching_server.domain.model import MatchStatus
from tests.support.happened import History, Span, Step, Version, Waiting, loaded

SHOWN = 0.1
"""What has committed can be seen by others at the latest so many seconds after the time of its commit."""


class Wait(NamedTuple):
    """How long a match waited although an advisor was free for it, without a break."""

    seconds: float
    match: str
    advisor: str
    since: float


def slots_given_twice(history: History) -> list[str]:
    """Nobody is given a project beyond their maximum at that moment, emergencies aside."""
    loads: defaultdict[str, int] = defaultdict(int)
    found = []
    for step, advisor, change in loaded(history.steps):
        loads[advisor] += change
        if change < 0 or history.requests[step.match].emergency:
            continue
        version = _at(history.versions_of.get(advisor, []), step.committed)
        if version is None or loads[advisor] > version.slots:
            slots = version.slots if version else 0
            found.append(f"match {step.match} is project {loads[advisor]} of {slots} of advisor {advisor}")
    return found


def loads_miscounted(history: History) -> list[str]:
    """Every version of an advisor's row counts the matches that the advisor held at that commit."""
    found = []
    for advisor, versions in history.versions_of.items():
        loads = history.loads_of.get(advisor, [])
        for number, version in enumerate(versions):
            last = number + 1 == len(versions) or versions[number + 1].committed > version.committed
            held = _load_at(loads, version.committed)
            # Of several versions in one transaction the last is the one that others see.
            if last and version.load != held:
                found.append(
                    f"advisor {advisor} held {held}, the row said {version.load} at {version.committed}"
                )
    return found


def turned_away_while_free(history: History) -> list[str]:
    """Nobody is told to wait, or that nobody is free, while one advisor was free for them all through the call."""
    found = []
    for answer in filter(lambda answer: answer.turned_away, history.answers):
        request = history.requests[answer.match]
        if request.expires <= answer.ended:
            continue
        for advisor, spans in history.free_spans_of.items():
            since = history.takes(request, advisor)
            span = _span_at(spans, answer.started)
            if span is None or max(span.start, since) + SHOWN > answer.started or span.end < answer.ended:
                continue
            found.append(
                f"{answer.match} was turned away from {answer.started:.6f} to {answer.ended:.6f}, and advisor"
                f" {advisor} was free from {span.start:.6f} to {span.end:.6f}"
            )
    return found


def overtaken(history: History) -> list[str]:
    """Nobody gets an advisor whom somebody older could have had, who goes on waiting.

    The older one counts once the transaction that served the younger could see it waiting. It is let off where
    its own next step was under way, or its time over.
    """
    served = [step for step, _, change in loaded(history.steps) if change > 0 and _by_rank(history, step)]
    arriving = iter([*history.waits, None])
    arrived = next(arriving)
    waiting: list[Waiting] = []
    found = []
    for step in sorted(served, key=lambda step: step.began):
        while arrived is not None and arrived.span.start + SHOWN <= step.began:
            waiting.append(arrived)
            arrived = next(arriving)
        waiting = [one for one in waiting if one.ended is None or one.ended.locked > step.began]
        found += [_overtaking(history, step, older) for older in _passed_by(history, step, waiting)]
    return found


def waited_while_free(history: History) -> list[Wait]:
    """How long each match waited while some one advisor was free for it without a break; the longest first."""
    found = []
    for request, waited, _ in history.waits:
        for advisor, spans in history.free_spans_of.items():
            since = max(waited.start, history.takes(request, advisor))
            until = min(waited.end, request.expires)
            for span in _overlapping(spans, since, until):
                start, end = max(span.start, since), min(span.end, until)
                found.append(Wait(end - start, request.id, advisor, start))
    return sorted(found, reverse=True)


def waiting_in_vain(history: History, now: float) -> list[str]:
    """Matches that wait at this moment although somebody is free for them."""
    return [
        wait.match
        for wait in waited_while_free(history)
        if wait.seconds == inf or wait.since + wait.seconds > now
    ]


def answers_never_true(history: History) -> list[str]:
    """What a caller was told of a match was so at some moment of the call."""
    found = []
    for answer in history.answers:
        if answer.status is None:
            continue
        steps = history.steps_of.get(answer.match, [])
        first = max(bisect_right(steps, answer.started - SHOWN, key=lambda step: step.committed) - 1, 0)
        shown = {step.status for step in steps[first:] if step.committed <= answer.ended}
        if history.requests[answer.match].expires <= answer.ended:
            # Whatever is stored, what is past its time is shown as expired.
            shown.add(MatchStatus.EXPIRED)
        if answer.status not in shown:
            told = sorted(status.value for status in shown) or "not there"
            found.append(f"match {answer.match} was told as {answer.status.value}, and was {told}")
    return found


def _by_rank(history: History, step: Step) -> bool:
    """Whether the advisor was chosen by the service: an admin's word, or an advisor's own, keeps no order."""
    return not (history.requests[step.match].assigned or step.claimed_by_advisor)


def _passed_by(history: History, step: Step, waiting: Iterable[Waiting]) -> Iterator[Waiting]:
    """The older ones who could have had the advisor of that step, and went on waiting."""
    assert step.advisor is not None
    younger = history.requests[step.match]
    for older in waiting:
        if older.request.place >= younger.place or older.request.expires <= step.committed:
            continue
        if older.ended is not None and older.ended.locked <= step.committed:
            continue
        if history.takes(older.request, step.advisor) + SHOWN <= step.began:
            yield older


def _overtaking(history: History, step: Step, older: Waiting) -> str:
    assert step.advisor is not None
    # Just before the step took a slot, which may have been the last.
    span = _span_at(history.free_spans_of.get(step.advisor, []), step.committed - 1e-6)
    free = f"free for {step.began - span.start:+.3f} s when it began" if span else "not free"
    ended = older.ended
    fate = f"{ended.status.value} {ended.committed - step.committed:.3f} s later" if ended else "to the end"
    by = "the backlog pass" if step.actor is None else "its own call"
    return (
        f"match {step.match} was given advisor {step.advisor}, {free}, by {by}, begun at {step.began:.6f} and"
        f" committed at {step.committed:.6f}, while {older.request.id}, waiting since {older.span.start:.6f},"
        f" went on waiting ({fate})"
    )


def _span_at(spans: Sequence[Span], moment: float) -> Span | None:
    number = bisect_right(spans, moment, key=lambda span: span.start) - 1
    return spans[number] if number >= 0 and spans[number].end > moment else None


def _overlapping(spans: Sequence[Span], start: float, end: float) -> Iterator[Span]:
    first = max(bisect_right(spans, start, key=lambda span: span.start) - 1, 0)
    for span in spans[first:]:
        if span.start >= end:
            return
        if span.end > start:
            yield span


def _at(versions: Sequence[Version], moment: float) -> Version | None:
    number = bisect_right(versions, moment, key=lambda version: version.committed) - 1
    return versions[number] if number >= 0 else None


def _load_at(loads: Sequence[tuple[float, int]], moment: float) -> int:
    number = bisect_right(loads, moment, key=lambda load: load[0]) - 1
    return loads[number][1] if number >= 0 else 0
