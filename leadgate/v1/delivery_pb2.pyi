import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from leadgate.v1 import lead_pb2 as _lead_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_STATE_UNSPECIFIED: _ClassVar[DeliveryState]
    DELIVERY_STATE_REJECTED: _ClassVar[DeliveryState]
    DELIVERY_STATE_PENDING: _ClassVar[DeliveryState]
    DELIVERY_STATE_PUBLISHED: _ClassVar[DeliveryState]
    DELIVERY_STATE_DELIVERED: _ClassVar[DeliveryState]
    DELIVERY_STATE_BUYER_REJECTED: _ClassVar[DeliveryState]
    DELIVERY_STATE_FAILED: _ClassVar[DeliveryState]
    DELIVERY_STATE_AWAITING_EVIDENCE: _ClassVar[DeliveryState]

class ClaimStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLAIM_STATUS_UNSPECIFIED: _ClassVar[ClaimStatus]
    CLAIM_STATUS_CLAIMED: _ClassVar[ClaimStatus]
    CLAIM_STATUS_ALREADY_CLAIMED: _ClassVar[ClaimStatus]
    CLAIM_STATUS_ACCESS_CONFIRMED: _ClassVar[ClaimStatus]
    CLAIM_STATUS_SAVED_UNPAID: _ClassVar[ClaimStatus]

class Verification(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_UNSPECIFIED: _ClassVar[Verification]
    VERIFICATION_MATCHED: _ClassVar[Verification]
    VERIFICATION_MISMATCHED: _ClassVar[Verification]
    VERIFICATION_NOT_CHECKABLE: _ClassVar[Verification]

class DeliveryEventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_EVENT_TYPE_UNSPECIFIED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_ACCEPTED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_REJECTED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_PUBLISHED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_CLAIMED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_DEFERRED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_DELIVERED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_BUYER_REJECTED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_FAILED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_RETRIED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_REPLAYED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_RELEASED: _ClassVar[DeliveryEventType]
    DELIVERY_EVENT_TYPE_EVIDENCE_ADDED: _ClassVar[DeliveryEventType]
DELIVERY_STATE_UNSPECIFIED: DeliveryState
DELIVERY_STATE_REJECTED: DeliveryState
DELIVERY_STATE_PENDING: DeliveryState
DELIVERY_STATE_PUBLISHED: DeliveryState
DELIVERY_STATE_DELIVERED: DeliveryState
DELIVERY_STATE_BUYER_REJECTED: DeliveryState
DELIVERY_STATE_FAILED: DeliveryState
DELIVERY_STATE_AWAITING_EVIDENCE: DeliveryState
CLAIM_STATUS_UNSPECIFIED: ClaimStatus
CLAIM_STATUS_CLAIMED: ClaimStatus
CLAIM_STATUS_ALREADY_CLAIMED: ClaimStatus
CLAIM_STATUS_ACCESS_CONFIRMED: ClaimStatus
CLAIM_STATUS_SAVED_UNPAID: ClaimStatus
VERIFICATION_UNSPECIFIED: Verification
VERIFICATION_MATCHED: Verification
VERIFICATION_MISMATCHED: Verification
VERIFICATION_NOT_CHECKABLE: Verification
DELIVERY_EVENT_TYPE_UNSPECIFIED: DeliveryEventType
DELIVERY_EVENT_TYPE_ACCEPTED: DeliveryEventType
DELIVERY_EVENT_TYPE_REJECTED: DeliveryEventType
DELIVERY_EVENT_TYPE_PUBLISHED: DeliveryEventType
DELIVERY_EVENT_TYPE_CLAIMED: DeliveryEventType
DELIVERY_EVENT_TYPE_DEFERRED: DeliveryEventType
DELIVERY_EVENT_TYPE_DELIVERED: DeliveryEventType
DELIVERY_EVENT_TYPE_BUYER_REJECTED: DeliveryEventType
DELIVERY_EVENT_TYPE_FAILED: DeliveryEventType
DELIVERY_EVENT_TYPE_RETRIED: DeliveryEventType
DELIVERY_EVENT_TYPE_REPLAYED: DeliveryEventType
DELIVERY_EVENT_TYPE_RELEASED: DeliveryEventType
DELIVERY_EVENT_TYPE_EVIDENCE_ADDED: DeliveryEventType

class Delivery(_message.Message):
    __slots__ = ("delivery_id", "lead_id", "buyer_id", "generator_id", "state", "reason", "attempt", "accept_time", "due_time", "update_time", "receipts", "events")
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    delivery_id: str
    lead_id: str
    buyer_id: str
    generator_id: str
    state: DeliveryState
    reason: str
    attempt: int
    accept_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    events: _containers.RepeatedCompositeFieldContainer[DeliveryEvent]
    def __init__(self, delivery_id: _Optional[str] = ..., lead_id: _Optional[str] = ..., buyer_id: _Optional[str] = ..., generator_id: _Optional[str] = ..., state: _Optional[_Union[DeliveryState, str]] = ..., reason: _Optional[str] = ..., attempt: _Optional[int] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[DeliveryEvent, _Mapping]]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("cdr_id", "status", "host", "http_status", "request_id", "share_event_id", "collect", "claim_time", "body_sha256", "verification")
    CDR_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECT_FIELD_NUMBER: _ClassVar[int]
    CLAIM_TIME_FIELD_NUMBER: _ClassVar[int]
    BODY_SHA256_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    cdr_id: str
    status: ClaimStatus
    host: str
    http_status: int
    request_id: str
    share_event_id: str
    collect: bool
    claim_time: _timestamp_pb2.Timestamp
    body_sha256: bytes
    verification: Verification
    def __init__(self, cdr_id: _Optional[str] = ..., status: _Optional[_Union[ClaimStatus, str]] = ..., host: _Optional[str] = ..., http_status: _Optional[int] = ..., request_id: _Optional[str] = ..., share_event_id: _Optional[str] = ..., collect: bool = ..., claim_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., body_sha256: _Optional[bytes] = ..., verification: _Optional[_Union[Verification, str]] = ...) -> None: ...

class DeliveryEvent(_message.Message):
    __slots__ = ("event_time", "type", "attempt", "reason", "topic", "partition", "offset", "due_time", "receipts")
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    event_time: _timestamp_pb2.Timestamp
    type: DeliveryEventType
    attempt: int
    reason: str
    topic: str
    partition: int
    offset: int
    due_time: _timestamp_pb2.Timestamp
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[_Union[DeliveryEventType, str]] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

class LeadRecord(_message.Message):
    __slots__ = ("delivery_id", "lead_id", "buyer_id", "generator_id", "attempt", "accept_time", "lead", "cdrs", "shares", "receipts", "replay")
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    LEAD_FIELD_NUMBER: _ClassVar[int]
    CDRS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    delivery_id: str
    lead_id: str
    buyer_id: str
    generator_id: str
    attempt: int
    accept_time: _timestamp_pb2.Timestamp
    lead: _lead_pb2.Lead
    cdrs: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Cdr]
    shares: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Share]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    replay: bool
    def __init__(self, delivery_id: _Optional[str] = ..., lead_id: _Optional[str] = ..., buyer_id: _Optional[str] = ..., generator_id: _Optional[str] = ..., attempt: _Optional[int] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lead: _Optional[_Union[_lead_pb2.Lead, _Mapping]] = ..., cdrs: _Optional[_Iterable[_Union[_lead_pb2.Cdr, _Mapping]]] = ..., shares: _Optional[_Iterable[_Union[_lead_pb2.Share, _Mapping]]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., replay: bool = ...) -> None: ...
