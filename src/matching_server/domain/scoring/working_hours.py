"""What two working days have in common, from IANA zones, daylight saving included."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from matching_server.domain.scoring.formula import Ratio

_WORKDAY = timedelta(hours=9)
_WORKDAY_STARTS = time(9)
WORKDAY_SECONDS = int(_WORKDAY.total_seconds())
_UNKNOWN = Ratio(1, 2)


def timezone_overlap(advisor_zone: str | None, owner_zone: str | None, moment: datetime) -> Ratio:
    """The share of the owner's 09:00-18:00 that the advisor's working day covers.

    The owner's day is their current date at ``moment``; the advisor's is the one of three around it that
    overlaps most. One half where either zone is unknown.
    """
    day = local_date(owner_zone, moment)
    return _UNKNOWN if day is None else overlap_on(advisor_zone, owner_zone, day)


def local_date(zone: str | None, moment: datetime) -> date | None:
    """The date in a zone, ``None`` where the zone is unknown."""
    found = _zone(zone)
    return moment.astimezone(found).date() if found else None


@lru_cache(maxsize=1 << 17)
def overlap_on(advisor_zone: str | None, owner_zone: str | None, day: date) -> Ratio:
    """The same for a date of the owner's: it is the same all day, so it is worked out once."""
    advisor, owner = _zone(advisor_zone), _zone(owner_zone)
    if advisor is None or owner is None:
        return _UNKNOWN
    starts, ends = _working_day(day, owner)
    overlaps = []
    for offset in (-1, 0, 1):
        theirs_start, theirs_end = _working_day(day + timedelta(days=offset), advisor)
        overlaps.append(min(ends, theirs_end) - max(starts, theirs_start))
    return Ratio(max(0, *overlaps), WORKDAY_SECONDS)


@lru_cache(maxsize=2048)
def _zone(name: str | None) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _working_day(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the working day as Unix seconds; its length changes where the clock does."""
    start = datetime.combine(day, _WORKDAY_STARTS)
    return (
        int(start.replace(tzinfo=zone).timestamp()),
        int((start + _WORKDAY).replace(tzinfo=zone).timestamp()),
    )
