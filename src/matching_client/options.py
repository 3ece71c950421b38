"""What every method takes besides its own arguments."""

from __future__ import annotations

from typing import TypedDict


class CallOptions(TypedDict, total=False):
    """What every method takes besides its own arguments."""

    timeout: float
    """Seconds for all attempts together. Default: the client's."""
    correlation_id: str
    """Names the call in the service's logs; 1 to 128 of `[A-Za-z0-9._-]`. Default: made by the service."""
