"""The page to look at: people sign in with an API key, and read CDRs in a browser.

Nothing that was captured runs here: a page of an org's form is shown as an image, and
what it said as escaped text. There are no scripts, and the policy of every answer
allows none. A sign-in lives in a cookie that no script reads and no other site sends;
forms are taken from our own pages only.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evidence import sign_ins
from evidence.access import State
from evidence.callers import Callers, Org
from evidence.commands import CdrView, GetCdr, Ledger, ListDomains
from evidence.custody import GetCustody
from evidence.dossier import dossier, minute
from evidence.errors import EvidenceError, Forbidden, InvalidArgument, NotFound, Unauthenticated
from evidence.http.body import read
from evidence.http.downloads import Shelf
from evidence.lists import ListCdrs, Search
from evidence.manifest import IMAGE, REPORT
from evidence.metadata import as_text
from evidence.packages import GetPackage
from evidence.peers import Peers, neighbourhood
from evidence.rates import Rate
from evidence.report import TEMPLATES, templates
from evidence.sign_ins import LASTS_MS, AddSignIn, EndSignIn, GetSignIn
from leadgate.keys import parse

PREFIX = "/app"
_FORM_BYTES = 4096
_COOKIE = "leadgate_evidence"
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HEADINGS = {400: "That cannot be read", 403: "Not allowed", 404: "Not found", 410: "Invalidated"}


@dataclass(frozen=True, slots=True)
class Row:
    """A CDR in a list."""

    cdr_id: str
    label: str
    domain: str
    received: str
    state: str
    image_state: str
    agreed: bool | None

    @classmethod
    def of(cls, view: CdrView) -> Row:
        """The row of a CDR; its label is what the metadata begins with."""
        first = [as_text(value) for value in list(view.cdr.custom.values())[:3]]
        agreed = [one["agreed"] for one in view.cdr.disclosures]
        return cls(
            view.cdr.cdr_id,
            " · ".join(first)[:200],
            view.domain,
            minute(view.create_ms),
            view.state,
            view.image_state,
            all(agreed) if agreed else None,
        )


Page = Callable[["Pages", Request, Org], Awaitable[Response]]
AnyPages = TypeVar("AnyPages", bound="Pages")


def _signed_in(page: Page) -> Callable[[Pages, Request], Awaitable[Response]]:
    """Shows a page to who is signed in, and the way to sign in to everybody else."""

    @functools.wraps(page)
    async def guarded(self: Pages, request: Request) -> Response:
        org = await self.who(request)
        if org is None:
            return RedirectResponse(f"{self.base}/sign-in", 303, _HEADERS)
        try:
            return await page(self, request, org)
        except EvidenceError as refusal:
            return self.problem(refusal, org)

    # The framework reads a handler's parameters from the function that it wraps.
    del guarded.__wrapped__
    return guarded


class Pages:
    """The pages, over a ledger, the callers and the shelf of artifacts."""

    def __init__(
        self,
        ledger: Ledger,
        callers: Callers,
        shelf: Shelf,
        public_url: str,
        peers: Peers,
        attempts: Rate,
    ) -> None:
        self._ledger = ledger
        self._callers = callers
        self._shelf = shelf
        self._peers = peers
        self._attempts = attempts
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._secure = parts.scheme == "https"
        self.base = parts.path.rstrip("/") + PREFIX
        self._style = (TEMPLATES / "style.css").read_bytes()
        self._style_version = hashlib.sha256(self._style).hexdigest()[:12]

    async def who(self, request: Request) -> Org | None:
        """The org whose person asks, if one has signed in."""
        digest = sign_ins.digest(request.cookies.get(_COOKIE, ""))
        return None if digest is None else await self._ledger.read(GetSignIn(digest))

    async def style(self, _: Request) -> Response:
        """The style sheet; its address changes with it."""
        headers = _HEADERS | {"cache-control": "public, max-age=86400"}
        return Response(self._style, headers=headers, media_type="text/css")

    async def sign_in(self, request: Request) -> Response:
        """The form that takes an API key."""
        return self._shown("sign_in.html", None)

    async def take_key(self, request: Request) -> Response:
        """Exchanges an API key for a cookie."""
        try:
            self._check_origin(request)
            self._attempts.admit(neighbourhood(self._address(request)))
            key = (await _form(request)).get("key", "").strip()
            org = self._callers.org(key)
        except Unauthenticated:
            return self._shown("sign_in.html", None, status=401, problem="This key is not valid.")
        except EvidenceError as refusal:
            return self._shown("sign_in.html", None, refusal.status, problem=refusal.message)
        parsed = parse(key)
        token = sign_ins.mint()
        digest = sign_ins.digest(token)
        if parsed is None or digest is None:
            raise Unauthenticated
        await self._ledger.write(AddSignIn(digest, org.number, parsed.key_id))
        answer = RedirectResponse(self.base, 303, _HEADERS)
        self._set_cookie(answer, token, LASTS_MS // 1000)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Ends the sign-in, here and in the ledger."""
        try:
            self._check_origin(request)
        except Forbidden as refusal:
            return self.problem(refusal, None)
        digest = sign_ins.digest(request.cookies.get(_COOKIE, ""))
        if digest is not None:
            await self._ledger.write(EndSignIn(digest))
        answer = RedirectResponse(f"{self.base}/sign-in", 303, _HEADERS)
        self._set_cookie(answer, "", 0)
        return answer

    @_signed_in
    async def records(self, request: Request, org: Org) -> Response:
        """What the org has of a domain, found by metadata or page by page."""
        query = request.query_params
        domain, key = query.get("domain", "").strip(), query.get("key", "").strip()
        value, after = query.get("value", ""), query.get("after")
        owned = [one.name for one in await self._ledger.read(ListDomains(org.number))]
        domain = domain or (owned[0] if owned else "")
        found: Iterable[CdrView] = ()
        next_page = None
        if domain:
            search = Search(key, value or None) if key else None
            found, next_after = await self._found(org, domain, search, after)
            if next_after:
                again = {"domain": domain, "key": key, "value": value, "after": next_after}
                next_page = f"{self.base}?{urlencode(again)}"
        return self._shown(
            "list.html",
            org,
            domain=domain,
            key=key,
            value=value,
            domains=owned,
            found=[Row.of(view) for view in found],
            next_page=next_page,
        )

    async def _found(
        self, org: Org, domain: str, search: Search | None, after: str | None
    ) -> tuple[Iterable[CdrView], str | None]:
        wanted = ListCdrs(org.number, domain, 25, after=after, search=search)
        try:
            page = await self._ledger.read(wanted)
        except NotFound:
            return [], None
        return page.cdrs, page.next_after

    @_signed_in
    async def package(self, request: Request, org: Org) -> Response:
        """A package: what the org has of it."""
        wanted = GetPackage(org.number, request.path_params["package_id"])
        package = await self._ledger.read(wanted)
        rows = [Row.of(view) for view in package.cdrs]
        return self._shown("package.html", org, package=package, found=rows)

    @_signed_in
    async def cdr(self, request: Request, org: Org) -> Response:
        """One CDR: image, facts with their sources, disclosures, custody, downloads."""
        cdr_id = request.path_params["cdr_id"]
        view = await self._ledger.read(GetCdr(org.number, cdr_id))
        custody = await self._ledger.read(GetCustody(org.number, cdr_id))
        access = view.state is State.COLLECTED
        here = f"{self.base}/cdrs/{quote(cdr_id, safe='')}"
        ready = {IMAGE: view.image_state, REPORT: view.report_state}
        downloads = [
            (name, f"{here}/{name}") for name, state in ready.items() if access and state == "ready"
        ]
        return self._shown(
            "cdr.html",
            org,
            dossier=dossier(view, custody, personal=True),
            access=access,
            image=f"{here}/{IMAGE}",
            downloads=downloads,
        )

    @_signed_in
    async def artifact(self, request: Request, org: Org) -> Response:
        """The image or the report, to who is signed in."""
        parts = request.path_params
        return await self._shelf.hand(org.number, parts["cdr_id"], parts["artifact"])

    def problem(self, refusal: EvidenceError, org: Org | None) -> Response:
        """A refusal as a page."""
        heading = _HEADINGS.get(refusal.status, "That did not work")
        sentence = refusal.message if refusal.status != NotFound.status else _UNSEEN
        return self._shown("problem.html", org, refusal.status, heading=heading, sentence=sentence)

    def _shown(self, name: str, org: Org | None, status: int = 200, **values: Any) -> Response:
        given = {"problem": "", **values}
        text = (
            templates()
            .get_template(name)
            .render(
                base=self.base,
                org=org.org_id if org else "",
                style_version=self._style_version,
                **given,
            )
        )
        # A lone surrogate in somebody's metadata is no reason not to show the rest.
        body = text.encode(errors="replace")
        return Response(body, status, _HEADERS, media_type="text/html; charset=utf-8")

    def _check_origin(self, request: Request) -> None:
        """Takes forms of our own pages only: a browser says where a form came from."""
        origin = request.headers.get("origin")
        same_site = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        # Under `no-referrer` a browser says `null` for our own form; then it says the site too.
        ours = origin in {None, "null", self._origin}
        told = origin is not None and origin != "null"
        if not (ours and same_site and (told or "sec-fetch-site" in request.headers)):
            raise Forbidden("send this form from its own page")

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client else ""
        return self._peers.client(peer, request.headers.getlist("x-forwarded-for"))

    def _set_cookie(self, answer: Response, token: str, seconds: int) -> None:
        answer.set_cookie(
            _COOKIE,
            token,
            max_age=seconds,
            path=self.base,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )


_UNSEEN = "There is no such record, or your organisation has no part in it."


def add_routes(app: FastAPI, pages: Pages) -> None:
    """Adds the pages; none of them is part of the API's description."""
    gets = {
        PREFIX: pages.records,
        f"{PREFIX}/style.css": pages.style,
        f"{PREFIX}/sign-in": pages.sign_in,
        f"{PREFIX}/packages/{{package_id}}": pages.package,
        f"{PREFIX}/cdrs/{{cdr_id}}": pages.cdr,
        f"{PREFIX}/cdrs/{{cdr_id}}/{{artifact}}": pages.artifact,
    }
    for path, page in gets.items():
        app.get(path, include_in_schema=False)(page)
    app.post(f"{PREFIX}/sign-in", include_in_schema=False)(pages.take_key)
    app.post(f"{PREFIX}/sign-out", include_in_schema=False)(pages.sign_out)


async def _form(request: Request) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0] != _FORM_TYPE:
        raise InvalidArgument("send the form of this page")
    body = await read(request, _FORM_BYTES)
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except ValueError:
        raise InvalidArgument("the form cannot be read") from None
    return {name: values[0] for name, values in fields.items()}


_FORM_TYPE = "application/x-www-form-urlencoded"
