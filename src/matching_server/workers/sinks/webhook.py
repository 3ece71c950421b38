"""A webhook as a sink, in the Standard Webhooks format (https://www.standardwebhooks.com)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable
from datetime import UTC

import httpcore
import httpx
import orjson
from standardwebhooks import Webhook

from matching_server.domain.notifications import DeliveryFault, LeasedNotification
from matching_server.domain.trace import TRACEPARENT
from matching_server.workers.sinks.deadline import Deadline


class WebhookSink:
    """Posts notifications to one URL, signed.

    Args:
        url: http or https; redirects are not followed.
        secret: ``whsec_`` and the key in base64.
        timeout: seconds for the whole of a delivery.
    """

    name = "webhook"

    def __init__(self, url: str, secret: str, *, timeout: float) -> None:
        self._url = url
        self._webhook = Webhook(secret)
        self._timeout = timeout
        self._client = httpx.Client(timeout=timeout, follow_redirects=False)
        self._network = _BoundNetwork()
        # There is no other way in that leaves what the environment says of proxies and certificates to httpx.
        for transport in (self._client._transport, *self._client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                transport._pool._network_backend = self._network

    def deliver(self, notification: LeasedNotification) -> None:
        """Posts it. Any 2xx takes it; 410 Gone says that nothing will ever be taken.

        Raises:
            DeliveryFault: any other answer, or none in time.
        """
        body = content(notification)
        headers = {
            "content-type": "application/json",
            "webhook-id": str(notification.id),
            "webhook-timestamp": str(int(notification.taken_at.timestamp())),
            "webhook-signature": self._webhook.sign(
                # The library drops the zone.
                str(notification.id),
                notification.taken_at.astimezone(UTC),
                body.decode(),
            ),
        }
        traceparent = TRACEPARENT.get()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            self._network.begin(Deadline(self._timeout))
            # Whatever the receiver says beside its status is of no interest, and might never end.
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                status = response.status_code
        except (httpx.TimeoutException, TimeoutError):
            raise DeliveryFault("no answer in time") from None
        except httpx.HTTPError as error:
            raise DeliveryFault(f"not reached ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise DeliveryFault(f"answered {status}", permanent=status == httpx.codes.GONE)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._client.close()


def content(notification: LeasedNotification) -> bytes:
    """The body, the same in every attempt."""
    return orjson.dumps(
        {
            "type": notification.type,
            "timestamp": notification.created_at,
            "data": {
                "recipient_id": notification.recipient_id,
                "priority": notification.priority,
                "payload": notification.payload,
            },
        }
    )


class _BoundNetwork(httpcore.SyncBackend):
    """Connections of which every operation gets what is left of the time of its thread's delivery."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def begin(self, deadline: Deadline) -> None:
        """Until then this thread's delivery has time."""
        self._of_thread.deadline = deadline

    def left(self) -> float:
        """Seconds."""
        deadline: Deadline = self._of_thread.deadline
        return deadline.left()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects, the look-up of the name included."""
        deadline: Deadline = self._of_thread.deadline
        failed: Exception = httpcore.ConnectError("the name has no address")
        try:
            addresses = deadline.addresses(host, port)
        except socket.gaierror as error:
            raise httpcore.ConnectError(str(error)) from None
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, deadline.left(), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _BoundStream(stream, self)
        raise failed


class _BoundStream(httpcore.NetworkStream):
    """One such connection; over its life it serves several threads, one after the other."""

    def __init__(self, stream: httpcore.NetworkStream, network: _BoundNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._network.left())
        return _BoundStream(secured, self._network)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
