from advisor_matching.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpsertProjectRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: _types_pb2.Project
    def __init__(self, project: _Optional[_Union[_types_pb2.Project, _Mapping]] = ...) -> None: ...

class UpsertProjectResponse(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: _types_pb2.Project
    def __init__(self, project: _Optional[_Union[_types_pb2.Project, _Mapping]] = ...) -> None: ...

class GetProjectRequest(_message.Message):
    __slots__ = ("project_id",)
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    def __init__(self, project_id: _Optional[str] = ...) -> None: ...

class GetProjectResponse(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: _types_pb2.Project
    def __init__(self, project: _Optional[_Union[_types_pb2.Project, _Mapping]] = ...) -> None: ...

class UpsertAdvisorRequest(_message.Message):
    __slots__ = ("advisor",)
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    advisor: _types_pb2.Advisor
    def __init__(self, advisor: _Optional[_Union[_types_pb2.Advisor, _Mapping]] = ...) -> None: ...

class UpsertAdvisorResponse(_message.Message):
    __slots__ = ("advisor",)
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    advisor: _types_pb2.Advisor
    def __init__(self, advisor: _Optional[_Union[_types_pb2.Advisor, _Mapping]] = ...) -> None: ...

class GetAdvisorRequest(_message.Message):
    __slots__ = ("advisor_id",)
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    def __init__(self, advisor_id: _Optional[str] = ...) -> None: ...

class GetAdvisorResponse(_message.Message):
    __slots__ = ("advisor",)
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    advisor: _types_pb2.Advisor
    def __init__(self, advisor: _Optional[_Union[_types_pb2.Advisor, _Mapping]] = ...) -> None: ...

class ListAdvisorsRequest(_message.Message):
    __slots__ = ("skill", "framework", "available", "page_size", "page_token")
    SKILL_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    skill: str
    framework: str
    available: bool
    page_size: int
    page_token: str
    def __init__(self, skill: _Optional[str] = ..., framework: _Optional[str] = ..., available: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAdvisorsResponse(_message.Message):
    __slots__ = ("advisors", "next_page_token")
    ADVISORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    advisors: _containers.RepeatedCompositeFieldContainer[_types_pb2.Advisor]
    next_page_token: str
    def __init__(self, advisors: _Optional[_Iterable[_Union[_types_pb2.Advisor, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeactivateAdvisorRequest(_message.Message):
    __slots__ = ("advisor_id", "reason")
    ADVISOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    advisor_id: str
    reason: str
    def __init__(self, advisor_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeactivateAdvisorResponse(_message.Message):
    __slots__ = ("advisor",)
    ADVISOR_FIELD_NUMBER: _ClassVar[int]
    advisor: _types_pb2.Advisor
    def __init__(self, advisor: _Optional[_Union[_types_pb2.Advisor, _Mapping]] = ...) -> None: ...
