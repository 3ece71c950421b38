"""SystemService: about the service itself."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.system_service_pb2 import GetServiceInfoRequest, GetServiceInfoResponse
from matching_client.methods.base import Caller, CallOptions


class SystemMethods(Caller):
    """The methods of SystemService."""

    def get_service_info(self, **options: Unpack[CallOptions]) -> GetServiceInfoResponse:
        """Says which service answers, in which version, and how it is. Needs no role; sent unsigned."""
        return self._call(self.stubs.system.GetServiceInfo, GetServiceInfoRequest(), options)
