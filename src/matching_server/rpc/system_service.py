"""SystemService: about the service itself, for anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from advisor_matching.v1 import system_service_pb2 as pb
from matching_server.domain.calls import Call

SERVICE_NAME = "advisor-matching"
DISTRIBUTION = "advisor-matching"


class SystemService:
    """The handlers of SystemService.

    Args:
        status: "healthy", "degraded" or "draining", now; must not wait for anything.
        auto_provision: whether finalized matches are provisioned by themselves.
        now: the time, in UTC.
    """

    def __init__(
        self,
        status: Callable[[], str],
        *,
        auto_provision: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._status = status
        self._now = now
        self._flags = pb.FeatureFlags(auto_provision=auto_provision)
        self._version = installed_version()

    def get_service_info(self, request: pb.GetServiceInfoRequest, call: Call) -> pb.GetServiceInfoResponse:
        """Says which service answers, and how it is."""
        return pb.GetServiceInfoResponse(
            service=SERVICE_NAME,
            status=self._status(),
            timestamp=self._now(),
            version=self._version,
            feature_flags=self._flags,
        )


def installed_version() -> str:
    """The version of the installed distribution; "0" where the code runs without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
