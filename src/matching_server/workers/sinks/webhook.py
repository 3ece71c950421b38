"""A webhook as a sink, in the Standard Webhooks format (https://www.standardwebhooks.com)."""

from __future__ import annotations

import httpx
import orjson
from standardwebhooks import Webhook

from matching_server.domain.notifications import DeliveryFault, LeasedNotification


class WebhookSink:
    """Posts notifications to one URL, signed.

    Args:
        url: http or https; redirects are not followed.
        secret: ``whsec_`` and the key in base64.
        timeout: seconds that the receiver has to answer.
    """

    name = "webhook"

    def __init__(self, url: str, secret: str, *, timeout: float) -> None:
        self._url = url
        self._webhook = Webhook(secret)
        self._client = httpx.Client(timeout=timeout, follow_redirects=False)

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
                str(notification.id), notification.taken_at, body.decode()
            ),
        }
        try:
            # Whatever the receiver says beside its status is of no interest, and might never end.
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                status = response.status_code
        except httpx.TimeoutException:
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
