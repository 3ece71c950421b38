"""Whoever notifications are delivered to: a web server and a mail server that do as a test says."""

from __future__ import annotations

import base64
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from aiosmtpd.controller import Controller
from standardwebhooks import Webhook

from tests.support.processes import HOST, free_port

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Post:
    """What came in, its signature verified."""

    id: UUID
    recipient: UUID
    content: dict[str, Any]
    headers: dict[str, str]


def take(_post: Post) -> int:
    """Answers that all is well."""
    return 204


class WebhookReceiver:
    """A web server on a port of its own that may be down for a while.

    ``answer`` says what status a post gets, and may take its time; ``arrived`` are all posts in the order in which
    they came, ``taken`` those that were answered with success, and ``refused`` why others were none.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Post], int] = take
        self.arrived: list[Post] = []
        self.taken: list[Post] = []
        self.refused: list[str] = []
        self.location: str | None = None
        self._port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._port}/notify?of=test"

    def up(self) -> None:
        """Begins to listen."""
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server((HOST, self._port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def arrivals(self, recipient: object) -> list[UUID]:
        """The ids that came for somebody, in order, repeats included."""
        return [post.id for post in list(self.arrived) if str(post.recipient) == str(recipient)]

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """Checks a post and answers it."""
        try:
            content = Webhook(SECRET).verify(body, headers)
            post = Post(UUID(headers["webhook-id"]), UUID(content["data"]["recipient_id"]), content, headers)
        except Exception as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return 400
        self.arrived.append(post)
        status = self.answer(post)
        if 200 <= status < 300:
            self.taken.append(post)
        return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    receiver: WebhookReceiver

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # Who posted was killed in the middle of it.
        status = self.receiver.receive({key.lower(): value for key, value in self.headers.items()}, body)
        try:
            self.send_response(status)
            if self.receiver.location:
                self.send_header("Location", self.receiver.location)
            self.end_headers()
        except OSError:
            pass  # Whoever had posted did not wait for the answer.

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """A receiver that listens while the block runs."""
    receiver = WebhookReceiver()
    receiver.up()
    try:
        yield receiver
    finally:
        receiver.down()


@dataclass
class MailReceiver:
    """A mail server. ``answer`` says what an address is told; ``messages`` are those that were taken."""

    port: int = field(default_factory=free_port)
    answer: Callable[[str], str] = lambda _address: "250 OK"
    messages: list[Message] = field(default_factory=list)
    seconds: float = 0.0
    """How long it thinks about a message."""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        said = self.answer(address)
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        time.sleep(self.seconds)
        self.messages.append(BytesParser(policy=modern).parsebytes(envelope.content))
        return "250 taken"

    def to(self, address: str) -> list[Message]:
        """What came for an address."""
        return [message for message in list(self.messages) if message["To"] == address]


@contextmanager
def mail_receiver(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **how: Any
) -> Iterator[MailReceiver]:
    """A mail server that listens while the block runs; ``how`` goes to aiosmtpd's server."""
    receiver = MailReceiver()
    controller = Controller(
        receiver, hostname=HOST, port=receiver.port, ssl_context=tls, tls_context=starttls, **how
    )
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()
