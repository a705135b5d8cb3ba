// The page as it stands now: the tree of rrweb-snapshot, put right and masked.
import type { serializedElementNodeWithId, serializedNodeWithId } from "@rrweb/types";
import {
  absolutifyURLs,
  cleanupSnapshot,
  genId,
  serializeNodeWithId,
  slimDOMDefaults,
  stringifyStylesheet,
  type Mirror,
} from "rrweb-snapshot";
import { CaptureError } from "./errors";
import { wasTouched } from "./interactions";
import { isSecret, maskAttributes, SECRET, starred } from "./masks";

export type Tree = serializedNodeWithId;
type ElementNode = serializedElementNodeWithId;

/** State of a checkable control: see docs/capture-protocol.md. */
export interface Control {
  nodeId: number;
  type: "checkbox" | "radio" | "custom";
  checked: boolean | null;
  defaultChecked: boolean | null;
  indeterminate: boolean | null;
  touched: boolean;
  masked: boolean;
}

const NODES_MOST = 200_000;
const DEPTH_MOST = 300;
const CONTROLS_MOST = 10_000;
const DOCUMENT = 0;
const ELEMENT = 2;
const TEXT = 3;
const LABEL = "data-expressconsent-highlight-label";
/** Of `meta` and `link` only these shape the page. */
const SHAPING_META = /^(viewport|color-scheme)$/i;
const MEDIA = /^(img|iframe|video|audio|canvas|embed|object|picture|svg)$/;

/** A snapshot, and what was noticed on the way. Not to be kept: it holds the page's nodes. */
export class Page {
  readonly root: Tree;
  readonly controls: Control[] = [];
  /** The first element tagged with each disclosure key. */
  readonly disclosures = new Map<string, ElementNode>();
  /** The first element with each highlight label. */
  readonly labels = new Map<string, number>();
  private readonly seen = new Seen();
  private nodes = 0;

  /** Takes the snapshot. Throws `CaptureError` TOO_LARGE or SNAPSHOT_FAILED. */
  constructor(page: Document) {
    cleanupSnapshot(); // ids start at 1
    try {
      this.root = this.serialized(page);
      this.visit(this.root, false, 1);
    } catch (error) {
      if (error instanceof CaptureError) throw error;
      if (error instanceof RangeError) throw tooLarge(`deeper than ${DEPTH_MOST} nodes`);
      throw new CaptureError("SNAPSHOT_FAILED", `the page could not be read: ${(error as Error).name}`);
    }
  }

  /** Id of an element in the snapshot; −1 if it is not there. */
  idOf(element: Element | null): number {
    return element ? this.seen.nodes.indexOf(element) : -1;
  }

  /** The element a node stands for. */
  elementOf(node: Tree): Element {
    return this.seen.nodes[node.id] as Element;
  }

  private serialized(page: Document): Tree {
    const tree = serializeNodeWithId(page, {
      doc: page,
      mirror: this.seen as unknown as Mirror,
      // Masks are applied below: one rule for fields, texts, shadow trees and frames. The
      // library is told that all text is masked, which spares it a look at each node.
      needsMask: true,
      maskTextFn: (text) => text,
      maskInputFn: undefined,
      maskTextClass: "ec-none",
      maskTextSelector: null,
      blockClass: "ec-none",
      blockSelector: null,
      skipChild: false,
      inlineStylesheet: true,
      slimDOMOptions: SLIM,
    });
    if (!tree) throw new CaptureError("SNAPSHOT_FAILED", "the page could not be read");
    return tree;
  }

  /** Puts a node and what is below it right; `masked` is inherited. */
  private visit(node: Tree, masked: boolean, depth: number): void {
    if (++this.nodes > NODES_MOST) throw tooLarge(`more than ${NODES_MOST} nodes`);
    if (depth > DEPTH_MOST) throw tooLarge(`deeper than ${DEPTH_MOST} nodes`);
    if (node.type === TEXT) {
      if (masked) node.textContent = starred(node.textContent);
      return;
    }
    if (node.type === ELEMENT) masked = this.visitElement(node as ElementNode, masked);
    if (node.type !== ELEMENT && node.type !== DOCUMENT) return;
    const children = node.childNodes;
    if (children.some(isGone)) node.childNodes = children.filter((child) => !isGone(child));
    for (const child of node.childNodes) this.visit(child, masked, depth + 1);
  }

  /** Returns whether what is in the element is masked. */
  private visitElement(node: ElementNode, masked: boolean): boolean {
    const { attributes, tagName } = node;
    this.clean(node);
    masked ||= "data-ec-mask" in attributes;
    this.notice(node, masked);
    switch (tagName) {
      case "input":
        this.input(node, masked);
        break;
      case "textarea":
      case "select":
        masked = this.field(node, masked);
        break;
      case "link":
      case "style":
        this.sheet(node);
        return false;
      case "iframe":
        this.frame(node, masked);
        break;
    }
    const { shadowRoot } = this.elementOf(node);
    if (shadowRoot) this.adopted(node, shadowRoot, true);
    if (tagName === "head") this.adopted(node, this.elementOf(node).ownerDocument, false);
    if (masked) this.mask(node);
    return masked;
  }

  /** Drops what could run or phone home, and attributes that pass for ours. */
  private clean(node: ElementNode): void {
    const { attributes } = node;
    for (const name in attributes) {
      const value = attributes[name];
      if (name.startsWith("on") || name === "nonce" || name === "integrity" || name === "srcdoc") {
        delete attributes[name];
      } else if (name.startsWith("rr_") || name.startsWith("ec_")) {
        if (this.elementOf(node).hasAttribute(name)) delete attributes[name];
      } else if (typeof value === "string" && /^\s*javascript:/i.test(value)) {
        delete attributes[name];
      }
    }
    if ("popover" in attributes && matches(this.elementOf(node), ":popover-open")) {
      attributes["ec_popover"] = "open";
    }
  }

  /** Remembers tags: disclosures, labels, consent boxes. */
  private notice(node: ElementNode, masked: boolean): void {
    const { attributes } = node;
    const key = attributes["data-ec-disclosure"];
    if (typeof key === "string" && !this.disclosures.has(key)) this.disclosures.set(key, node);
    const label = attributes[LABEL];
    if (typeof label === "string" && !this.labels.has(label)) this.labels.set(label, node.id);
    if ("data-ec-consent-checkbox" in attributes && !this.isCheckable(node)) {
      this.control(customControl(node.id, this.elementOf(node), masked));
    }
  }

  private control(found: Control): void {
    if (this.controls.length < CONTROLS_MOST) this.controls.push(found);
  }

  private isCheckable(node: ElementNode): boolean {
    return node.tagName === "input" && /^(checkbox|radio)$/.test((this.elementOf(node) as HTMLInputElement).type);
  }

  private input(node: ElementNode, masked: boolean): void {
    const { attributes } = node;
    const element = this.elementOf(node) as HTMLInputElement;
    switch (element.type) {
      case "checkbox":
      case "radio":
        // The library keeps the HTML's `checked` on a box that was un-ticked.
        delete attributes["checked"];
        if (element.checked && !masked) attributes["checked"] = true;
        this.control(nativeControl(node.id, element, masked));
        return;
      case "hidden":
        delete attributes["value"];
        return;
      case "submit":
      case "reset":
      case "button":
      case "image":
        return;
    }
    if (isSecret(element)) dropCopies(attributes, element.value);
    setValue(node, shown(element, masked));
  }

  /** A text area or a list; returns whether what is in it is masked. */
  private field(node: ElementNode, masked: boolean): boolean {
    const element = this.elementOf(node) as HTMLTextAreaElement | HTMLSelectElement;
    const secret = masked || isSecret(element);
    setValue(node, shown(element, masked));
    // Without this a text area that was emptied shows the HTML's text again.
    if (node.tagName === "textarea") node.childNodes = [];
    return secret;
  }

  /** The rules of a style sheet, also those the library does not find: in shadow trees. */
  private sheet(node: ElementNode): void {
    const { attributes } = node;
    const { sheet } = this.elementOf(node) as HTMLStyleElement | HTMLLinkElement;
    if (sheet && attributes["_cssText"] === undefined) {
      const text = stringifyStylesheet(sheet);
      if (text !== null) {
        attributes["_cssText"] = text;
        delete attributes["rel"];
        delete attributes["href"];
      }
    }
    if (attributes["_cssText"] !== undefined) node.childNodes = [];
    if (sheet?.disabled) attributes["media"] = "not all";
    // A preload of a sheet that is loaded elsewhere got its rules too.
    if (!sheet && node.tagName === "link") delete attributes["_cssText"];
  }

  /** Style sheets that scripts have adopted, as the last `style` of their tree. */
  private adopted(node: ElementNode, tree: DocumentOrShadowRoot, isShadow: boolean): void {
    const sheets = tree.adoptedStyleSheets ?? [];
    for (const sheet of sheets) {
      const text = sheet.disabled ? "" : absolutifyURLs(stringifyStylesheet(sheet), document.baseURI);
      if (!text) continue;
      const style: Tree = {
        type: ELEMENT,
        tagName: "style",
        attributes: { _cssText: text, ec_adopted: true },
        childNodes: [],
        id: genId(),
        ...(isShadow && { isShadow }),
      };
      if (sheet.media.length) style.attributes["media"] = sheet.media.mediaText;
      this.seen.add(ADOPTED, style); // an element without attributes, for whoever looks it up
      node.childNodes.push(style);
    }
  }

  /** A frame of the same origin brings its document; others stay blank. */
  private frame(node: ElementNode, masked: boolean): void {
    const inner = masked ? null : contentOf(this.elementOf(node) as HTMLIFrameElement);
    delete node.attributes["src"];
    node.childNodes = inner ? [this.serialized(inner)] : [];
  }

  private mask(node: ElementNode): void {
    const { attributes, tagName } = node;
    if (tagName === "option") delete attributes["selected"];
    const value = attributes["value"];
    maskAttributes(attributes);
    if (/^(input|textarea)$/.test(tagName) && value !== undefined) attributes["value"] = starred(String(value));
    if (MEDIA.test(tagName)) {
      const { width, height } = this.elementOf(node).getBoundingClientRect();
      attributes["rr_width"] = `${width}px`;
      attributes["rr_height"] = `${height}px`;
      node.childNodes = [];
    }
  }
}

/**
 * What the library needs of its mirror, for one snapshot: it asks only of documents whether it has
 * seen them, and every other node is new. Without its two maps of all nodes there is less to collect.
 */
class Seen {
  readonly nodes: Node[] = [];
  private readonly documents = new Map<Node, number>();

  add(node: Node, { id }: { id: number }): void {
    if (id > 0) this.nodes[id] = node;
    if (node.nodeType === Node.DOCUMENT_NODE) this.documents.set(node, id);
  }

  hasNode(node: Node): boolean {
    return node.nodeType === Node.DOCUMENT_NODE && this.documents.has(node);
  }

  getId(node: Node): number {
    return this.documents.get(node) ?? -1;
  }
}

const SLIM = { ...slimDOMDefaults(false), script: true, comment: true, headWhitespace: true };
const ADOPTED = document.createElement("style");

function tooLarge(why: string): CaptureError {
  return new CaptureError("TOO_LARGE", `the page is ${why}`);
}

/** What a field shows, or its mask; empty stays empty. */
function shown(field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, masked: boolean): string {
  if (!field.value) return "";
  if (isSecret(field)) return SECRET;
  return masked ? starred(field.value) : field.value;
}

/** Frameworks keep copies of a value in other attributes. */
function dropCopies(attributes: ElementNode["attributes"], secret: string): void {
  for (const name of Object.keys(attributes)) {
    if (secret.length > 2 && String(attributes[name]).includes(secret)) delete attributes[name];
  }
}

function setValue(node: ElementNode, value: string): void {
  if (value) node.attributes["value"] = value;
  else delete node.attributes["value"]; // the HTML's default, which a person has emptied
}

function isGone(node: Tree): boolean {
  if (node.type !== ELEMENT) return false;
  const { tagName, attributes } = node as ElementNode;
  if (tagName === "noscript") return true; // would be drawn where scripts are off
  if (tagName === "meta") return !("charset" in attributes || SHAPING_META.test(String(attributes["name"])));
  if (tagName !== "link") return false;
  return attributes["_cssText"] === undefined && !/(^|\s)stylesheet(\s|$)/i.test(String(attributes["rel"]));
}

function nativeControl(nodeId: number, element: HTMLInputElement, masked: boolean): Control {
  const { checked, defaultChecked, indeterminate } = element;
  const type = element.type as "checkbox" | "radio";
  const state = { checked, defaultChecked, indeterminate, touched: wasTouched(element) };
  return { nodeId, type, ...(masked ? UNKNOWN : state), masked };
}

function customControl(nodeId: number, element: Element, masked: boolean): Control {
  const inner = element.querySelector<HTMLInputElement>("input[type=checkbox],input[type=radio]");
  const said = element.getAttribute("aria-checked") ?? element.getAttribute("data-state");
  const state = {
    checked: inner ? inner.checked : said === null ? null : /^(true|checked|on)$/.test(said),
    defaultChecked: inner?.defaultChecked ?? null,
    indeterminate: inner?.indeterminate ?? null,
    touched: wasTouched(element),
  };
  return { nodeId, type: "custom", ...(masked ? UNKNOWN : state), masked };
}

const UNKNOWN = { checked: null, defaultChecked: null, indeterminate: null, touched: false };

function contentOf(frame: HTMLIFrameElement): Document | null {
  try {
    return frame.contentDocument;
  } catch {
    return null; // another origin
  }
}

function matches(element: Element, selector: string): boolean {
  try {
    return element.matches(selector);
  } catch {
    return false; // a browser that does not know the selector
  }
}
