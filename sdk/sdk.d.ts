/** Types of the browser library that the evidence service serves at `/sdk/v1/sdk.js`. */

/** What `captureCDR()` may be given; everything is optional. */
export interface CaptureOptions {
  /**
   * Metadata stored with the CDR: an object that survives JSON, at most 16,384 bytes as UTF-8 JSON. Each
   * top-level key can be searched for. Put an id of your own in it: an upload that is made up for
   * later has no other link to your record.
   */
  custom?: Record<string, unknown>;
  /** The control to outline: a value of `data-expressconsent-highlight-label`. Default: found by itself. */
  highlightTarget?: string;
  /** The event you are handling; names the control and whether a person made it. Default: found by itself. */
  triggerEvent?: Event;
  /** Further packages this CDR belongs to: at most 5 different strings of 1 to 128 characters. */
  subGroupIds?: string[];
  /** Share the CDR with the upload: `true` for 30 days, or 1 ms to 2 years (63,072,000,000 ms). Default: no. */
  autoShare?: boolean | { expiresInMs?: number };
  /** Put images, fonts and style sheets into the snapshot, for pages the service cannot reach. Default: no. */
  inlineAssets?: boolean;
  /** Milliseconds the whole call may take, 1 to 120,000. Default: by the connection, 5 to 20 s. */
  timeoutMs?: number;
  /**
   * What the person agreed to, by the key in `data-ec-disclosure`. A value that is no boolean is skipped
   * with a console warning, a key without an element silently.
   */
  disclosures?: Record<string, boolean>;
}

/** Evidence that the service has on disk. */
export interface CaptureResult {
  /** Id of the CDR. */
  cdrId: string;
  /** The packages the CDR is in: the tab's session, and by sub-group. */
  packageData: { packageId: string; subGroupIdMap: Record<string, string> };
  /** With `autoShare`: absolute URL a buyer claims at. It is a credential. */
  shareUrl?: string;
  /** With `autoShare`: last segment of `shareUrl`. */
  shareToken?: string;
  /** With `autoShare`: Unix milliseconds. */
  shareExpiresAt?: number;
}

/**
 * Why there is no `cdrId`.
 *
 * - `NOT_LOADED`: the script tag has no `data-ec-cid`, or the script's URL is unknown
 * - `INVALID_ARGUMENT`: an option breaks its limit; nothing was captured
 * - `SNAPSHOT_FAILED`: the page could not be read
 * - `TOO_LARGE`: the page is beyond the limits of an upload
 * - `TIMEOUT`: no answer in time · `NETWORK`: the service cannot be reached
 * - `RATE_LIMITED`, `UNAVAILABLE`: the service is busy or broken
 * - `CAPTURE_DISABLED`: switched off for the organization
 * - `FORBIDDEN`: unknown client id, or a site it does not belong to
 * - `REJECTED`: refused for good for another reason
 */
export type CaptureErrorCode =
  | "NOT_LOADED"
  | "INVALID_ARGUMENT"
  | "SNAPSHOT_FAILED"
  | "TOO_LARGE"
  | "TIMEOUT"
  | "NETWORK"
  | "RATE_LIMITED"
  | "UNAVAILABLE"
  | "CAPTURE_DISABLED"
  | "FORBIDDEN"
  | "REJECTED";

/** The only thing `captureCDR()` rejects with. Log it and let the form go on. */
export interface CaptureError extends Error {
  readonly name: "CaptureError";
  readonly code: CaptureErrorCode;
  /** Whether the capture is kept in this browser and will be uploaded later. */
  readonly retrying: boolean;
  /** HTTP status of the answer, if there was one. */
  readonly status?: number;
  /** The service's id of the request, for its operator. */
  readonly requestId?: string;
}

/** `window.ExpressConsent`. */
export interface ExpressConsent {
  /**
   * Captures the page as it is now and resolves when the evidence is on the service's disk.
   * Make it the first `await` of a submit handler, after `preventDefault()`.
   */
  captureCDR(options?: CaptureOptions): Promise<CaptureResult>;
  /** The class of its errors, for `instanceof`. */
  readonly CaptureError: abstract new (...args: never[]) => CaptureError;
  /** Version of the library. */
  readonly version: string;
}

declare global {
  interface Window {
    /** Undefined until the script has loaded: call `window.ExpressConsent?.captureCDR()`. */
    ExpressConsent?: ExpressConsent;
  }
}
