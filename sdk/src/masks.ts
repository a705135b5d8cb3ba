// What never leaves the page: secrets always, and whatever stands in `data-ec-mask`.
import type { attributes } from "@rrweb/types";
import { wasPassword } from "./interactions";

/** In place of a secret: as long for each, so that the length tells nothing. */
export const SECRET = "********";

const SECRET_PURPOSE = /(^|\s)(cc-[a-z-]+|current-password|new-password|one-time-code)(\s|$)/i;
const SHAPES = new Set(
  (
    "class id style type name for role dir hidden disabled open multiple size rows cols colspan rowspan " +
    "width height viewBox preserveAspectRatio aria-hidden rr_scrollLeft rr_scrollTop rr_open_mode ec_popover slot part"
  ).split(" "),
);

/** Whether a field's value is a secret wherever it stands: passwords, codes, payment cards. */
export function isSecret(field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement): boolean {
  return (
    field.type === "password" ||
    wasPassword(field) ||
    SECRET_PURPOSE.test(field.getAttribute("autocomplete") ?? "") ||
    isCardNumber(field.value)
  );
}

/** Every character but white space becomes `*`: the page keeps its shape. */
export function starred(text: string): string {
  return text.replace(/\S/g, "*");
}

/** Drops every attribute that could tell more than the shape of the page. */
export function maskAttributes(attributes: attributes): void {
  for (const name of Object.keys(attributes)) {
    if (!SHAPES.has(name) && !name.startsWith("data-ec-")) delete attributes[name];
  }
  if (typeof attributes["style"] === "string") {
    attributes["style"] = attributes["style"].replace(/url\([^)]*\)/gi, "none");
  }
}

/** 13 to 19 digits that pass the check every payment card passes (Luhn, ISO/IEC 7812). */
function isCardNumber(value: string): boolean {
  const digits = value.replace(/[ -]/g, "");
  if (!/^\d{13,19}$/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    sum += i % 2 ? ((digit * 2 - 1) % 9) + 1 : digit;
  }
  return sum % 10 === 0;
}
