// Ids: one for the tab's session, one for each capture.

const KEY = "expressconsent.session";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
let remembered: string | undefined;

/** The session of this tab: lasts over page loads, and for this page where storage is refused. */
export function sessionId(): string {
  remembered ??= stored() ?? uuid();
  try {
    sessionStorage.setItem(KEY, remembered);
  } catch {
    // Storage is refused or full: the session is this page's.
  }
  return remembered;
}

function stored(): string | undefined {
  try {
    const id = sessionStorage.getItem(KEY);
    return id && UUID.test(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/** A random UUID; also on plain http, where `crypto.randomUUID` is missing. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
