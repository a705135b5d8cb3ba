// The one error of the library, and what it tells its caller.
import type { CaptureError as Contract, CaptureErrorCode } from "../sdk";

interface Facts {
  status?: number | undefined;
  requestId?: string | undefined;
  /** Whether the same bytes may be accepted later. */
  retriable?: boolean;
  /** Milliseconds the service asked to wait. */
  retryAfterMs?: number | undefined;
}

/** Why there is no `cdrId`: see `sdk.d.ts`. Messages name fields and limits, never a value. */
export class CaptureError extends Error implements Contract {
  override readonly name = "CaptureError";
  readonly status?: number;
  readonly requestId?: string;
  readonly retriable: boolean;
  readonly retryAfterMs: number;
  /** Set by whoever kept the capture for later. */
  retrying = false;

  constructor(
    readonly code: CaptureErrorCode,
    message: string,
    facts: Facts = {},
  ) {
    super(message);
    if (facts.status !== undefined) this.status = facts.status;
    if (facts.requestId !== undefined) this.requestId = facts.requestId;
    this.retriable = facts.retriable ?? false;
    this.retryAfterMs = facts.retryAfterMs ?? 0;
  }
}

/** A mistake of the caller: nothing was captured. */
export function invalid(message: string): CaptureError {
  return new CaptureError("INVALID_ARGUMENT", message);
}

/** Says something to the integrator; never throws. */
export function warn(message: string): void {
  console.warn(`ExpressConsent: ${message}`);
}
