"""What servers tell each other of the pool: loads as they were written, and whose profile has changed.

A hint makes a picture of the pool prompt and nothing more: what is lost is seen at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from matching_server.domain.effects import Effects, Load


@dataclass(frozen=True, slots=True)
class PoolHint:
    """Changes of the pool that have been committed. ``source`` is the server that tells."""

    source: str
    loads: tuple[Load, ...]
    profiles_changed: bool

    @classmethod
    def of(cls, source: str, effects: Iterable[Effects]) -> PoolHint | None:
        """What these commits changed of the pool, ``None`` where that is nothing."""
        commits = list(effects)
        loads = tuple(load for effect in commits for load in effect.loads)
        profiles_changed = any(effect.profiles_changed for effect in commits)
        return cls(source, loads, profiles_changed) if loads or profiles_changed else None

    def to_bytes(self) -> bytes:
        """As it is published."""
        loads = [
            (
                load.advisor_id,
                load.current_projects,
                load.last_assigned_at,
                load.version,
                load.profile_version,
            )
            for load in self.loads
        ]
        return self.source.encode() + b" " + orjson.dumps([loads, self.profiles_changed])

    @classmethod
    def from_bytes(cls, data: bytes, *, not_from: str) -> PoolHint | None:
        """The hint that was published, ``None`` where it is one's own.

        Raises:
            ValueError: the bytes are something else.
        """
        source, _, content = data.partition(b" ")
        if source == not_from.encode():
            return None
        try:
            loads, profiles_changed = orjson.loads(content)
            return cls(source.decode(), tuple(_load(*values) for values in loads), bool(profiles_changed))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a hint: {error}") from None


def _load(advisor_id: str, current: int, assigned: str | None, version: int, profile_version: int) -> Load:
    moment = datetime.fromisoformat(assigned) if assigned else None
    return Load(UUID(advisor_id), int(current), moment, int(version), int(profile_version))
