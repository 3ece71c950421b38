"""The sinks, with a real web server and a real mail server at the other end."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiosmtpd.smtp import AuthResult
from structlog.testing import capture_logs

from matching_server.domain.notifications import (
    DeliveryFault,
    LeasedNotification,
    NotificationPriority,
    NotificationType,
    Recipient,
)
from matching_server.workers.sinks import Sink
from matching_server.workers.sinks.addresses import Relay
from matching_server.workers.sinks.log import LogSink
from matching_server.workers.sinks.smtp import SmtpSink
from matching_server.workers.sinks.webhook import WebhookSink
from tests.support.processes import HOST
from tests.support.receivers import (
    SECRET,
    MailReceiver,
    WebhookReceiver,
    mail_receiver,
    webhook_receiver,
)

LIMIT = 0.5
SENDER = "matching@service.example"
ADDRESS = "ada@example.com"
WRITTEN = datetime(2026, 1, 15, 10, 0, 0, 123456, tzinfo=UTC)
NOTICE = LeasedNotification(
    id=UUID("3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"),
    type=NotificationType.MATCH_OFFERED,
    recipient_id=UUID(int=7),
    priority=NotificationPriority.HIGH,
    payload={"matchId": "m", "projectId": "p", "advisorName": "Åda\nBcc: eve@example.com"},
    attempt=1,
    created_at=WRITTEN,
    taken_at=datetime.now(UTC),
    lease_token=uuid4(),
    taken_by=(),
    recipient=Recipient(True, ADDRESS),
    correlation_id="c",
)


@pytest.fixture(autouse=True)
def taken_now() -> None:
    """Receivers refuse what was signed minutes ago, and from the import of this module to its tests may be minutes."""
    object.__setattr__(NOTICE, "taken_at", datetime.now(UTC))


def fault_of(sink: Sink, notice: LeasedNotification = NOTICE) -> DeliveryFault:
    """How the sink fails; within its time limit."""
    began = time.monotonic()
    with pytest.raises(DeliveryFault) as failed:
        sink.deliver(notice)
    assert time.monotonic() - began < LIMIT + 1
    return failed.value


# ------------------------------------------------------------------------------------------------------ the webhook


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@contextmanager
def webhook(receiver: WebhookReceiver, secret: str = SECRET) -> Iterator[WebhookSink]:
    sink = WebhookSink(receiver.url, secret, timeout=LIMIT)
    try:
        yield sink
    finally:
        sink.close()


def test_a_post_is_signed_and_says_what_whom_and_when(receiver: WebhookReceiver) -> None:
    with webhook(receiver) as sink:
        sink.deliver(NOTICE)
        sink.deliver(NOTICE)
    assert receiver.refused == []
    first, again = receiver.taken
    assert first.content == again.content
    assert first.content == {
        "type": "match_offered",
        "timestamp": "2026-01-15T10:00:00.123456+00:00",
        "data": {"recipient_id": str(UUID(int=7)), "priority": "high", "payload": NOTICE.payload},
    }
    assert first.headers["webhook-id"] == str(NOTICE.id)
    assert first.headers["webhook-timestamp"] == str(int(NOTICE.taken_at.timestamp()))
    assert first.headers["content-type"] == "application/json"


def test_another_secret_signs_otherwise(receiver: WebhookReceiver) -> None:
    with webhook(receiver, "whsec_" + "A" * 32) as sink:
        assert str(fault_of(sink)) == "answered 400"
    assert receiver.refused == ["WebhookVerificationError: No matching signature found"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_success_takes_it(receiver: WebhookReceiver, status: int) -> None:
    receiver.answer = lambda _: status
    with webhook(receiver) as sink:
        sink.deliver(NOTICE)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 429, 500, 503])
def test_every_other_answer_is_a_fault_and_410_one_for_good(receiver: WebhookReceiver, status: int) -> None:
    receiver.answer = lambda _: status
    with webhook(receiver) as sink:
        fault = fault_of(sink)
    assert (str(fault), fault.permanent) == (f"answered {status}", status == 410)


def test_redirects_are_not_followed(receiver: WebhookReceiver) -> None:
    with webhook_receiver() as elsewhere:
        receiver.answer, receiver.location = lambda _: 307, elsewhere.url
        with webhook(receiver) as sink:
            assert str(fault_of(sink)) == "answered 307"
        assert elsewhere.arrived == []


def test_an_answer_after_the_time_is_none(receiver: WebhookReceiver) -> None:
    def slow(_: object) -> int:
        time.sleep(2 * LIMIT)
        return 200

    receiver.answer = slow
    with webhook(receiver) as sink:
        fault = fault_of(sink)
    assert (str(fault), fault.permanent) == ("no answer in time", False)


def test_nobody_there_is_a_fault_that_passes(receiver: WebhookReceiver) -> None:
    receiver.down()
    with webhook(receiver) as sink:
        fault = fault_of(sink)
        assert (str(fault), fault.permanent) == ("not reached (ConnectError)", False)
        receiver.up()
        sink.deliver(NOTICE)


def test_the_signature_is_right_whatever_the_zone_of_the_session(receiver: WebhookReceiver) -> None:
    taken_at = NOTICE.taken_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with webhook(receiver) as sink:
        sink.deliver(replace(NOTICE, taken_at=taken_at))
    assert (receiver.refused, len(receiver.taken)) == ([], 1)


@contextmanager
def dripping(*pieces: bytes, first: bytes = b"") -> Iterator[int]:
    """Somebody who says something every now and then, and never comes to the end: the port."""
    done = threading.Event()

    def drip(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.sendall(first)
            for piece in cycle(pieces):
                if done.wait(LIMIT * 0.4):
                    return
                peer.sendall(piece)

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

    with closing(socket.create_server((HOST, 0))) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            done.set()
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["a byte", "a header", "a status for the time being"],
)
def test_a_receiver_that_says_a_little_at_a_time_gets_no_more_time(first: bytes, piece: bytes) -> None:
    with dripping(piece, first=first) as port:
        sink = WebhookSink(f"http://{HOST}:{port}", SECRET, timeout=LIMIT)
        fault = fault_of(sink)
        sink.close()
    assert (str(fault), fault.permanent) == ("no answer in time", False)


@pytest.mark.parametrize("scheme", ["https", "smtps"])
def test_nor_does_one_that_never_comes_to_the_end_of_its_handshake(scheme: str) -> None:
    with dripping(b"\x02", first=b"\x16\x03\x03\x40\x00") as port:
        url = f"{scheme}://{HOST}:{port}"
        sink: Sink = (
            WebhookSink(url, SECRET, timeout=LIMIT)
            if scheme == "https"
            else SmtpSink(Relay.of(url), SENDER, timeout=LIMIT)
        )
        assert str(fault_of(sink)) == "no answer in time"
        sink.close()


@pytest.mark.parametrize("kind", ["webhook", "smtp"])
def test_a_name_that_is_looked_up_for_too_long_is_not_waited_for(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = threading.Event()
    look_up = socket.getaddrinfo

    def slow(host: str, *args: Any, **kw: Any) -> Any:
        if host == "slow.example":
            found.wait(10)
        return look_up(HOST if host == "slow.example" else host, *args, **kw)

    sink: Sink
    with webhook_receiver() as receiver:
        if kind == "webhook":
            sink = WebhookSink(receiver.url.replace(HOST, "slow.example"), SECRET, timeout=LIMIT)
        else:
            sink = SmtpSink(Relay.of("smtp://slow.example"), SENDER, timeout=LIMIT)
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        assert str(fault_of(sink)) == "no answer in time"
        found.set()
        sink.close()
        assert receiver.arrived == [], "nor is it sent afterwards"


# --------------------------------------------------------------------------------------------------------- the mail


def smtp(receiver: MailReceiver, scheme: str = "smtp", who: str = "") -> SmtpSink:
    return SmtpSink(Relay.of(f"{scheme}://{who}{HOST}:{receiver.port}"), SENDER, timeout=LIMIT)


def test_a_mail_says_what_whom_and_when_and_is_the_same_every_time() -> None:
    with mail_receiver() as receiver:
        sink = smtp(receiver)
        sink.deliver(NOTICE)
        sink.deliver(NOTICE)
    first, again = receiver.messages
    assert first.as_string() == again.as_string()
    assert first["Message-ID"] == f"<{NOTICE.id}@service.example>"
    assert (first["From"], first["To"]) == (SENDER, ADDRESS)
    assert first["Subject"] == "A project is offered to you"
    assert parsedate_to_datetime(first["Date"]) == WRITTEN.replace(microsecond=0)
    assert (first["Importance"], first["Auto-Submitted"], first["Bcc"]) == ("high", "auto-generated", None)
    # A Message by its type, an EmailMessage by its policy.
    text = first.get_content()  # type: ignore[attr-defined]
    assert first.get_content_type() == "text/plain"
    assert "Project: p" in text.splitlines()
    assert "Advisor: Åda" in text


@pytest.mark.parametrize("type_", list(NotificationType))
def test_every_type_has_words_of_its_own(type_: NotificationType) -> None:
    with mail_receiver() as receiver:
        smtp(receiver).deliver(replace(NOTICE, type=type_.value))
    [message] = receiver.messages
    assert message["Subject"] != type_.value.replace("_", " ").capitalize()


def test_another_type_is_told_by_its_name() -> None:
    with mail_receiver() as receiver:
        smtp(receiver).deliver(replace(NOTICE, type="invoice_due"))
    assert receiver.messages[0]["Subject"] == "Invoice due"


@pytest.mark.parametrize(
    ("recipient", "words"),
    [
        (Recipient(False, None), "the recipient no longer exists"),
        (Recipient(True, None), "the recipient has no address"),
        (Recipient(True, ""), "the recipient has no address"),
    ],
)
def test_who_cannot_be_written_to_is_a_fault_for_good(recipient: Recipient, words: str) -> None:
    with mail_receiver() as receiver:
        fault = fault_of(smtp(receiver), replace(NOTICE, recipient=recipient))
        assert (str(fault), fault.permanent) == (words, True)
        assert receiver.messages == []


@pytest.mark.parametrize(
    ("said", "words", "permanent"),
    [
        ("550 nobody of that name", "recipient refused (550)", True),
        ("450 mailbox busy", "recipient refused (450)", False),
    ],
)
def test_an_address_is_refused_for_good_or_for_now(said: str, words: str, permanent: bool) -> None:
    with mail_receiver() as receiver:
        receiver.answer = lambda _: said
        fault = fault_of(smtp(receiver))
        assert (str(fault), fault.permanent) == (words, permanent)


def test_a_relay_that_is_slow_or_away_is_a_fault_that_passes() -> None:
    with mail_receiver() as receiver:
        receiver.seconds = 2 * LIMIT
        slow = fault_of(smtp(receiver))
        assert (str(slow), slow.permanent) == ("no answer in time", False)
    away = fault_of(smtp(receiver))
    assert (str(away), away.permanent) == ("not reached (ConnectionRefusedError)", False)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"2"),
        (b"", b"220-hello\r\n"),
        (b"220 hello\r\n250-a\r\n", b"250-b\r\n"),
        (b"220 hello\r\n", b"250 a\r\n"),
    ],
    ids=["a byte", "a line of the greeting", "a line of an answer", "an answer"],
)
def test_a_relay_that_says_a_little_at_a_time_gets_no_more_time(first: bytes, piece: bytes) -> None:
    """Each piece comes in time, but not all of them."""
    with dripping(piece, first=first) as port:
        fault = fault_of(SmtpSink(Relay.of(f"smtp://{HOST}:{port}"), SENDER, timeout=LIMIT))
    assert str(fault) == "no answer in time"


@pytest.mark.parametrize(
    "address",
    [
        "foo<victim@example.com>",
        "x,victim@example.com",
        "victim@example.com, ada@example.com",
        "x:victim@example.com;",
        '"x y"@example.com',
        "x (y) victim@example.com",
        "ada@example.com\nBcc: victim@example.com",
        "ada",
    ],
)
def test_what_is_no_plain_address_is_a_fault_for_good(address: str) -> None:
    with mail_receiver() as receiver:
        fault = fault_of(smtp(receiver), replace(NOTICE, recipient=Recipient(True, address)))
        assert (str(fault), fault.permanent) == ("the recipient's address is none", True)
        assert receiver.messages == []


@pytest.mark.parametrize("address", ["a.b+c@example.com", "o'neil_x@mail-1.example.com", "a@b"])
def test_a_plain_address_gets_it(address: str) -> None:
    with mail_receiver() as receiver:
        asked: list[str] = []

        def answer(to: str) -> str:
            asked.append(to)
            return "250 OK"

        receiver.answer = answer
        smtp(receiver).deliver(replace(NOTICE, recipient=Recipient(True, address)))
        assert asked == [address]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """For this machine: a certificate that vouches for itself, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl on this machine")
    return cert, key


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_tls_is_used_from_the_first_byte_or_where_it_is_offered(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = server_side(certificate)
    with mail_receiver(starttls=context, require_starttls=True) as offering:
        smtp(offering).deliver(NOTICE)
    assert len(offering.messages) == 1
    with mail_receiver(tls=context) as wrapped:
        smtp(wrapped, "smtps").deliver(NOTICE)
    assert len(wrapped.messages) == 1


def test_a_relay_that_nobody_vouches_for_gets_nothing(certificate: tuple[Path, Path]) -> None:
    context = server_side(certificate)
    with mail_receiver(starttls=context) as offering, mail_receiver(tls=context) as wrapped:
        for sink in (smtp(offering), smtp(wrapped, "smtps")):
            assert str(fault_of(sink)) == "not reached (SSLCertVerificationError)"
    assert offering.messages == wrapped.messages == []


class Door:
    """Lets one in."""

    def __init__(self) -> None:
        self.let_in = 0

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        success = (data.login, data.password) == (b"ada", b"s3:cret@")
        self.let_in += success
        return AuthResult(success=success, handled=False)


def test_credentials_come_from_the_url() -> None:
    door = Door()
    with mail_receiver(authenticator=door, auth_require_tls=False) as receiver:
        smtp(receiver, who="ada:s3%3Acret%40@").deliver(NOTICE)
        wrong = fault_of(smtp(receiver, who="ada:other@"))
        assert (str(wrong), wrong.permanent) == ("answered 535", False)
    assert len(receiver.messages) == door.let_in == 1


def test_a_password_does_not_leave_the_machine_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relay, "is_loopback", property(lambda _: False))
    with mail_receiver(authenticator=Door(), auth_require_tls=False) as receiver:
        fault = fault_of(smtp(receiver, who="ada:s3%3Acret%40@"))
        assert str(fault) == "offers no TLS, without which it gets no password"
    assert receiver.messages == []


def test_a_relay_is_read_from_its_url() -> None:
    assert Relay.of("smtp://mail.example") == Relay("mail.example", 25, False)
    assert Relay.of("smtps://mail.example/") == Relay("mail.example", 465, True)
    assert Relay.of("smtp://a%40b:c%2Fd@[::1]:2525") == Relay("::1", 2525, False, "a@b", "c/d")
    assert [Relay.of(f"smtp://{host}").is_loopback for host in ("localhost", "[::1]", "10.0.0.1", "x.y")] == [
        *(True, True, False, False)
    ]


# ---------------------------------------------------------------------------------------------------------- the log


def test_the_log_gets_a_line_with_what_and_whom() -> None:
    with capture_logs() as lines:
        LogSink().deliver(NOTICE)
    [line] = lines
    assert (line["event"], line["log_level"]) == ("notification", "info")
    assert (line["notification_id"], line["recipient_id"]) == (str(NOTICE.id), str(UUID(int=7)))
    assert (line["type"], line["payload"]) == ("match_offered", NOTICE.payload)
    assert ADDRESS not in str(line)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_log_gets_it_whatever_the_level(level: str) -> None:
    program = (
        "from tests.integration.test_sinks import NOTICE, LogSink; from matching_server import logs;"
        f" logs.configure('json', {level!r}); LogSink().deliver(NOTICE)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    [line] = ran.stderr.splitlines()
    assert (orjson.loads(line)["event"], orjson.loads(line)["level"]) == ("notification", "info")
