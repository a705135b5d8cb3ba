// What the caller may ask for: checked once, before anything is captured.
import type { CaptureOptions } from "../sdk";
import { invalid, warn } from "./errors";

/** Checked options. */
export interface Wanted {
  custom: Record<string, unknown>;
  highlightTarget: string | null;
  triggerEvent: Event | null;
  subGroupIds: string[];
  autoShare: false | { expiresInMs: number };
  inlineAssets: boolean;
  /** Milliseconds, or null for the adaptive default. */
  timeoutMs: number | null;
  /** Claims by key; booleans only. */
  disclosures: Map<string, boolean>;
}

const CUSTOM_LIMIT_BYTES = 16_384;
const SHARE_DEFAULT_MS = 30 * 86_400_000;
const SHARE_MOST_MS = 730 * 86_400_000;
const TIMEOUT_MOST_MS = 120_000;
const DISCLOSURES_MOST = 100;

/** Checks the options. Throws `CaptureError` INVALID_ARGUMENT; disclosures only ever warn. */
export function check(options: CaptureOptions = {}): Wanted {
  if (!isObject(options)) throw invalid("options: must be an object");
  return {
    custom: custom(options.custom),
    highlightTarget: typeof options.highlightTarget === "string" ? options.highlightTarget : null,
    triggerEvent: triggerEvent(options.triggerEvent),
    subGroupIds: subGroupIds(options.subGroupIds),
    autoShare: autoShare(options.autoShare),
    inlineAssets: options.inlineAssets === true,
    timeoutMs: timeoutMs(options.timeoutMs),
    disclosures: disclosures(options.disclosures),
  };
}

/** An event, also one of a frame, whose `Event` is another class. Anything else is skipped. */
function triggerEvent(value: unknown): Event | null {
  return isObject(value) && typeof value["composedPath"] === "function" ? (value as unknown as Event) : null;
}

function custom(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (!isObject(value) || Array.isArray(value)) throw invalid("custom: must be an object");
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    throw invalid("custom: must be JSON-serializable");
  }
  if (new TextEncoder().encode(text).length > CUSTOM_LIMIT_BYTES) {
    throw invalid(`custom: must be at most ${CUSTOM_LIMIT_BYTES} bytes of JSON`);
  }
  // A copy: what the caller does to its object later is not what was captured.
  const copy: unknown = JSON.parse(text ?? "null");
  if (!isObject(copy) || Array.isArray(copy)) throw invalid("custom: must be an object in JSON too");
  return copy;
}

function subGroupIds(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const ids = Array.isArray(value) ? [...new Set<unknown>(value)] : [null];
  if (!ids.every((id): id is string => typeof id === "string" && id.length >= 1 && id.length <= 128)) {
    throw invalid("subGroupIds: must be an array of strings of 1 to 128 characters");
  }
  if (ids.length > 5) throw invalid("subGroupIds: at most 5 different ones");
  return ids;
}

function autoShare(value: unknown): false | { expiresInMs: number } {
  if (value === undefined || value === null || value === false) return false;
  if (value === true) return { expiresInMs: SHARE_DEFAULT_MS };
  if (!isObject(value)) throw invalid("autoShare: must be a boolean or {expiresInMs}");
  const expiresInMs = value["expiresInMs"] ?? SHARE_DEFAULT_MS;
  if (!isWithin(expiresInMs, SHARE_MOST_MS)) {
    throw invalid(`autoShare.expiresInMs: must be a whole number from 1 to ${SHARE_MOST_MS}`);
  }
  return { expiresInMs };
}

function timeoutMs(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (!isWithin(value, TIMEOUT_MOST_MS)) {
    throw invalid(`timeoutMs: must be a whole number from 1 to ${TIMEOUT_MOST_MS}`);
  }
  return value;
}

function disclosures(value: unknown): Map<string, boolean> {
  const claims = new Map<string, boolean>();
  if (value === undefined || value === null) return claims;
  if (!isObject(value)) {
    warn("disclosures must be an object; skipped");
    return claims;
  }
  for (const [key, agreed] of Object.entries(value)) {
    if (typeof agreed !== "boolean") warn(`disclosures: "${key}" is not true or false; skipped`);
    else if (!key || key.length > 128) warn("disclosures: a key must have 1 to 128 characters; skipped");
    else if (claims.size < DISCLOSURES_MOST) claims.set(key, agreed);
  }
  return claims;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isWithin(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}
