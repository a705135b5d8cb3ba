// Captures whose upload failed: tried again on later page loads, and while the page stays.
import { CaptureError } from "./errors";
import { alone } from "./locks";
import type { Client } from "./script";
import { find, forget, keep, waiting } from "./store";
import { upload, type Parcel } from "./upload";

/** Wait after the n-th failure: the next page load tries the first one at once. */
const WAITS_MS = [0, 30_000, 120_000, 600_000, 3_600_000, 21_600_000];
/** The least a page waits by itself. */
const TIMER_LEAST_MS = 30_000;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Starts with the page: tries what waits, and again when the browser comes online. */
export function startRetries(client: Client | null): void {
  const begin = (): void => void retry(client);
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin, { once: true });
  else begin();
  addEventListener("online", () => void retry(client, true));
  // A page that comes back from the browser's cache does not load again.
  addEventListener("pageshow", ({ persisted }) => void (persisted && retry(client)));
}

/** Looks again later, if this page is still there. */
export function retryLater(client: Client | null, inMs = TIMER_LEAST_MS): void {
  clearTimeout(timer);
  timer = setTimeout(() => void retry(client), Math.max(TIMER_LEAST_MS, inMs));
}

/** The same capture after one more failure: counted, and when it is due again. */
export function failed(parcel: Parcel, error: CaptureError): Parcel {
  const attempts = parcel.attempts + 1;
  const wait = WAITS_MS[Math.min(attempts, WAITS_MS.length) - 1]!;
  // Spread out: pages that failed together shall not come back together.
  const spread = wait * (0.8 + Math.random() * 0.4);
  return { ...parcel, attempts, nextAt: Date.now() + Math.max(spread, error.retryAfterMs) };
}

/** One round, oldest first; `hurry` skips the waits. Never throws: nobody waits for it. */
async function retry(client: Client | null, hurry = false): Promise<void> {
  try {
    await alone("retries", async () => {
      for (const parcel of await waiting()) {
        if (!hurry && parcel.nextAt > Date.now()) continue;
        if (!(await tried(parcel, client))) break;
      }
    });
    const [next] = (await waiting()).map(({ nextAt }) => nextAt).sort((a, b) => a - b);
    if (next !== undefined) retryLater(client, next - Date.now());
  } catch {
    // Storage is refused: nothing waits.
  }
}

/** Tries one capture; false if the service cannot be reached, so others need not be tried. */
async function tried(listed: Parcel, client: Client | null): Promise<boolean> {
  const reached = await alone(listed.captureId, async () => {
    const parcel = await find(listed.captureId); // another tab may have been faster
    if (!parcel) return true;
    // The service may have moved since.
    const endpoint = client?.cid === parcel.cid ? client.endpoint : parcel.endpoint;
    try {
      await upload({ ...parcel, endpoint }, true);
    } catch (error) {
      if (error instanceof CaptureError && error.retriable) {
        await keep(failed(parcel, error));
        return error.status !== undefined && error.status < 500 && error.status !== 429;
      }
    }
    await forget(parcel.captureId);
    return true;
  });
  return reached ?? true;
}
