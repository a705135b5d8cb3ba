"""Calling captureCDR() on a page, from a test."""

from __future__ import annotations

from typing import Any

from playwright.async_api import ConsoleMessage, Error, Page

_CALL = """async ([options]) => {
  try { return { result: await window.ExpressConsent.captureCDR(options) }; }
  catch (error) { return { error: {
    name: error.name, code: error.code, message: error.message, retrying: error.retrying,
    status: error.status, requestId: error.requestId, ours:
      error instanceof window.ExpressConsent.CaptureError && error instanceof Error } }; }
}"""


async def capture(tab: Page, **options: Any) -> dict[str, Any]:
    """The result of a call that must succeed."""
    outcome = await tab.evaluate(_CALL, [options])
    assert "result" in outcome, outcome["error"]
    result: dict[str, Any] = outcome["result"]
    return result


async def failure(tab: Page, **options: Any) -> dict[str, Any]:
    """The facts of the error of a call that must fail."""
    outcome = await tab.evaluate(_CALL, [options])
    assert "error" in outcome, outcome
    error: dict[str, Any] = outcome["error"]
    assert error.pop("ours"), "every error is a CaptureError"
    return error


def said(tab: Page) -> list[str]:
    """What the page writes to the console and throws from now on: `type: text`."""
    lines: list[str] = []

    def wrote(message: ConsoleMessage) -> None:
        lines.append(f"{message.type}: {message.text}")

    def threw(error: Error) -> None:
        lines.append(f"uncaught: {error}")

    tab.on("console", wrote)
    tab.on("pageerror", threw)
    return lines


async def waiting(tab: Page) -> int:
    """How many captures this browser keeps for the page's origin."""
    count: int = await tab.evaluate(
        """() => new Promise((resolve, reject) => {
          const open = indexedDB.open("expressconsent", 1);
          open.onupgradeneeded = () =>
            open.result.createObjectStore("captures", { keyPath: "captureId" });
          open.onerror = () => reject(open.error);
          open.onsuccess = () => {
            const count = open.result.transaction("captures").objectStore("captures").count();
            count.onsuccess = () => { open.result.close(); resolve(count.result); };
          };
        })"""
    )
    return count


async def wait_until_waiting(tab: Page, count: int) -> None:
    """Waits until this browser keeps so many captures."""
    for _ in range(200):
        if await waiting(tab) == count:
            return
        await tab.evaluate("() => new Promise(requestAnimationFrame)")
    assert await waiting(tab) == count
