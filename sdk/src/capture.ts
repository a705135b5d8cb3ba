// captureCDR(): snapshot, keep, upload, in this order.
import type { CaptureOptions, CaptureResult } from "../sdk";
import { inlineAssets } from "./assets";
import { budgetMs, UNKNOWN_MS } from "./budget";
import { encoded, envelope, type Envelope } from "./envelope";
import { CaptureError } from "./errors";
import { alone } from "./locks";
import { check } from "./options";
import { failed, retryLater } from "./retries";
import type { Client } from "./script";
import { forget, keep } from "./store";
import { upload, type Parcel } from "./upload";

const STORE_MOST_MS = 1_000;

/** How one call stands. */
interface Call {
  client: Client;
  /** Rejects the caller's promise that long after the call began. */
  expireAt(ms: number): void;
  /** Whether the capture is in this browser's store. */
  kept: boolean;
}

/** See `sdk.d.ts`. The snapshot is taken before this returns its promise. */
export async function captureCDR(client: Client | null, options?: CaptureOptions): Promise<CaptureResult> {
  if (!client) throw new CaptureError("NOT_LOADED", "the script tag needs a src and data-ec-cid");
  const wanted = check(options);
  const capture = envelope(client.cid, wanted);
  return limited(client, wanted.timeoutMs, (call) => delivered(call, capture));
}

/** Runs `work` for as long as the caller waits; beyond it goes on by itself. */
function limited(
  client: Client,
  timeoutMs: number | null,
  work: (call: Call) => Promise<CaptureResult>,
): Promise<CaptureResult> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout>;
    const fail = (error: CaptureError): void => {
      error.retrying = call.kept && (error.retriable || error.code === "TIMEOUT");
      if (error.retrying) retryLater(client);
      reject(error);
    };
    const expireAt = (ms: number): void => {
      clearTimeout(timer);
      const late = (): void => fail(new CaptureError("TIMEOUT", `no answer within ${ms} ms`));
      timer = setTimeout(late, Math.max(0, began + ms - performance.now()));
    };
    const call: Call = { client, kept: false, expireAt: timeoutMs === null ? expireAt : () => undefined };
    expireAt(timeoutMs ?? UNKNOWN_MS);
    work(call).then(resolve, (error: unknown) => fail(asCaptureError(error))).finally(() => clearTimeout(timer));
  });
}

async function delivered(call: Call, capture: Envelope): Promise<CaptureResult> {
  if (capture.inlineAssets) await inlineAssets(capture.snapshot);
  const { captureId, cid, captureTime: createdAt } = capture;
  const packed = await encoded(capture);
  call.expireAt(budgetMs(packed.body.byteLength));
  const { endpoint } = call.client;
  const parcel: Parcel = { captureId, cid, endpoint, ...packed, createdAt, attempts: 0, nextAt: 0 };
  // The lock tells other pages that this upload is under way; it ends with this page.
  const work = (): Promise<CaptureResult> => keptAndUploaded(call, parcel);
  return (await alone(captureId, work)) ?? work();
}

async function keptAndUploaded(call: Call, parcel: Parcel): Promise<CaptureResult> {
  const stored = keep(parcel).then(
    () => (call.kept = true),
    () => false,
  );
  await atMost(STORE_MOST_MS, stored);
  /** Tells the store what became of the upload, however late the store is. */
  const settle = (change: () => Promise<void>): Promise<unknown> =>
    stored.then((kept) => (kept ? change() : undefined)).catch(() => undefined);
  try {
    const result = await upload(parcel, false);
    // The caller's next step is to leave the page: let the next one find nothing to repeat.
    await atMost(STORE_MOST_MS, settle(() => forget(parcel.captureId)));
    return result;
  } catch (error) {
    const refusal = asCaptureError(error);
    const change = (): Promise<void> => (refusal.retriable ? keep(failed(parcel, refusal)) : forget(parcel.captureId));
    await atMost(STORE_MOST_MS, settle(change));
    throw refusal;
  }
}

function atMost(ms: number, work: Promise<unknown>): Promise<unknown> {
  return Promise.race([work, new Promise((resolve) => setTimeout(resolve, ms))]);
}

function asCaptureError(error: unknown): CaptureError {
  if (error instanceof CaptureError) return error;
  return new CaptureError("SNAPSHOT_FAILED", `the capture failed: ${(error as Error)?.name}`);
}
