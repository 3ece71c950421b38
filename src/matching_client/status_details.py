"""From a failed call's `grpc-status-details-bin` to an exception of the tree in `errors`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    RequestInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from matching_client.errors import FieldViolation, MatchingError
from matching_client.signing import CORRELATION_HEADER

_DETAILS_HEADER = "grpc-status-details-bin"


def from_rpc_error(error: grpc.RpcError | grpc.Call) -> MatchingError:
    """The exception for any RpcError; details that cannot be read count as absent."""
    code: grpc.StatusCode = _ask(error, "code") or grpc.StatusCode.UNKNOWN
    status = _status(_ask(error, "trailing_metadata") or ())
    info, request, retry, bad = ErrorInfo(), RequestInfo(), RetryInfo(), BadRequest()
    for detail in status.details:
        for message in (info, request, retry, bad):
            _unpack(detail, message)
    return MatchingError.kind(code, info.reason)(
        _ask(error, "details") or status.message or str(error) or code.name.lower(),
        code=code,
        reason=info.reason,
        metadata=dict(info.metadata),
        correlation_id=request.request_id or _correlation_id(error),
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
        field_violations=tuple(FieldViolation(v.field, v.description) for v in bad.field_violations),
    )


def _ask(error: object, name: str) -> Any:
    """What a method of the call answers; a bare RpcError has none of them."""
    method = getattr(error, name, None)
    return method() if callable(method) else None


def _status(trailing: Iterable[tuple[str, str | bytes]]) -> Status:
    """The rich status, empty where there is none."""
    for key, value in trailing:
        if key == _DETAILS_HEADER and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()


def _unpack(detail: Any, message: Any) -> None:
    """Fills the message from the detail where that is of its type and can be read."""
    try:
        detail.Unpack(message)
    except DecodeError:
        message.Clear()


def _correlation_id(error: object) -> str:
    """The correlation id of the initial metadata, which even answers without details carry."""
    for key, value in _ask(error, "initial_metadata") or ():
        if key == CORRELATION_HEADER:
            return str(value)
    return ""
