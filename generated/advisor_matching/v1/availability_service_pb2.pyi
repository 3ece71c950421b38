from advisor_matching.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateAvailabilityRequest(_message.Message):
    __slots__ = ("advisor_id", "status", "max_concurrent_projects", "preferences", "decline_open_offers")
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PREFERENCES_FIELD_NUMBER: _ClassVar[int]
    DECLINE_OPEN_OFFERS_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    status: _types_pb2.AvailabilityStatus
    max_concurrent_projects: int
    preferences: _types_pb2.AvailabilityPreferences
    decline_open_offers: bool
    def __init__(self, advisor_id: _Optional[str] = ..., status: _Optional[_Union[_types_pb2.AvailabilityStatus, str]] = ..., max_concurrent_projects: _Optional[int] = ..., preferences: _Optional[_Union[_types_pb2.AvailabilityPreferences, _Mapping]] = ..., decline_open_offers: bool = ...) -> None: ...

class UpdateAvailabilityResponse(_message.Message):
    __slots__ = ("availability",)
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    availability: _types_pb2.Availability
    def __init__(self, availability: _Optional[_Union[_types_pb2.Availability, _Mapping]] = ...) -> None: ...

class GetAvailabilityRequest(_message.Message):
    __slots__ = ("advisor_id",)
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    def __init__(self, advisor_id: _Optional[str] = ...) -> None: ...

class GetAvailabilityResponse(_message.Message):
    __slots__ = ("availability",)
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    availability: _types_pb2.Availability
    def __init__(self, availability: _Optional[_Union[_types_pb2.Availability, _Mapping]] = ...) -> None: ...
