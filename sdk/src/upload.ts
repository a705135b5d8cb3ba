// One attempt to upload one capture, and what its answer means.
import type { CaptureErrorCode, CaptureResult } from "../sdk";
import { CaptureError } from "./errors";

/** A capture on its way, as it is kept. */
export interface Parcel {
  captureId: string;
  cid: string;
  endpoint: string;
  body: ArrayBuffer;
  encoding: "gzip" | "identity";
  createdAt: number;
  /** Attempts that have ended without a final answer. */
  attempts: number;
  /** Unix milliseconds before which it is not tried again. */
  nextAt: number;
}

/** Browsers refuse `keepalive` bodies of more than 64 KiB, of all requests under way together. */
const KEEPALIVE_MOST_BYTES = 60_000;
/** A request that no caller waits for any more ends then. */
const ATTEMPT_MOST_MS = 120_000;
const DAY_MS = 86_400_000;

/** By code of the envelope; others by status. */
const BY_CODE: Record<string, CaptureErrorCode> = {
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  FORBIDDEN: "FORBIDDEN",
  CAPTURE_DISABLED: "CAPTURE_DISABLED",
  PAYLOAD_TOO_LARGE: "TOO_LARGE",
};

/**
 * Uploads. Returns what the service has on disk, or throws a `CaptureError` whose
 * `retriable` says whether the same bytes may be accepted later.
 */
export async function upload(parcel: Parcel, deferred: boolean): Promise<CaptureResult> {
  const response = await send(parcel, deferred);
  const answer = await envelopeOf(response);
  if (answer.ok) return result(answer.data);
  throw refusal(response, answer.error ?? {});
}

async function send(parcel: Parcel, deferred: boolean): Promise<Response> {
  const keepalive = parcel.body.byteLength <= KEEPALIVE_MOST_BYTES;
  try {
    return await request(parcel, deferred, keepalive);
  } catch {
    if (!keepalive) throw unreachable();
  }
  try {
    // Another request may have used up the page's share of `keepalive`.
    return await request(parcel, deferred, false);
  } catch {
    throw unreachable();
  }
}

async function request(parcel: Parcel, deferred: boolean, keepalive: boolean): Promise<Response> {
  const { cid, captureId, encoding, attempts } = parcel;
  const query = new URLSearchParams({
    cid,
    captureId,
    encoding,
    attempt: String(Math.min(attempts + 1, 100)),
    deferred: deferred ? "1" : "0",
  });
  const timer = new AbortController();
  const timeout = setTimeout(() => timer.abort(), ATTEMPT_MOST_MS);
  try {
    return await fetch(`${parcel.endpoint}?${query}`, {
      method: "POST",
      body: parcel.body,
      headers: { "Content-Type": "text/plain;charset=UTF-8" }, // a simple request: no preflight
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      keepalive,
      signal: timer.signal,
    });
  } finally {
    clearTimeout(timeout);
  }
}

interface Answer {
  ok: boolean;
  data?: Partial<CaptureResult>;
  error?: { code?: string; message?: string; requestId?: string };
}

/** Reads the envelope. A page of a proxy or a hotel is none, whatever its status. */
async function envelopeOf(response: Response): Promise<Answer> {
  try {
    const answer = (await response.json()) as Answer | null;
    if (typeof answer?.ok === "boolean") return answer;
  } catch {
    // No JSON, or the connection broke.
  }
  throw unreachable(response.status);
}

function result(data: Partial<CaptureResult> = {}): CaptureResult {
  const { cdrId, packageData, shareUrl, shareToken, shareExpiresAt } = data;
  if (typeof cdrId !== "string" || !cdrId || !packageData) throw unreachable();
  const shared = { shareUrl, shareToken, shareExpiresAt } as Partial<CaptureResult>;
  return { cdrId, packageData, ...(shareUrl !== undefined && shared) };
}

function refusal(response: Response, error: NonNullable<Answer["error"]>): CaptureError {
  const { status } = response;
  const facts = { status, requestId: error.requestId };
  const message = String(error.message ?? `status ${status}`);
  const wait = retryAfterMs(response);
  if (status === 408 || status === 425) return new CaptureError("NETWORK", message, { ...facts, retriable: true });
  if (status === 429) return new CaptureError("RATE_LIMITED", message, { ...facts, retriable: true, retryAfterMs: wait });
  if (status >= 500) return new CaptureError("UNAVAILABLE", message, { ...facts, retriable: true, retryAfterMs: wait });
  return new CaptureError(BY_CODE[error.code ?? ""] ?? "REJECTED", message, facts);
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get("Retry-After"));
  return seconds > 0 ? Math.min(seconds * 1_000, DAY_MS) : 0;
}

function unreachable(status?: number): CaptureError {
  return new CaptureError("NETWORK", "the evidence service cannot be reached", { status, retriable: true });
}
