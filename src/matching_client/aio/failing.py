"""What grpc.aio raises, as the client says it."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import grpc

from matching_client.errors import Cancelled


def tell(error: grpc.RpcError | asyncio.CancelledError) -> NoReturn:
    """Raises MatchingError, or the CancelledError of a task that somebody cancelled.

    grpc.aio raises CancelledError for a call that was cancelled as well, by closing its client say, and nobody
    who awaits it would expect that.
    """
    if isinstance(error, grpc.RpcError):
        from matching_client.status_details import from_rpc_error  # noqa: PLC0415 - for errors alone

        raise from_rpc_error(error) from error
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise error
    raise Cancelled("the call was cancelled on this side") from None
