from advisor_matching.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchProjectEventsRequest(_message.Message):
    __slots__ = ("project_id", "last_event_id", "from_start", "types", "watch_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    last_event_id: str
    from_start: bool
    types: _containers.RepeatedScalarFieldContainer[str]
    watch_id: str
    def __init__(self, project_id: _Optional[str] = ..., last_event_id: _Optional[str] = ..., from_start: bool = ..., types: _Optional[_Iterable[str]] = ..., watch_id: _Optional[str] = ...) -> None: ...

class WatchProjectEventsResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _types_pb2.ProjectEvent
    def __init__(self, event: _Optional[_Union[_types_pb2.ProjectEvent, _Mapping]] = ...) -> None: ...

class ListProjectEventsRequest(_message.Message):
    __slots__ = ("project_id", "after_event_id", "page_size")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    after_event_id: str
    page_size: int
    def __init__(self, project_id: _Optional[str] = ..., after_event_id: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListProjectEventsResponse(_message.Message):
    __slots__ = ("events", "last_event_id")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_types_pb2.ProjectEvent]
    last_event_id: str
    def __init__(self, events: _Optional[_Iterable[_Union[_types_pb2.ProjectEvent, _Mapping]]] = ..., last_event_id: _Optional[str] = ...) -> None: ...
