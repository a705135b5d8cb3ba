// Attaches window.ExpressConsent; on a page that loads the script twice, the first one stays.
import type { CaptureOptions, CaptureResult, ExpressConsent } from "../sdk";
import { captureCDR } from "./capture";
import { timeZone, VERSION } from "./envelope";
import { CaptureError, warn } from "./errors";
import { listen } from "./interactions";
import { startRetries } from "./retries";
import { client, type Client } from "./script";

/** Where a second copy of the script finds the first. */
const ADOPT = Symbol.for("expressconsent.adopt");
type Attached = ExpressConsent & { [ADOPT]?: (found: Client | null) => void };

function attach(found: Client | null): void {
  let mine = found;
  const attached: Attached = {
    captureCDR: (options?: CaptureOptions): Promise<CaptureResult> => captureCDR(mine, options),
    CaptureError: CaptureError as unknown as ExpressConsent["CaptureError"],
    version: VERSION,
    [ADOPT]: (other) => {
      if (!mine) mine = other;
      else if (other && other.cid !== mine.cid) warn("loaded twice with different data-ec-cid; the first stays");
    },
  };
  window.ExpressConsent = Object.freeze(attached);
  listen();
  startRetries(mine);
  if (typeof requestIdleCallback === "function") requestIdleCallback(timeZone);
}

const first = window.ExpressConsent as Attached | undefined;
const found = client(document.currentScript);
if (first?.[ADOPT]) first[ADOPT](found);
else attach(found);
