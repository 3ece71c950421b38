"""Electronic mail as a sink: a message in plain text to the recipient's address, through one relay."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from typing import Any

from matching_server.domain.notifications import DeliveryFault, LeasedNotification, NotificationPriority
from matching_server.workers.sinks import letters
from matching_server.workers.sinks.addresses import Relay

_NO_NAME = "[127.0.0.1]"


class SmtpSink:
    """Sends notifications by mail, each over a connection of its own.

    Args:
        relay: whom the mail is handed to.
        sender: the address that it comes from.
        timeout: seconds for the whole of a delivery.
    """

    name = "smtp"

    def __init__(self, relay: Relay, sender: str, *, timeout: float) -> None:
        self._relay = relay
        self._sender = sender
        self._timeout = timeout
        self._tls = ssl.create_default_context()
        # Looked up once: smtplib would do so for every message, and outside the time limit.
        name = socket.getfqdn()
        self._hostname = name if "." in name else _NO_NAME

    def deliver(self, notification: LeasedNotification) -> None:
        """Hands the message to the relay.

        Raises:
            DeliveryFault: for good where the recipient is gone, has no address, or the relay knows none like it.
        """
        recipient = notification.recipient
        if not recipient.exists:
            raise DeliveryFault("the recipient no longer exists", permanent=True)
        if not recipient.email:
            raise DeliveryFault("the recipient has no address", permanent=True)
        message = letter(notification, recipient.email, self._sender)
        with _faults(), self._connected() as client:
            client.send_message(message)

    def close(self) -> None:
        """No connection outlives its delivery."""

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        relay, tls, deadline = self._relay, self._tls, time.monotonic() + self._timeout
        where = (relay.host, relay.port, self._hostname)
        client = _BoundedTls(deadline, *where, context=tls) if relay.tls else _Bounded(deadline, *where)
        try:
            client.ehlo_or_helo_if_needed()
            private = relay.tls
            if not private and client.has_extn("starttls"):
                client.starttls(context=tls)
                client.ehlo()
                private = True
            if relay.user is not None and relay.password is not None:
                if not (private or relay.is_loopback):
                    raise DeliveryFault("offers no TLS, without which it gets no password")
                client.login(relay.user, relay.password)
            yield client
            # It has been taken: a relay that does not say goodbye changes nothing.
            with suppress(OSError):
                client.quit()
        finally:
            client.close()


class _Bound:
    """Gives every step of a conversation what is left of the time for all of it."""

    sock: socket.socket | None

    def __init__(self, deadline: float, *args: Any, **kw: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, timeout=self._left(), **kw)  # type: ignore[call-arg]

    def send(self, s: Any) -> None:
        """Sends within the time."""
        self._bind()
        super().send(s)  # type: ignore[misc]

    def getreply(self) -> tuple[int, bytes]:
        """Hears the relay's answer within the time."""
        self._bind()
        try:
            reply: tuple[int, bytes] = super().getreply()  # type: ignore[misc]
        except smtplib.SMTPServerDisconnected:
            # So smtplib calls it, too, when the time is up.
            self._left()
            raise
        return reply

    def _bind(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Bounded(_Bound, smtplib.SMTP):
    """A conversation in the clear, to begin with."""


class _BoundedTls(_Bound, smtplib.SMTP_SSL):
    """A conversation under TLS."""


@contextmanager
def _faults() -> Iterator[None]:
    """Errors as faults, in words that repeat nothing of what was sent."""
    try:
        yield
    except TimeoutError:
        raise DeliveryFault("no answer in time") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        refused = ", ".join(map(str, codes))
        # 5xx: for good (RFC 5321, 4.2.1).
        raise DeliveryFault(f"recipient refused ({refused})", permanent=min(codes) >= 500) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryFault(f"answered {error.smtp_code}") from None
    except OSError as error:
        raise DeliveryFault(f"not reached ({type(error).__name__})") from None


def letter(notification: LeasedNotification, address: str, sender: str) -> EmailMessage:
    """The message, the same in every attempt."""
    subject, text = letters.write(notification.type, notification.payload)
    message = EmailMessage()
    message["From"] = sender
    message["To"] = address
    message["Subject"] = subject
    message["Date"] = notification.created_at
    message["Message-ID"] = f"<{notification.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    if notification.priority is NotificationPriority.HIGH:
        message["Importance"] = "high"
    message.set_content(text)
    return message
