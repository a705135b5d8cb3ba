import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Transport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSPORT_UNSPECIFIED: _ClassVar[Transport]
    TRANSPORT_KAFKA: _ClassVar[Transport]
    TRANSPORT_PULL: _ClassVar[Transport]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_PROTOBUF: _ClassVar[Encoding]
    ENCODING_JSON: _ClassVar[Encoding]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_GENERATOR: _ClassVar[Role]
    ROLE_BUYER: _ClassVar[Role]
    ROLE_OPERATOR: _ClassVar[Role]
TRANSPORT_UNSPECIFIED: Transport
TRANSPORT_KAFKA: Transport
TRANSPORT_PULL: Transport
ENCODING_UNSPECIFIED: Encoding
ENCODING_PROTOBUF: Encoding
ENCODING_JSON: Encoding
ROLE_UNSPECIFIED: Role
ROLE_GENERATOR: Role
ROLE_BUYER: Role
ROLE_OPERATOR: Role

class Generator(_message.Message):
    __slots__ = ("generator_id", "paused")
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    generator_id: str
    paused: bool
    def __init__(self, generator_id: _Optional[str] = ..., paused: bool = ...) -> None: ...

class Buyer(_message.Message):
    __slots__ = ("buyer_id", "transport", "encoding", "paused", "accepted_generators", "topic", "waiting", "oldest_unsettled_time")
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_GENERATORS_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNSETTLED_TIME_FIELD_NUMBER: _ClassVar[int]
    buyer_id: str
    transport: Transport
    encoding: Encoding
    paused: bool
    accepted_generators: _containers.RepeatedScalarFieldContainer[str]
    topic: Topic
    waiting: int
    oldest_unsettled_time: _timestamp_pb2.Timestamp
    def __init__(self, buyer_id: _Optional[str] = ..., transport: _Optional[_Union[Transport, str]] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., paused: bool = ..., accepted_generators: _Optional[_Iterable[str]] = ..., topic: _Optional[_Union[Topic, _Mapping]] = ..., waiting: _Optional[int] = ..., oldest_unsettled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Topic(_message.Message):
    __slots__ = ("name", "state", "detail")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Topic.State]
        STATE_UNKNOWN: _ClassVar[Topic.State]
        STATE_READY: _ClassVar[Topic.State]
        STATE_DIFFERS: _ClassVar[Topic.State]
        STATE_FAILING: _ClassVar[Topic.State]
    STATE_UNSPECIFIED: Topic.State
    STATE_UNKNOWN: Topic.State
    STATE_READY: Topic.State
    STATE_DIFFERS: Topic.State
    STATE_FAILING: Topic.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: Topic.State
    detail: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[Topic.State, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class EvidenceHost(_message.Message):
    __slots__ = ("host", "networks", "insecure")
    HOST_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    INSECURE_FIELD_NUMBER: _ClassVar[int]
    host: str
    networks: _containers.RepeatedScalarFieldContainer[str]
    insecure: bool
    def __init__(self, host: _Optional[str] = ..., networks: _Optional[_Iterable[str]] = ..., insecure: bool = ...) -> None: ...

class ApiKey(_message.Message):
    __slots__ = ("key_id", "role", "subject", "create_time", "revoke_time")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_TIME_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    role: Role
    subject: str
    create_time: _timestamp_pb2.Timestamp
    revoke_time: _timestamp_pb2.Timestamp
    def __init__(self, key_id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., subject: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoke_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
