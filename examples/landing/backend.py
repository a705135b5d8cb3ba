"""The back end of the landing page: serves its pages, and submits each lead once, for both buyers.

    LANDING_API_KEY=… LANDING_EVIDENCE_URL=… LANDING_CLIENT_ID=… python examples/landing/backend.py

The page captures the evidence and has it shared, once for each buyer. A lead's `uid` is made
by the page and is its request id here, so the page may send the same lead until it is answered.
Nothing is stored: an answer of 200 means that the gateway has the lead on disk.
"""

from __future__ import annotations

import asyncio
import html
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Annotated, Literal
from uuid import UUID

import grpc
import structlog
import uvicorn
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_settings import SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from leadgate import logs
from leadgate.process import run
from leadgate.settings import Settings, load
from leadgate.v1.delivery_pb2 import DeliveryState
from leadgate.v1.lead_pb2 import Cdr, Contact, Lead, PostalAddress, Recipient, Share
from leadgate.v1.lead_service_pb2 import GetLeadRequest, SubmitLeadRequest
from leadgate.v1.lead_service_pb2_grpc import LeadServiceStub

log = structlog.get_logger("landing")

PAGES = Path(__file__).parent / "pages"
REGION = "US"  # whose national phone numbers the form takes
POLICY = (
    "default-src 'none'; script-src 'self' {0}; connect-src 'self' {0}; style-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_BODY_BYTES = 32 * 1024
_CALL_SECONDS = 10.0

Offer = Literal["solar", "roofing"]
Endpoint = Callable[[Request], Awaitable[Response]]
_Text = Annotated[str, Field(max_length=254)]


class LandingSettings(Settings):
    """What the back end reads from its environment."""

    model_config = SettingsConfigDict(env_prefix="LANDING_")

    listen: str = Field("127.0.0.1:8090", pattern=r"^[\w.-]+:\d{1,5}$")
    """Where the page is served, `host:port`; port 0 takes a free one and logs it."""

    evidence_url: str = Field(pattern=r"^https?://[\w.:-]+$")
    """The evidence service, as browsers reach it: it serves the SDK."""

    client_id: str = Field(pattern=r"^[\w.:-]{1,128}$")
    """Client id at the evidence service, of the org that shares the evidence."""

    gateway: str = "127.0.0.1:50051"
    """The gateway, `host:port`."""

    api_key: SecretStr
    """The generator's key at the gateway, `<key_id>.<secret>`."""

    solar_buyer: str = "buyer-one"
    """Who gets the leads of the first offer. The page never learns it."""

    roofing_buyer: str = "buyer-two"
    """Who gets the leads of the second offer."""

    @property
    def buyers(self) -> dict[Offer, str]:
        """The buyer of each offer."""
        return {"solar": self.solar_buyer, "roofing": self.roofing_buyer}


class Said(BaseModel):
    """Something the page sends, in camelCase; unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True
    )


class Person(Said):
    """What the person told about themselves."""

    first_name: _Text
    last_name: _Text
    email: _Text
    phone: _Text


class Evidence(Said):
    """The answer of `captureCDR()`, as far as a lead needs it."""

    cdr_id: str = Field(min_length=1, max_length=128)
    package_id: str = Field(max_length=128)
    share_url: str = Field(min_length=1, max_length=2048)
    share_expires_at: int = Field(gt=0, lt=2**53)
    """Unix milliseconds."""


class Consent(Said):
    """An offer the person agreed to; without evidence where the capture comes later."""

    offer: Offer
    evidence: Evidence | None = None


class Form(Said):
    """One filled-in form: both steps."""

    uid: UUID
    contact: Person
    homeowner: Literal["yes", "no"]
    consents: tuple[Consent, ...] = Field(min_length=1, max_length=2)


def submission(form: Form, buyers: dict[Offer, str]) -> SubmitLeadRequest:
    """The lead of a form, for each buyer the person agreed to with that buyer's own evidence."""
    person = form.contact
    return SubmitLeadRequest(
        request_id=str(form.uid),
        lead=Lead(
            contact=Contact(
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                phone=person.phone,
                address=PostalAddress(region_code=REGION),
            ),
            attributes={"homeowner": form.homeowner},
        ),
        cdrs=[_cdr(said.offer, said.evidence) for said in form.consents if said.evidence],
        recipients=[
            Recipient(
                buyer_id=buyers[consent.offer],
                shares=[_share(consent.evidence)] if consent.evidence else [],
                attribute_keys=["*"],
            )
            for consent in form.consents
        ],
    )


def _cdr(offer: Offer, evidence: Evidence) -> Cdr:
    # Without `custom_json` a buyer compares the lead with what the evidence service has.
    return Cdr(cdr_id=evidence.cdr_id, package_id=evidence.package_id, sub_group_ids=[offer])


def _share(evidence: Evidence) -> Share:
    share = Share(cdr_id=evidence.cdr_id, share_url=evidence.share_url)
    share.share_expire_time.FromMilliseconds(evidence.share_expires_at)
    return share


class Landing:
    """The page's web application, over one stub of the gateway."""

    def __init__(self, settings: LandingSettings, leads: LeadServiceStub) -> None:
        self._settings = settings
        self._leads = leads
        self._metadata = (("x-api-key", settings.api_key.get_secret_value()),)

    @property
    def app(self) -> Starlette:
        """Pages, their two files, and the two calls they make."""
        return Starlette(
            routes=[
                Route("/", self.page("solar.html")),
                Route("/roofing", self.page("roofing.html")),
                Route("/thanks", self.page("thanks.html")),
                Route("/style.css", _file("style.css")),
                Route("/form.js", _file("form.js")),
                Route("/leads", self.submit, methods=["POST"]),
                Route("/leads/{lead_id}", self.follow),
            ]
        )

    def page(self, name: str) -> Endpoint:
        """Serves a page with the SDK's tag in it."""
        evidence = self._settings.evidence_url
        text = Template((PAGES / name).read_text(encoding="utf-8")).substitute(
            evidence_url=html.escape(evidence), client_id=html.escape(self._settings.client_id)
        )
        headers = {"Content-Security-Policy": POLICY.format(evidence), "Cache-Control": "no-cache"}

        async def serve(_: Request) -> Response:
            return HTMLResponse(text, headers=headers)

        return serve

    async def submit(self, request: Request) -> Response:
        """Takes a form. 200 `{leadId}`, 422 with the wrong fields, 503 to be sent again."""
        try:
            form = Form.model_validate_json(await _body(request))
            answer = await self._leads.SubmitLead(
                submission(form, self._settings.buyers),
                metadata=self._metadata,
                timeout=_CALL_SECONDS,
            )
        except (ValidationError, TooLarge):
            return JSONResponse({"error": "INVALID_FORM", "fields": []}, 422)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        log.info("submitted", lead_id=answer.lead_id, recipients=len(answer.deliveries))
        return JSONResponse({"leadId": answer.lead_id})

    async def follow(self, request: Request) -> Response:
        """Where a lead stands, for the browser that sent it: each offer's state."""
        wanted = GetLeadRequest(lead_id=request.path_params["lead_id"])
        try:
            answer = await self._leads.GetLead(
                wanted, metadata=self._metadata, timeout=_CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        offers = {buyer: offer for offer, buyer in self._settings.buyers.items()}
        deliveries = [
            {"offer": offers.get(delivery.buyer_id, ""), "state": _state(delivery.state)}
            for delivery in answer.lead.deliveries
        ]
        return JSONResponse({"deliveries": deliveries})


class TooLarge(Exception):
    """A form that is larger than any form is."""


async def _body(request: Request) -> bytes:
    """The request's body; raises `TooLarge` before more than that is held."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise TooLarge
    return body


def _refused(error: grpc.aio.AioRpcError) -> Response:
    """The gateway's refusal as an HTTP answer: what to correct, or to try again."""
    log.warning("refused", code=error.code().name)
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return JSONResponse({"error": "INVALID_FORM", "fields": _wrong_fields(error)}, 422)
    if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS):
        return JSONResponse({"error": error.code().name}, 409)
    return JSONResponse({"error": "TRY_AGAIN"}, 503, {"Retry-After": "2"})


def _wrong_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """Names of the form's fields that the gateway does not take: `phone`, `firstName`."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    bad = BadRequest()
    for detail in Status.FromString(bytes(details)).details:
        detail.Unpack(bad)
    names = [wrong.field.rpartition("lead.contact.")[2] for wrong in bad.field_violations]
    return [to_camel(name) for name in names]


def _state(state: DeliveryState) -> str:
    return DeliveryState.Name(state).removeprefix("DELIVERY_STATE_")


def _file(name: str) -> Endpoint:
    async def serve(_: Request) -> Response:
        return FileResponse(PAGES / name, headers={"Cache-Control": "no-cache"})

    return serve


async def main(stop: asyncio.Event) -> None:
    """Serves until `stop`, then finishes the requests in hand."""
    settings = load(LandingSettings)
    host, _, port = settings.listen.rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        async with grpc.aio.insecure_channel(settings.gateway) as channel:
            app = Landing(settings, LeadServiceStub(channel)).app
            server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(sockets=[listener]))
                address = "{}:{}".format(*listener.getsockname()[:2])
                log.info("listening", url=f"http://{address}/")
                await stop.wait()
                server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server under our own stop event."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


if __name__ == "__main__":
    logs.configure("landing")
    sys.exit(run(main))
