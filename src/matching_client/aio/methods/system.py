"""SystemService: about the service itself."""

from __future__ import annotations

from typing import Unpack

from matching_client.aio.caller import Caller
from matching_client.contract import system
from matching_client.options import CallOptions


class SystemMethods(Caller):
    """The methods of SystemService."""

    async def get_service_info(self, **options: Unpack[CallOptions]) -> system.GetServiceInfoResponse:
        """Says which service answers, in which version, and how it is. Needs no role; sent unsigned."""
        return await self._call(self.stubs.system.GetServiceInfo, system.GetServiceInfoRequest(), options)
