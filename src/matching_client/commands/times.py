"""Moments and spans as people read them: local time, and how long from now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def local(time: Timestamp) -> str:
    """Date and time in the local zone, to the second. Empty for the unset message."""
    return f"{_datetime(time).astimezone():%Y-%m-%d %H:%M:%S}" if time.ByteSize() else ""


def clock(time: Timestamp) -> str:
    """Time of day in the local zone, to the millisecond."""
    return f"{_datetime(time).astimezone():%H:%M:%S.%f}"[:-3]


def due(time: Timestamp, now: datetime | None = None) -> str:
    """The same as `local`, and how far away that is: "2026-01-31 12:00:00 (in 1 h 59 min)"."""
    if not time.ByteSize():
        return ""
    away = _datetime(time) - (now or datetime.now(UTC))
    said = f"in {lasting(away)}" if away > timedelta() else f"{lasting(-away)} ago"
    return f"{local(time)} ({said})"


def lasting(span: timedelta) -> str:
    """A span by its two largest units: "1 h 59 min"."""
    left = round(span.total_seconds())
    parts: list[str] = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def _datetime(time: Timestamp) -> datetime:
    return time.ToDatetime(UTC)
