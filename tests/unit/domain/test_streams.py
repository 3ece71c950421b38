"""Which of a user's streams may have to go when another one is opened."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from matching_server.domain.streams import OpenStream, contested

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def opened(*watch_ids: str) -> list[OpenStream]:
    """Streams in this order; each is told by its place, from 1 on."""
    return [OpenStream(UUID(int=n), UUID(int=0), name, n, NOW) for n, name in enumerate(watch_ids, start=1)]


@pytest.mark.parametrize(
    ("before", "name", "limit", "goes"),
    [
        pytest.param("", "a", 3, [], id="the first"),
        pytest.param("ab", "c", 3, [], id="the last that may be"),
        pytest.param("abc", "d", 3, [1], id="one too many"),
        pytest.param("abc", "b", 3, [2], id="the same name"),
        pytest.param("a", "b", 1, [1], id="one is all that may be"),
        pytest.param("a", "a", 1, [1], id="one, by the same name"),
        pytest.param("abcd", "e", 3, [2], id="the first had to go before"),
        pytest.param("abb", "c", 3, [], id="two under one name count as one"),
        pytest.param("abbc", "d", 3, [1], id="and make room for nobody else"),
        pytest.param("abbc", "b", 3, [3], id="the first under the name had to go before"),
        pytest.param("abcdefg", "h", 3, [5], id="those before had to go before"),
        pytest.param("abcd", "a", 5, [1], id="the oldest, resumed"),
        pytest.param("abcda", "e", 3, [3], id="what was resumed is as new as its newest"),
    ],
)
def test_a_stream_may_have_to_go(before: str, name: str, limit: int, goes: list[int]) -> None:
    assert contested(opened(*before), name, limit) == [UUID(int=n) for n in goes]
