"""What a test may say of a project, an advisor and a client, beyond what has a default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from advisor_matching.v1.types_pb2 import TechStack


class ProjectFields(TypedDict, total=False):
    """Fields of the message Project."""

    technology_stack: TechStack
    owner_timezone: str
    owner_locale: str


class AdvisorFields(TypedDict, total=False):
    """Fields of the message Advisor."""

    email: str
    skills: Sequence[str]
    specialties: Sequence[str]
    languages: Sequence[str]
    frameworks: Sequence[str]
    timezone: str
    rating: float
    avatar_url: str
    active: bool


class ClientOptions(TypedDict, total=False):
    """Arguments of MatchingClient."""

    timeout: float
    channel_options: Sequence[tuple[str, Any]]
