"""What callers hand in beside a method's own arguments, looked at before anything is done with it."""

from __future__ import annotations

from matching_client.options import CallOptions
from matching_client.signing import correlation_metadata

LONGEST_SPAN = 1e9
"""Seconds that grpc's clocks and those of threads can still count from now; about 31 years."""


def seconds(name: str, value: float) -> float:
    """The value, where it is a span that can be waited for. TypeError, or ValueError, that say its name."""
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if not value <= LONGEST_SPAN:
        raise ValueError(f"{name} is at most {LONGEST_SPAN:g} seconds, not {value!r}")
    return value


def settled(options: CallOptions, timeout: float) -> tuple[float, tuple[tuple[str, str], ...]]:
    """The time-out of a call, in seconds, and its metadata; `timeout` is the client's.

    TypeError for an option that there is not: a misspelt argument must not pass for one. ValueError for a bad
    correlation id, or a time-out that no clock can count.
    """
    unknown = options.keys() - CallOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    wanted = seconds("timeout", options.get("timeout", timeout))
    return wanted, correlation_metadata(options.get("correlation_id"))


def target(address: str) -> str:
    """The address, where gRPC can make something of it. TypeError, or ValueError that says what it has to be."""
    if not isinstance(address, str):
        raise TypeError(f"address is a string, not {address!r}")
    if not address or address.startswith(("http://", "https://")):
        raise ValueError(
            f"an address is host:port, or a gRPC target such as dns:///host:port; not {address!r}"
        )
    return address
