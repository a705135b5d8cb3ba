import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lead(_message.Message):
    __slots__ = ("contact", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    contact: Contact
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, contact: _Optional[_Union[Contact, _Mapping]] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Contact(_message.Message):
    __slots__ = ("first_name", "last_name", "email", "phone", "address")
    FIRST_NAME_FIELD_NUMBER: _ClassVar[int]
    LAST_NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PHONE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    first_name: str
    last_name: str
    email: str
    phone: str
    address: PostalAddress
    def __init__(self, first_name: _Optional[str] = ..., last_name: _Optional[str] = ..., email: _Optional[str] = ..., phone: _Optional[str] = ..., address: _Optional[_Union[PostalAddress, _Mapping]] = ...) -> None: ...

class PostalAddress(_message.Message):
    __slots__ = ("address_lines", "locality", "administrative_area", "postal_code", "region_code")
    ADDRESS_LINES_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    ADMINISTRATIVE_AREA_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    REGION_CODE_FIELD_NUMBER: _ClassVar[int]
    address_lines: _containers.RepeatedScalarFieldContainer[str]
    locality: str
    administrative_area: str
    postal_code: str
    region_code: str
    def __init__(self, address_lines: _Optional[_Iterable[str]] = ..., locality: _Optional[str] = ..., administrative_area: _Optional[str] = ..., postal_code: _Optional[str] = ..., region_code: _Optional[str] = ...) -> None: ...

class Cdr(_message.Message):
    __slots__ = ("cdr_id", "capture_time", "package_id", "sub_group_ids", "custom_json", "disclosures")
    CDR_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_GROUP_IDS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_JSON_FIELD_NUMBER: _ClassVar[int]
    DISCLOSURES_FIELD_NUMBER: _ClassVar[int]
    cdr_id: str
    capture_time: _timestamp_pb2.Timestamp
    package_id: str
    sub_group_ids: _containers.RepeatedScalarFieldContainer[str]
    custom_json: str
    disclosures: _containers.RepeatedCompositeFieldContainer[Disclosure]
    def __init__(self, cdr_id: _Optional[str] = ..., capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., package_id: _Optional[str] = ..., sub_group_ids: _Optional[_Iterable[str]] = ..., custom_json: _Optional[str] = ..., disclosures: _Optional[_Iterable[_Union[Disclosure, _Mapping]]] = ...) -> None: ...

class Disclosure(_message.Message):
    __slots__ = ("key", "language", "agreed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    key: str
    language: str
    agreed: bool
    def __init__(self, key: _Optional[str] = ..., language: _Optional[str] = ..., agreed: bool = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("cdr_id", "share_url", "share_expire_time")
    CDR_ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_URL_FIELD_NUMBER: _ClassVar[int]
    SHARE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    cdr_id: str
    share_url: str
    share_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, cdr_id: _Optional[str] = ..., share_url: _Optional[str] = ..., share_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("buyer_id", "shares", "attribute_keys", "evidence_wait")
    BUYER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_KEYS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_WAIT_FIELD_NUMBER: _ClassVar[int]
    buyer_id: str
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    attribute_keys: _containers.RepeatedScalarFieldContainer[str]
    evidence_wait: _duration_pb2.Duration
    def __init__(self, buyer_id: _Optional[str] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., attribute_keys: _Optional[_Iterable[str]] = ..., evidence_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
