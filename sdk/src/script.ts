// Where the script came from: the client id, and with it the place to upload to.

/** One integration: whose captures these are and where they go. */
export interface Client {
  cid: string;
  /** Absolute URL of the capture endpoint, without a query. */
  endpoint: string;
}

const SCRIPT_PATH = /\/sdk\/v1\/[^/]*$/;

/** Reads the script tag that is being run; null if it has no client id or no URL. */
export function client(tag: HTMLScriptElement | SVGScriptElement | null): Client | null {
  // A module, or a script that was bundled, does not know its own tag.
  const script = (tag ?? document.querySelector("script[data-ec-cid]")) as HTMLScriptElement | null;
  const cid = script?.getAttribute("data-ec-cid")?.trim();
  if (!script?.src || !cid) return null;
  return { cid, endpoint: endpoint(new URL(script.src, document.baseURI)) };
}

/** `<base>/v1/captures`, where `<base>/sdk/v1/…` is the script; otherwise on the script's origin. */
function endpoint(script: URL): string {
  const prefix = SCRIPT_PATH.test(script.pathname) ? script.pathname.replace(SCRIPT_PATH, "") : "";
  return `${script.origin}${prefix}/v1/captures`;
}
