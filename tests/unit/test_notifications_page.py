"""docs/notifications.md is true: the receiver that it shows runs, and its tables are the code's."""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from matching_server.config import Settings
from matching_server.domain.notifications import (
    MAX_ATTEMPTS,
    DeliveryFault,
    LeasedNotification,
    NotificationPriority,
    NotificationType,
    Recipient,
)
from matching_server.workers.notifier import SENDERS
from matching_server.workers.sinks.webhook import WebhookSink, content
from tests.support.processes import HOST, free_port
from tests.support.wait import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def block(language: str) -> str:
    """The one block in that language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


SHOWN = orjson.loads(block("json"))
NOTICE = LeasedNotification(
    id=uuid4(),
    type=SHOWN["type"],
    recipient_id=UUID(SHOWN["data"]["recipient_id"]),
    priority=NotificationPriority(SHOWN["data"]["priority"]),
    payload=SHOWN["data"]["payload"],
    attempt=1,
    created_at=datetime.fromisoformat(SHOWN["timestamp"]),
    taken_at=datetime.now(UTC),
    lease_token=uuid4(),
    taken_by=(),
    recipient=Recipient(True, None),
    correlation_id=None,
)


@pytest.fixture(autouse=True)
def taken_now() -> None:
    """Receivers refuse what was signed minutes ago, and from the import of this module to its tests may be minutes."""
    object.__setattr__(NOTICE, "taken_at", datetime.now(UTC))


@contextmanager
def receiver(port: int) -> Iterator[subprocess.Popen[str]]:
    """The receiver of the page."""
    process = subprocess.Popen(
        [sys.executable, "-c", block("python")],
        env={**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_receiver_takes_what_is_signed_and_tells_it_once() -> None:
    port = free_port()
    sink = WebhookSink(f"http://{HOST}:{port}/", SECRET, timeout=5)
    stranger = WebhookSink(f"http://{HOST}:{port}/", "whsec_" + "A" * 32, timeout=5)

    def taken() -> bool:
        try:
            sink.deliver(NOTICE)
        except DeliveryFault:
            return False
        return True

    with receiver(port) as process:
        eventually(taken, what="the receiver takes it")
        sink.deliver(NOTICE)
        with pytest.raises(DeliveryFault, match="answered 401"):
            stranger.deliver(NOTICE)
        process.kill()
        told, _ = process.communicate()
    assert told.splitlines() == [f"{NOTICE.type} {NOTICE.recipient_id}"]


def test_the_body_is_the_one_shown() -> None:
    assert orjson.loads(content(NOTICE)) == SHOWN


def test_every_type_is_in_the_table() -> None:
    table = PAGE.partition("## What is sent when")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [type_.value for type_ in NotificationType]


def test_numbers_and_settings_are_those_of_the_code() -> None:
    words = " ".join(PAGE.split())
    assert MAX_ATTEMPTS == 3
    assert "three attempts in all" in words
    assert f"sends {SENDERS} at a time" in words
    known = {f"MATCHING_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"MATCHING_[A-Z_]+", PAGE)) <= known
