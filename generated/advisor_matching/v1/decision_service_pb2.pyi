from advisor_matching.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitClientDecisionRequest(_message.Message):
    __slots__ = ("match_id", "decision", "reason", "etag")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    decision: _types_pb2.Decision
    reason: str
    etag: str
    def __init__(self, match_id: _Optional[str] = ..., decision: _Optional[_Union[_types_pb2.Decision, str]] = ..., reason: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class SubmitClientDecisionResponse(_message.Message):
    __slots__ = ("status", "workspace_provisioning", "match")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_PROVISIONING_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    status: _types_pb2.MatchStatus
    workspace_provisioning: _types_pb2.WorkspaceProvisioning
    match: _types_pb2.Match
    def __init__(self, status: _Optional[_Union[_types_pb2.MatchStatus, str]] = ..., workspace_provisioning: _Optional[_Union[_types_pb2.WorkspaceProvisioning, str]] = ..., match: _Optional[_Union[_types_pb2.Match, _Mapping]] = ...) -> None: ...

class SubmitAdvisorDecisionRequest(_message.Message):
    __slots__ = ("match_id", "decision", "reason", "etag")
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    match_id: str
    decision: _types_pb2.Decision
    reason: str
    etag: str
    def __init__(self, match_id: _Optional[str] = ..., decision: _Optional[_Union[_types_pb2.Decision, str]] = ..., reason: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class SubmitAdvisorDecisionResponse(_message.Message):
    __slots__ = ("status", "workspace_provisioning", "match")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_PROVISIONING_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    status: _types_pb2.MatchStatus
    workspace_provisioning: _types_pb2.WorkspaceProvisioning
    match: _types_pb2.Match
    def __init__(self, status: _Optional[_Union[_types_pb2.MatchStatus, str]] = ..., workspace_provisioning: _Optional[_Union[_types_pb2.WorkspaceProvisioning, str]] = ..., match: _Optional[_Union[_types_pb2.Match, _Mapping]] = ...) -> None: ...
