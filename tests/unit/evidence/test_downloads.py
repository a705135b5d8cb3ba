"""Signed links: good for one artifact, one org and a short time."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from evidence.downloads import SHORT_MS, Download, Downloads
from evidence.errors import NotFound
from tests.builders_evidence import PUBLIC_URL, ATime


@pytest.fixture
def clock() -> ATime:
    """A clock that stands still."""
    return ATime()


@pytest.fixture
def downloads(clock: ATime) -> Downloads:
    """Links under one key."""
    return Downloads(bytes(32), PUBLIC_URL, clock)


def test_a_link_is_good_until_it_ends(downloads: Downloads, clock: ATime) -> None:
    """To the last millisecond, however often."""
    query = query_of(downloads.url(7, "cdr_1", "image"))
    clock.now_ms += SHORT_MS - 1
    assert downloads.check("cdr_1", "image", query) == Download(7, "cdr_1", "image")
    clock.now_ms += 1
    with pytest.raises(NotFound):
        downloads.check("cdr_1", "image", query)


@pytest.mark.parametrize(
    "change",
    [
        {"org": "8"},
        {"org": "07"},
        {"org": "-7"},
        {"expires": "9999999999999"},
        {"expires": "9" * 5000},
        {"signature": ""},
        {"signature": "x" * 43},
        {"signature": "\ud800"},
    ],
)
def test_nothing_of_a_link_can_be_changed(downloads: Downloads, change: dict[str, str]) -> None:
    """Not whose it is, not its end, not its signature."""
    query = query_of(downloads.url(7, "cdr_1", "image"))
    with pytest.raises(NotFound):
        downloads.check("cdr_1", "image", query | change)


@pytest.mark.parametrize("field", ["org", "expires", "signature"])
def test_nothing_of_a_link_can_be_left_out(downloads: Downloads, field: str) -> None:
    """A missing part is no part."""
    query = query_of(downloads.url(7, "cdr_1", "image"))
    del query[field]
    with pytest.raises(NotFound):
        downloads.check("cdr_1", "image", query)


def test_a_signature_is_good_for_its_own_path_alone(downloads: Downloads) -> None:
    """Not for another CDR or artifact, and not where the two are cut otherwise."""
    query = query_of(downloads.url(7, "cdr_1", "image"))
    for cdr_id, artifact in (("cdr_2", "image"), ("cdr_1", "report"), ("cdr_1i", "mage")):
        with pytest.raises(NotFound):
            downloads.check(cdr_id, artifact, query)


def test_another_services_links_are_not_ours(downloads: Downloads, clock: ATime) -> None:
    """The key decides."""
    other = Downloads(bytes(31) + b"1", PUBLIC_URL, clock)
    with pytest.raises(NotFound):
        downloads.check("cdr_1", "image", query_of(other.url(7, "cdr_1", "image")))


def query_of(url: str) -> dict[str, str]:
    """The query of a link."""
    return dict(parse_qsl(urlsplit(url).query))
