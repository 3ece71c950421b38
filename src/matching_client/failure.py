"""What every error of the client has; the tree of them is in `errors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import grpc


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field: its path, such as "criteria.tech_stack.languages[3]", and why."""

    field: str
    description: str


class MatchingError(Exception):
    """A call failed.

    `message` is for people; `code` the gRPC status code; `reason` the name in `error_reason.proto`
    ("MATCH_NOT_FOUND"), empty where the answer did not come from the service; `metadata` the facts that the
    reason's comment lists; `correlation_id` names the call in the service's logs, empty where unknown;
    `retry_after` is in seconds, None where the service did not say; `field_violations` name the fields at
    fault.
    """

    _by_reason: ClassVar[dict[str, type[MatchingError]]] = {}
    _by_code: ClassVar[dict[grpc.StatusCode, type[MatchingError]]] = {}
    _code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init_subclass__(cls, *, code: grpc.StatusCode | None = None, reason: str = "") -> None:
        """Enters a class as that of a code, of a reason, or of both."""
        if code is not None:
            cls._code = code
            cls._by_code[code] = cls
        if reason:
            cls._by_reason[reason] = cls

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        correlation_id: str = "",
        retry_after: float | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        """`code` defaults to that of the class."""
        super().__init__(message)
        self.message = message
        self.code = self._code if code is None else code
        self.reason = reason
        self.metadata = dict(metadata)
        self.correlation_id = correlation_id
        self.retry_after = retry_after
        self.field_violations = field_violations

    def __str__(self) -> str:
        """Reason, message, the fields at fault, and the correlation id, on one line."""
        told = [f"{violation.field}: {violation.description}" for violation in self.field_violations]
        fields = "".join(f"; {text}" for text in told if text not in self.message)
        correlation = f" (correlation id {self.correlation_id})" if self.correlation_id else ""
        return f"{self.reason or self.code.name}: {self.message}{fields}{correlation}"

    @classmethod
    def kind(cls, code: grpc.StatusCode, reason: str) -> type[MatchingError]:
        """The class for a reason, or, where that is unknown, for a code."""
        return cls._by_reason.get(reason) or cls._by_code.get(code) or MatchingError
