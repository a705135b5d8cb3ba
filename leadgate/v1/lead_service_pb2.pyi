import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from leadgate.v1 import delivery_pb2 as _delivery_pb2
from leadgate.v1 import lead_pb2 as _lead_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeadState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEAD_STATE_UNSPECIFIED: _ClassVar[LeadState]
    LEAD_STATE_IN_PROGRESS: _ClassVar[LeadState]
    LEAD_STATE_DELIVERED: _ClassVar[LeadState]
    LEAD_STATE_PARTIALLY_DELIVERED: _ClassVar[LeadState]
    LEAD_STATE_NOT_DELIVERED: _ClassVar[LeadState]
LEAD_STATE_UNSPECIFIED: LeadState
LEAD_STATE_IN_PROGRESS: LeadState
LEAD_STATE_DELIVERED: LeadState
LEAD_STATE_PARTIALLY_DELIVERED: LeadState
LEAD_STATE_NOT_DELIVERED: LeadState

class SubmitLeadRequest(_message.Message):
    __slots__ = ("request_id", "lead", "cdrs", "recipients", "validate_only")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LEAD_FIELD_NUMBER: _ClassVar[int]
    CDRS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    lead: _lead_pb2.Lead
    cdrs: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Cdr]
    recipients: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Recipient]
    validate_only: bool
    def __init__(self, request_id: _Optional[str] = ..., lead: _Optional[_Union[_lead_pb2.Lead, _Mapping]] = ..., cdrs: _Optional[_Iterable[_Union[_lead_pb2.Cdr, _Mapping]]] = ..., recipients: _Optional[_Iterable[_Union[_lead_pb2.Recipient, _Mapping]]] = ..., validate_only: bool = ...) -> None: ...

class DeliveryDecision(_message.Message):
    __slots__ = ("buyer_id", "delivery_id", "state", "reason")
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    buyer_id: str
    delivery_id: str
    state: _delivery_pb2.DeliveryState
    reason: str
    def __init__(self, buyer_id: _Optional[str] = ..., delivery_id: _Optional[str] = ..., state: _Optional[_Union[_delivery_pb2.DeliveryState, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class SubmitLeadResponse(_message.Message):
    __slots__ = ("lead_id", "deliveries")
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    lead_id: str
    deliveries: _containers.RepeatedCompositeFieldContainer[DeliveryDecision]
    def __init__(self, lead_id: _Optional[str] = ..., deliveries: _Optional[_Iterable[_Union[DeliveryDecision, _Mapping]]] = ...) -> None: ...

class BatchSubmitLeadsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SubmitLeadRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SubmitLeadRequest, _Mapping]]] = ...) -> None: ...

class BatchSubmitLeadsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitLeadResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitLeadResult, _Mapping]]] = ...) -> None: ...

class SubmitLeadResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: SubmitLeadResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[SubmitLeadResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class StreamLeadsRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubmitLeadRequest
    def __init__(self, request: _Optional[_Union[SubmitLeadRequest, _Mapping]] = ...) -> None: ...

class StreamLeadsResponse(_message.Message):
    __slots__ = ("request_id", "result")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    result: SubmitLeadResult
    def __init__(self, request_id: _Optional[str] = ..., result: _Optional[_Union[SubmitLeadResult, _Mapping]] = ...) -> None: ...

class AddEvidenceRequest(_message.Message):
    __slots__ = ("lead_id", "request_id", "cdrs", "recipients")
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CDRS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    lead_id: str
    request_id: str
    cdrs: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Cdr]
    recipients: _containers.RepeatedCompositeFieldContainer[EvidenceRecipient]
    def __init__(self, lead_id: _Optional[str] = ..., request_id: _Optional[str] = ..., cdrs: _Optional[_Iterable[_Union[_lead_pb2.Cdr, _Mapping]]] = ..., recipients: _Optional[_Iterable[_Union[EvidenceRecipient, _Mapping]]] = ...) -> None: ...

class EvidenceRecipient(_message.Message):
    __slots__ = ("buyer_id", "shares")
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    buyer_id: str
    shares: _containers.RepeatedCompositeFieldContainer[_lead_pb2.Share]
    def __init__(self, buyer_id: _Optional[str] = ..., shares: _Optional[_Iterable[_Union[_lead_pb2.Share, _Mapping]]] = ...) -> None: ...

class AddEvidenceResponse(_message.Message):
    __slots__ = ("lead_id", "deliveries")
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    lead_id: str
    deliveries: _containers.RepeatedCompositeFieldContainer[DeliveryDecision]
    def __init__(self, lead_id: _Optional[str] = ..., deliveries: _Optional[_Iterable[_Union[DeliveryDecision, _Mapping]]] = ...) -> None: ...

class LeadStatus(_message.Message):
    __slots__ = ("lead_id", "request_id", "generator_id", "accept_time", "state", "deliveries")
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    lead_id: str
    request_id: str
    generator_id: str
    accept_time: _timestamp_pb2.Timestamp
    state: LeadState
    deliveries: _containers.RepeatedCompositeFieldContainer[_delivery_pb2.Delivery]
    def __init__(self, lead_id: _Optional[str] = ..., request_id: _Optional[str] = ..., generator_id: _Optional[str] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[LeadState, str]] = ..., deliveries: _Optional[_Iterable[_Union[_delivery_pb2.Delivery, _Mapping]]] = ...) -> None: ...

class GetLeadRequest(_message.Message):
    __slots__ = ("lead_id",)
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    lead_id: str
    def __init__(self, lead_id: _Optional[str] = ...) -> None: ...

class GetLeadResponse(_message.Message):
    __slots__ = ("lead",)
    LEAD_FIELD_NUMBER: _ClassVar[int]
    lead: LeadStatus
    def __init__(self, lead: _Optional[_Union[LeadStatus, _Mapping]] = ...) -> None: ...

class ListLeadsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "request_id", "state", "buyer_id", "accepted_from", "accepted_until", "generator_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FROM_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    request_id: str
    state: _delivery_pb2.DeliveryState
    buyer_id: str
    accepted_from: _timestamp_pb2.Timestamp
    accepted_until: _timestamp_pb2.Timestamp
    generator_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., request_id: _Optional[str] = ..., state: _Optional[_Union[_delivery_pb2.DeliveryState, str]] = ..., buyer_id: _Optional[str] = ..., accepted_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., generator_id: _Optional[str] = ...) -> None: ...

class ListLeadsResponse(_message.Message):
    __slots__ = ("leads", "next_page_token")
    LEADS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    leads: _containers.RepeatedCompositeFieldContainer[LeadStatus]
    next_page_token: str
    def __init__(self, leads: _Optional[_Iterable[_Union[LeadStatus, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchDeliveriesRequest(_message.Message):
    __slots__ = ("cursor", "buyer_id", "generator_id")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    buyer_id: str
    generator_id: str
    def __init__(self, cursor: _Optional[str] = ..., buyer_id: _Optional[str] = ..., generator_id: _Optional[str] = ...) -> None: ...

class WatchDeliveriesResponse(_message.Message):
    __slots__ = ("cursor", "event", "delivery_id", "lead_id", "buyer_id", "state")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    LEAD_ID_FIELD_NUMBER: _ClassVar[int]
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    event: _delivery_pb2.DeliveryEvent
    delivery_id: str
    lead_id: str
    buyer_id: str
    state: _delivery_pb2.DeliveryState
    def __init__(self, cursor: _Optional[str] = ..., event: _Optional[_Union[_delivery_pb2.DeliveryEvent, _Mapping]] = ..., delivery_id: _Optional[str] = ..., lead_id: _Optional[str] = ..., buyer_id: _Optional[str] = ..., state: _Optional[_Union[_delivery_pb2.DeliveryState, str]] = ...) -> None: ...
