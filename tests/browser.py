"""A real Chromium for tests: `async with chromium() as browser`."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests import needs

FLAGS = (
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing is fetched but what the test serves.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """The path of the system's Chromium; without it the test ends here."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return needs.missing("Chromium is not installed (Debian: `apt-get install chromium`)")


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """Starts a headless Chromium on a new, empty profile, and closes it."""
    path = executable()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, headless=True, args=[*FLAGS, *flags]
        )
        try:
            yield browser
        finally:
            await browser.close()
