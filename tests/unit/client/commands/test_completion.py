"""The shell is offered what could come next."""

from __future__ import annotations

import pytest

from tests.support.command import ok

A = "11111111-1111-4111-8111-111111111111"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("matching ad", ["advisors", "admin"]),
        (f"matching decide client {A} ", ["approved", "declined"]),
        (f"matching matches list {A} --status client_", ["client_approved", "client_declined"]),
        (f"matching watch {A} --type message", ["message.new"]),
        ("matching sign MatchService/G", ["MatchService/GetMatch"]),
        ("matching info --roles a", ["advisor", "admin"]),
    ],
)
def test_commands_and_words_are_completed(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MATCHING_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    assert ok().out.split() == expected
