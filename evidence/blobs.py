"""Blobs: uploads, pictures and reports, in a folder or in an S3-compatible store.

A key says nothing about what it holds: it is made of hashes, so no id can lead out of
the folder, and the same content of the same CDR has the same key. So to put a blob
twice is harmless, and what was put for a commit that failed is found by its repeat.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import zlib
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, S3Store

from leadgate.process import ExitCode, Refusal

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w./-]*))?")


class BlobMissing(Exception):
    """The store has no blob under this key."""


class BlobStoreError(Refusal):
    """The blob store cannot be used as it is set."""

    exit_code = ExitCode.SETTINGS


class Blobs(Protocol):
    """Where blobs are kept."""

    async def put(self, key: str, content: bytes) -> None:
        """Keeps a blob; it is durable when this returns."""
        ...

    async def get(self, key: str) -> bytes:
        """The whole blob; raises `BlobMissing`."""
        ...

    async def delete(self, key: str) -> None:
        """Forgets a blob; none there is no error."""
        ...


def key_for(owner: str, name: str, sha256: bytes) -> str:
    """The key of an artifact: 256 folders, no character that means something to a path.

    `owner` is whatever tells CDRs apart, `name` the artifact's, `sha256` the content's.
    """
    whose = hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()
    return f"{whose[:2]}/{whose[2:34]}-{name}-{sha256.hex()[:16]}"


def content_of(blob: bytes, encoding: str) -> bytes:
    """The content of a blob of ours; `encoding` is `gzip` or nothing."""
    return zlib.decompress(blob, 31) if encoding == "gzip" else blob


class FolderBlobs:
    """Blobs as files. Written beside their place, moved there, and synced to disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = LocalStore(folder)

    async def put(self, key: str, content: bytes) -> None:
        """Keeps a blob; after a power loss it is there whole."""
        await asyncio.to_thread(self._put, key, content)

    async def get(self, key: str) -> bytes:
        """The whole blob; raises `BlobMissing`."""
        return await _get(self._store, key)

    async def delete(self, key: str) -> None:
        """Forgets a blob."""
        await _delete(self._store, key)

    def _put(self, key: str, content: bytes) -> None:
        file = self._folder / key
        fresh = not file.parent.exists()
        obstore.put(self._store, key, content)
        # The store moves the file into place, and leaves the syncing to the system.
        _sync(file)
        _sync(file.parent)
        if fresh:
            _sync(self._folder)


class S3Blobs:
    """Blobs in a bucket; what it has acknowledged is durable.

    Credentials, region and endpoint come from the environment (`AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`).
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._store = S3Store(bucket, prefix=prefix or None)

    async def put(self, key: str, content: bytes) -> None:
        """Keeps a blob."""
        await obstore.put_async(self._store, key, content)

    async def get(self, key: str) -> bytes:
        """The whole blob; raises `BlobMissing`."""
        return await _get(self._store, key)

    async def delete(self, key: str) -> None:
        """Forgets a blob."""
        await _delete(self._store, key)


def blobs_at(place: str) -> Blobs:
    """Opens `s3://bucket[/prefix]`, or else a folder. Raises `BlobStoreError`."""
    if not place.startswith("s3://"):
        try:
            return FolderBlobs(Path(place))
        except OSError as error:
            raise BlobStoreError(f"{place}: {error.strerror}") from None
    match = _S3.fullmatch(place)
    if match is None:
        raise BlobStoreError("the blob store must be a folder or s3://bucket[/prefix]")
    return S3Blobs(match["bucket"], (match["prefix"] or "").strip("/"))


async def _get(store: LocalStore | S3Store, key: str) -> bytes:
    try:
        found = await obstore.get_async(store, key)
    except (NotFoundError, FileNotFoundError):
        raise BlobMissing from None
    return bytes(await found.bytes_async())


async def _delete(store: LocalStore | S3Store, key: str) -> None:
    try:
        await obstore.delete_async(store, key)
    except (NotFoundError, FileNotFoundError):
        return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
