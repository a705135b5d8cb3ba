"""What the ledger tells those who follow: leads, deliveries, events. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, literal_column, or_, select, tuple_

from gateway.delivery import EventKind, State, began
from gateway.ledger.tables import THE_HOLD, deliveries, events, holds, leads, receipts
from gateway.market import Market
from gateway.timeline import DeliveryView, EventView, Filter, LeadView, Place
from leadgate.sql import Prepared, fetch

_LEAD = (
    leads.c.lead_key,
    leads.c.lead_id,
    leads.c.generator_key,
    leads.c.request_id,
    leads.c.accept_time,
)
_DELIVERY = (
    deliveries.c.buyer_key,
    deliveries.c.state,
    deliveries.c.reason,
    deliveries.c.attempt,
    func.coalesce(deliveries.c.due_time, holds.c.deadline),
    deliveries.c.update_time,
    # Null but for a delivery that began without evidence.
    holds.c.lead_key,
)
_EVENT = (
    events.c.event_key,
    events.c.buyer_key,
    events.c.kind,
    events.c.state,
    events.c.attempt,
    events.c.event_time,
    events.c.reason,
    events.c.partition,
    events.c.offset,
    events.c.due_time,
    events.c.receipts,
)
_LEAD_BY_ID = Prepared(select(*_LEAD).where(leads.c.lead_id == bindparam("lead_id")))
_DELIVERIES = Prepared(
    select(*_DELIVERY)
    .join_from(deliveries, holds, THE_HOLD, isouter=True)
    .where(deliveries.c.lead_key == bindparam("lead"))
    .order_by(deliveries.c.position)
)
_RECEIPTS = Prepared(
    select(receipts.c.buyer_key, receipts.c.receipt).where(receipts.c.lead_key == bindparam("lead"))
)
_EVENTS = Prepared(
    select(*_EVENT).where(events.c.lead_key == bindparam("lead")).order_by(events.c.event_key)
)
_LAST_EVENT = Prepared(select(func.max(events.c.event_key)))
_KEYS = Prepared(select(func.min(leads.c.lead_key), func.max(leads.c.lead_key)))
_ACCEPTED_AT = Prepared(
    select(leads.c.lead_key, leads.c.accept_time)
    .where(leads.c.lead_key >= bindparam("key"))
    .order_by(leads.c.lead_key)
    .limit(1)
)


def find_lead(cursor: Any, market: Market, lead_id: bytes, generator_id: str) -> LeadView | None:
    """See `gateway.timeline.Ledger`."""
    row = _LEAD_BY_ID.one(cursor, lead_id=lead_id)
    if row is None or (generator_id and market.generator_of(row[2]).generator_id != generator_id):
        return None
    return _lead_view(cursor, market, row, with_events=True)


def find_delivery(
    cursor: Any, market: Market, lead_id: bytes, buyer_id: str
) -> DeliveryView | None:
    """See `gateway.timeline.Ledger`."""
    lead = find_lead(cursor, market, lead_id, "")
    views = lead.deliveries if lead else ()
    return next((view for view in views if view.buyer_id == buyer_id), None)


def list_leads(
    cursor: Any, market: Market, matching: Filter, before: int, count: int
) -> list[LeadView]:
    """See `gateway.timeline.Ledger`."""
    query: Any = select(*_LEAD).where(leads.c.lead_key < before)
    query = _of_leads(query, cursor, market, matching)
    if matching.state or matching.buyer_id:
        query = query.where(
            exists()
            .where(deliveries.c.lead_key == leads.c.lead_key, *_of_delivery(market, matching))
            .correlate(leads)
        )
    rows = fetch(cursor, query.order_by(leads.c.lead_key.desc()).limit(count))
    return [_lead_view(cursor, market, row, with_events=False) for row in rows]


def list_deliveries(
    cursor: Any, market: Market, matching: Filter, before: tuple[int, int], count: int
) -> list[DeliveryView]:
    """See `gateway.timeline.Ledger`."""
    place = tuple_(deliveries.c.lead_key, deliveries.c.buyer_key)
    query: Any = select(*_LEAD, *_DELIVERY).join_from(deliveries, leads)
    query = query.outerjoin(holds, THE_HOLD).where(place < before)
    query = _of_leads(query, cursor, market, matching).where(*_of_delivery(market, matching))
    query = query.order_by(deliveries.c.lead_key.desc(), deliveries.c.buyer_key.desc())
    return [
        _delivery_view(market, row[: len(_LEAD)], row[len(_LEAD) :], _receipts(cursor, row[0]))
        for row in fetch(cursor, query.limit(count))
    ]


def last_event(cursor: Any) -> Place:
    """See `gateway.timeline.Ledger`."""
    # Behind every part of the newest row.
    return Place(_LAST_EVENT.one(cursor)[0] or 0, 1 << 30)


def events_after(
    cursor: Any, market: Market, place: Place, matching: Filter, count: int
) -> tuple[list[EventView], Place]:
    """See `gateway.timeline.Ledger`."""
    query = (
        select(leads.c.lead_key, leads.c.lead_id, *_EVENT)
        .join_from(events, leads)
        .where(events.c.event_key >= place.row)
    )
    if matching.generator_id:
        generator = market.generators.get(matching.generator_id)
        query = query.where(events.c.generator_key == (generator.key if generator else 0))
    if matching.buyer_id:
        key = _buyer_key(market, matching.buyer_id)
        query = query.where(or_(events.c.buyer_key == key, events.c.buyer_key.is_(None)))
    newest = last_event(cursor)
    rows = fetch(cursor, query.order_by(events.c.event_key).limit(count))
    found = [
        view
        for row in rows
        for view in _event_views(cursor, market, row[1], row[0], row[2:])
        if view.place > place and matching.buyer_id in ("", view.buyer_id)
    ]
    # Rows committed since `newest` was read may be among those found.
    read_to = Place(rows[-1][2], 1 << 30) if rows else place
    return found, read_to if len(rows) == count else max(place, newest, read_to)


def _of_leads(query: Select[Any], cursor: Any, market: Market, matching: Filter) -> Select[Any]:
    if matching.generator_id:
        generator = market.generators.get(matching.generator_id)
        query = query.where(leads.c.generator_key == (generator.key if generator else 0))
    if matching.request_id:
        # Names every generator, so that the index by generator and request serves.
        known = [generator.key for generator in market.generators.values()]
        query = query.where(
            leads.c.request_id == matching.request_id, leads.c.generator_key.in_(known)
        )
    if matching.accepted_from is not None:
        query = query.where(leads.c.lead_key >= first_lead_at(cursor, matching.accepted_from))
    if matching.accepted_until is not None:
        query = query.where(leads.c.lead_key < first_lead_at(cursor, matching.accepted_until))
    return query


def _of_delivery(market: Market, matching: Filter) -> Iterator[Any]:
    if matching.buyer_id:
        yield deliveries.c.buyer_key == _buyer_key(market, matching.buyer_id)
    if matching.state:
        # Written into the statement: the partial index of FAILED serves no parameter.
        yield deliveries.c.state == literal_column(str(int(matching.state)))


def first_lead_at(cursor: Any, time: int) -> int:
    """The key of the first lead accepted at or after a time, or one past the last.

    The ledger's clock never runs backwards, so keys and times rise together, and
    bisection finds the place without an index on the time.
    """
    low, high = _KEYS.one(cursor)
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        key, accept_time = _ACCEPTED_AT.one(cursor, key=middle)
        if accept_time < time:
            low = int(key) + 1
        else:
            high = middle
    return int(low)


def _buyer_key(market: Market, buyer_id: str) -> int:
    buyer = market.buyers.get(buyer_id)
    return buyer.key if buyer else 0


def _lead_view(cursor: Any, market: Market, lead: Any, *, with_events: bool) -> LeadView:
    lead_key, lead_id, generator_key, request_id, accept_time = lead
    held = _receipts(cursor, lead_key)
    told = _events(cursor, market, lead_id, lead_key) if with_events else {}
    return LeadView(
        lead_id,
        request_id,
        market.generator_of(generator_key).generator_id,
        accept_time,
        lead_key,
        [
            _delivery_view(market, lead, row, held, told)
            for row in _DELIVERIES.all(cursor, lead=lead_key)
        ],
    )


def _delivery_view(
    market: Market,
    lead: Any,
    delivery: Any,
    held: dict[int, list[bytes]],
    told: dict[str, list[EventView]] | None = None,
) -> DeliveryView:
    lead_key, lead_id, generator_key, _, accept_time = lead
    buyer_key, state, reason, attempt, due_time, update_time, _ = delivery
    buyer_id = market.buyer_of(buyer_key).buyer_id
    return DeliveryView(
        lead_id,
        buyer_id,
        market.generator_of(generator_key).generator_id,
        State(state),
        reason or "",
        attempt,
        accept_time,
        due_time,
        update_time,
        held.get(buyer_key, ()),
        (lead_key, buyer_key),
        (told or {}).get(buyer_id, ()),
    )


def _receipts(cursor: Any, lead_key: int) -> dict[int, list[bytes]]:
    held: dict[int, list[bytes]] = {}
    for buyer_key, receipt in _RECEIPTS.all(cursor, lead=lead_key):
        held.setdefault(buyer_key, []).append(receipt)
    return held


def _events(
    cursor: Any, market: Market, lead_id: bytes, lead_key: int
) -> dict[str, list[EventView]]:
    told: dict[str, list[EventView]] = {}
    for row in _EVENTS.all(cursor, lead=lead_key):
        for view in _event_views(cursor, market, lead_id, lead_key, row):
            told.setdefault(view.buyer_id, []).append(view)
    return told


def _event_views(
    cursor: Any, market: Market, lead_id: bytes, lead_key: int, row: Any
) -> Iterable[EventView]:
    """One event; of the row that stands for a submission, one for each delivery."""
    event_key, buyer_key, kind, state, attempt, time, reason, *rest = row
    if buyer_key is not None:
        buyer_id = market.buyer_of(buyer_key).buyer_id
        place = Place(event_key, 0)
        yield EventView(
            place,
            lead_id,
            buyer_id,
            EventKind(kind),
            State(state),
            attempt,
            time,
            reason or "",
            *rest,
        )
        return
    for part, (key, now_in, why, *_, held) in enumerate(_DELIVERIES.all(cursor, lead=lead_key)):
        first = began(State(now_in), held=held is not None)
        refused = first is State.REJECTED
        yield EventView(
            Place(event_key, part),
            lead_id,
            market.buyer_of(key).buyer_id,
            EventKind.REJECTED if refused else EventKind.ACCEPTED,
            first,
            1,
            time,
            why if refused else "",
        )
