import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServiceInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FeatureFlags(_message.Message):
    __slots__ = ("auto_provision",)
    AUTO_PROVISION_FIELD_NUMBER: _ClassVar[int]
    auto_provision: bool
    def __init__(self, auto_provision: bool = ...) -> None: ...

class GetServiceInfoResponse(_message.Message):
    __slots__ = ("service", "status", "timestamp", "version", "feature_flags")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FLAGS_FIELD_NUMBER: _ClassVar[int]
    service: str
    status: str
    timestamp: _timestamp_pb2.Timestamp
    version: str
    feature_flags: FeatureFlags
    def __init__(self, service: _Optional[str] = ..., status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[str] = ..., feature_flags: _Optional[_Union[FeatureFlags, _Mapping]] = ...) -> None: ...
