// What the caller claims of the disclosures: with the text that stood on the page.
import { warn } from "./errors";
import type { Page, Tree } from "./page";

/** One claim, as it is sent. */
export interface Disclosure {
  key: string;
  /** The tagged text, masked where the page says so; at most 5,000 characters. */
  language: string;
  agreed: boolean;
  nodeId: number;
  visible: boolean;
}

const TEXT_MOST = 5_000;
const UNSEEN = /^(style|script|template|textarea|select|option|title)$/;
const INLINE = /^(a|abbr|b|bdi|bdo|cite|code|em|font|i|ins|kbd|label|mark|q|s|small|span|strong|sub|sup|time|u|var|wbr)$/;

/** Joins claims and page. A key without an element is skipped; this never stops a capture. */
export function disclosed(page: Page, claims: Map<string, boolean>): Disclosure[] {
  const found: Disclosure[] = [];
  for (const [key, agreed] of claims) {
    const node = page.disclosures.get(key);
    if (!node) continue;
    try {
      const language = cut(words(node).replace(/\s+/g, " ").trim());
      found.push({ key, language, agreed, nodeId: node.id, visible: isVisible(page.elementOf(node)) });
    } catch {
      warn("disclosures: a text could not be read; skipped");
    }
  }
  return found;
}

/** The text below a node; words of different blocks stay apart. */
function words(node: Tree): string {
  if (node.type === 3) return node.textContent;
  if (node.type !== 2 || UNSEEN.test(node.tagName)) return "";
  const text = node.childNodes.map(words).join("");
  return INLINE.test(node.tagName) ? text : ` ${text} `;
}

/** Cuts to the limit, and never through a pair of surrogates. */
function cut(text: string): string {
  return text.slice(0, TEXT_MOST).replace(/[\ud800-\udbff]$/, "");
}

function isVisible(element: Element): boolean {
  if (!element.checkVisibility) return element.getClientRects().length > 0;
  const how = { opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: false };
  return element.checkVisibility(how) && element.getClientRects().length > 0;
}
