// What the person did last: kept from the moment the script runs, for captures that come late.

/** One interaction. Holds the element, never what was typed. */
export interface Interaction {
  type: string;
  /** The innermost element, through shadow trees. */
  target: Element;
  at: number;
  isTrusted: boolean;
  event: Event;
}

const KEPT = 50;
const TYPES = ["click", "submit", "change", "keydown"] as const;
const log: Interaction[] = [];
const touched = new WeakSet<Element>();
const secrets = new WeakSet<Element>();

/** Starts listening: passive, in the capture phase, before any handler of the page. */
export function listen(): void {
  const how = { capture: true, passive: true };
  for (const type of TYPES) addEventListener(type, note, how);
  // An input that shows its password becomes `type=text`: remember what it was.
  for (const type of ["focusin", "input", "pointerdown"]) addEventListener(type, noteSecrets, how);
}

/** The latest interactions, oldest first; at most 50. */
export function latest(): readonly Interaction[] {
  return log;
}

/** Whether a person used this control: a trusted event went through it. */
export function wasTouched(element: Element): boolean {
  return touched.has(element);
}

/** Whether this input was a password at any time since the script has run. */
export function wasPassword(element: Element): boolean {
  return secrets.has(element);
}

/** The element an event came from, through shadow trees as long as it is under way. */
export function targetOf(event: Event): Element | null {
  const known = log.find((entry) => entry.event === event);
  if (known) return known.target;
  const target = event.composedPath()[0] ?? event.target;
  return isElement(target) ? target : null;
}

function note(event: Event): void {
  const path = event.composedPath();
  const target = path[0];
  if (!isElement(target) || !matters(event, target)) return;
  const { type, isTrusted } = event;
  log.push({ type, target, at: Date.now(), isTrusted, event });
  if (log.length > KEPT) log.shift();
  // `change` and `submit` are trusted also after a script's click() or requestSubmit().
  if (isTrusted && (type === "click" || type === "keydown")) path.filter(isElement).forEach((each) => touched.add(each));
}

/** Of all keys only Enter, and space where it presses a control. */
function matters(event: Event, target: Element): boolean {
  if (event.type !== "keydown") return true;
  const { key } = event as KeyboardEvent;
  return key === "Enter" || (key === " " && !target.matches(TYPED_INTO));
}

const TYPED_INTO =
  "textarea,[contenteditable],input:not([type=button]):not([type=checkbox]):not([type=radio])" +
  ":not([type=reset]):not([type=submit]):not([type=image])";

function noteSecrets(event: Event): void {
  const target = event.composedPath()[0];
  if (isElement(target) && isPassword(target)) secrets.add(target);
  if (event.type !== "pointerdown") return;
  document.querySelectorAll("input[type=password]").forEach((input) => secrets.add(input));
}

function isPassword(element: Element): boolean {
  return (element as HTMLInputElement).type === "password";
}

function isElement(target: EventTarget | null | undefined): target is Element {
  return (target as Node | null | undefined)?.nodeType === Node.ELEMENT_NODE;
}
