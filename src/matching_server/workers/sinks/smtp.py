"""Electronic mail as a sink: a message in plain text to the recipient's address, through one relay."""

from __future__ import annotations

import io
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from typing import Any

from matching_server.domain.notifications import DeliveryFault, LeasedNotification, NotificationPriority
from matching_server.workers.sinks import letters
from matching_server.workers.sinks.addresses import Relay, is_address
from matching_server.workers.sinks.deadline import BoundReader, Deadline

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
        if not is_address(recipient.email):
            raise DeliveryFault("the recipient's address is none", permanent=True)
        message = letter(notification, recipient.email, self._sender)
        with _faults(), self._connected() as client:
            # The header is not read again: what is an address there is another question.
            client.send_message(message, self._sender, [recipient.email])

    def close(self) -> None:
        """No connection outlives its delivery."""

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        relay, tls = self._relay, self._tls
        client = _Client(relay, self._hostname, tls, Deadline(self._timeout))
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


class _Client(smtplib.SMTP):
    """A conversation of which every step gets what is left of the time for all of it."""

    file: Any
    sock: socket.socket | None

    def __init__(self, relay: Relay, hostname: str, tls: ssl.SSLContext, deadline: Deadline) -> None:
        self._tls = tls if relay.tls else None
        self._deadline = deadline
        super().__init__(relay.host, relay.port, hostname, timeout=deadline.left())

    def send(self, s: Any) -> None:
        """Sends within the time."""
        if self.sock is not None:
            self.sock.settimeout(self._deadline.left())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Hears the relay's answer, of whatever many lines, within the time."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(BoundReader(self.sock, self._deadline))
        try:
            reply = super().getreply()
        except smtplib.SMTPServerDisconnected:
            # So smtplib calls it, too, when the time is up.
            self._deadline.left()
            raise
        with suppress(TimeoutError):
            # For the handshake that may follow, which is one operation.
            if self.sock is not None:
                self.sock.settimeout(self._deadline.left())
        return reply

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = self._deadline.connect(host, port)
        if self._tls is None:
            return connection
        connection.settimeout(self._deadline.left())
        return self._tls.wrap_socket(connection, server_hostname=host)


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
