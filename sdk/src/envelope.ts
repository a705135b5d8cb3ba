// One capture as it is sent: see docs/capture-protocol.md.
import { disclosed, type Disclosure } from "./disclosures";
import { CaptureError, warn } from "./errors";
import { used } from "./highlight";
import { latest } from "./interactions";
import type { Wanted } from "./options";
import { Page, type Control, type Tree } from "./page";
import { starred } from "./masks";
import { sessionId, uuid } from "./session";

declare const SDK_VERSION: string;
export const VERSION = SDK_VERSION;

const LABEL_MOST = 1_000;
const PLAIN_MOST_BYTES = 20 * 1024 * 1024;
const SENT_MOST_BYTES = 5 * 1024 * 1024;

/** Everything of one capture. */
export interface Envelope {
  v: 1;
  captureId: string;
  cid: string;
  sessionId: string;
  captureTime: number;
  sdkVersion: string;
  page: Record<"url" | "title" | "referrer" | "language" | "timeZone", string>;
  viewport: Record<string, number>;
  custom: Record<string, unknown>;
  subGroupIds: string[];
  autoShare: Wanted["autoShare"];
  inlineAssets: boolean;
  disclosures: Disclosure[];
  highlight: Highlight | null;
  controls: Control[];
  interactions: { type: string; nodeId: number; at: number; isTrusted: boolean }[];
  snapshot: Tree;
}

interface Highlight {
  nodeId: number;
  label: string | null;
  source: string;
  isTrusted: boolean | null;
  eventType: string | null;
}

/** Takes the capture, at once: whatever happens to the page afterwards is not in it. */
export function envelope(cid: string, wanted: Wanted): Envelope {
  const control = used(wanted.triggerEvent); // first: the event is under way only now
  const captureTime = Date.now();
  const page = new Page(document);
  return {
    v: 1,
    captureId: uuid(),
    cid,
    sessionId: sessionId(),
    captureTime,
    sdkVersion: VERSION,
    page: aboutPage(),
    viewport: viewport(),
    custom: wanted.custom,
    subGroupIds: wanted.subGroupIds,
    autoShare: wanted.autoShare,
    inlineAssets: wanted.inlineAssets,
    disclosures: disclosed(page, wanted.disclosures),
    highlight: highlight(page, wanted.highlightTarget, control),
    controls: page.controls,
    interactions: latest().map(({ type, target, at, isTrusted }) => ({
      type,
      nodeId: page.idOf(target),
      at,
      isTrusted,
    })),
    snapshot: page.root,
  };
}

function highlight(page: Page, target: string | null, control: ReturnType<typeof used>): Highlight | null {
  const event = { isTrusted: control?.isTrusted ?? null, eventType: control?.eventType ?? null };
  if (target !== null) {
    const nodeId = page.labels.get(target);
    if (nodeId !== undefined) return { nodeId, label: target.slice(0, LABEL_MOST), source: "label", ...event };
    warn("highlightTarget: no element has this label; looking for the control instead");
  }
  if (!control?.element) return null;
  const label = control.element.getAttribute("data-expressconsent-highlight-label")?.slice(0, LABEL_MOST) ?? null;
  return { nodeId: page.idOf(control.element), label, source: control.source, ...event };
}

function aboutPage(): Envelope["page"] {
  const masked = document.querySelector("title[data-ec-mask]") !== null;
  return {
    url: location.href.slice(0, 8_192),
    title: (masked ? starred(document.title) : document.title).slice(0, 1_000),
    referrer: document.referrer.slice(0, 8_192),
    language: (document.documentElement.lang || navigator.language || "").slice(0, 64),
    timeZone: timeZone(),
  };
}

let knownTimeZone: string | undefined;

/** The first call costs a page 20 ms: to be made while nobody waits. */
export function timeZone(): string {
  knownTimeZone ??= Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  return knownTimeZone;
}

function viewport(): Record<string, number> {
  const { scrollWidth, scrollHeight } = document.documentElement;
  return {
    width: innerWidth,
    height: innerHeight,
    // Pulled beyond its edge a page reports negative offsets.
    scrollX: Math.max(0, scrollX),
    scrollY: Math.max(0, scrollY),
    documentWidth: scrollWidth,
    documentHeight: scrollHeight,
    devicePixelRatio,
  };
}

/** The bytes that every attempt sends, and how they are encoded. Throws TOO_LARGE. */
export async function encoded(capture: Envelope): Promise<{ body: ArrayBuffer; encoding: "gzip" | "identity" }> {
  const plain = new TextEncoder().encode(wellFormed(JSON.stringify(capture)));
  if (plain.length > PLAIN_MOST_BYTES) throw tooLarge(PLAIN_MOST_BYTES);
  const zips = typeof CompressionStream === "function";
  const body = zips ? await gzipped(plain) : plain.buffer;
  if (body.byteLength > SENT_MOST_BYTES) throw tooLarge(SENT_MOST_BYTES);
  return { body, encoding: zips ? "gzip" : "identity" };
}

/** JSON without halves of surrogate pairs, which pages hold and strict readers refuse. */
function wellFormed(json: string): string {
  if (!json.includes("\\ud")) return json;
  return json.replace(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (found) => (found === "\\\\" ? found : "\\ufffd"));
}

/** In one write: streaming a Blob through takes the main thread longer. */
function gzipped(plain: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const { readable, writable } = new CompressionStream("gzip");
  const writer = writable.getWriter();
  // What fails here fails the reader, too.
  writer.write(plain).catch(() => undefined);
  writer.close().catch(() => undefined);
  return new Response(readable).arrayBuffer();
}

function tooLarge(bytes: number): CaptureError {
  return new CaptureError("TOO_LARGE", `the capture has more than ${bytes} bytes`);
}
