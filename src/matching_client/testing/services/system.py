"""SystemService."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from advisor_matching.v1 import system_service_pb2 as pb
from matching_client.testing.caller import Caller
from matching_client.testing.values import now
from matching_client.testing.world import World


def get_service_info(
    world: World, request: pb.GetServiceInfoRequest, caller: Caller
) -> pb.GetServiceInfoResponse:
    """The fake is always healthy."""
    try:
        installed = version("advisor-matching")
    except PackageNotFoundError:
        installed = "0"
    return pb.GetServiceInfoResponse(
        service="advisor-matching",
        status="healthy",
        timestamp=now(),
        version=installed,
        feature_flags=pb.FeatureFlags(auto_provision=world.provisioning != "off"),
    )
