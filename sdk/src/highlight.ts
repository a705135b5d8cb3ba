// Which control was used: named by the caller, found from the event, or remembered.
import { latest, targetOf, type Interaction } from "./interactions";

/** The control to outline, before the snapshot has given it an id. */
export interface Used {
  element: Element | null;
  source: "label" | "trigger" | "auto" | "interaction-log";
  isTrusted: boolean | null;
  eventType: string | null;
}

const LATE_MS = 60_000;
const CONTROL =
  "button,input,select,textarea,a[href],summary,label,[role=button],[role=checkbox],[role=switch],[role=link]," +
  "[data-ec-submit],[data-ec-consent-checkbox],[data-expressconsent-highlight-label]";
const BY_A_PERSON = /^(click|dblclick|auxclick|submit|change|input|key|pointer|mouse|touch)/;

/**
 * Finds the control: by the event given, the event being handled, or the latest
 * interaction of the last minute. Null if there was none. Must run in the call itself.
 */
export function used(trigger: Event | null): Used | null {
  if (trigger) return fromEvent(trigger, "trigger");
  const current = underWay();
  if (current) return fromEvent(current, "auto");
  return remembered();
}

function fromEvent(event: Event, source: Used["source"]): Used {
  const submitter = (event as SubmitEvent).submitter ?? null;
  const element = submitter ?? targetOf(event);
  return { element: element && control(element), source, isTrusted: event.isTrusted, eventType: event.type };
}

/** The event whose handler is calling. `window.event` knows it, except inside shadow trees. */
function underWay(): Event | null {
  const { event } = window;
  if (event && BY_A_PERSON.test(event.type) && targetOf(event)) return event;
  const last = latest()[latest().length - 1];
  return last && last.event.eventPhase !== Event.NONE ? last.event : null;
}

function remembered(): Used | null {
  const recent = latest().filter(({ at }) => Date.now() - at < LATE_MS);
  const pressed = recent.filter(({ type, isTrusted }) => isTrusted && type !== "change");
  const last: Interaction | undefined = pressed[pressed.length - 1] ?? recent[recent.length - 1];
  return last ? fromEvent(last.event, "interaction-log") : null;
}

/** The control around an element such as the icon in a button. */
function control(element: Element): Element {
  return element.closest(CONTROL) ?? element;
}
