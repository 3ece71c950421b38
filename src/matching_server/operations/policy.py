"""The settings that use cases decide by, passed in whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from matching_server.domain.model import ScoringWeights

DEFAULT_EXPIRES_IN = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator can set about matching, provisioning and notifying; the defaults are those of the settings."""

    auto_provision: bool = False
    weights: ScoringWeights = ScoringWeights(40.0, 35.0, 15.0, 10.0)
    decline_cooldown: timedelta = timedelta(hours=168)
    """How long an advisor is not offered to a project after either declined the other."""
    provision_max_attempts: int = 3
    provision_backoff: timedelta = timedelta(seconds=2)
    """Before the second attempt; doubled for each further one, with jitter."""
    provision_lease: timedelta = timedelta(seconds=60)
    event_retention: timedelta = timedelta(days=30)
    sweep: timedelta = timedelta(seconds=5)
    """How often the service looks for what has expired: what an audit allows it to be late by."""
    notify_backoff: timedelta = timedelta(seconds=5)
    """Before a notification's second attempt; doubled for the third, with jitter."""
    notify_lease: timedelta = timedelta(seconds=30)
    streams_per_user: int = 3
