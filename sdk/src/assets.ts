// inlineAssets: images, fonts and style sheets inside the snapshot, for pages nobody else can reach.
import type { Tree } from "./page";

const ASSET_MOST_BYTES = 2 * 1024 * 1024;
const MOST_BYTES = 10 * 1024 * 1024;
const MOST_MS = 5_000;
const AT_ONCE = 6;
const CSS_URL = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"']*))\s*\)/g;
const SOURCES: Record<string, string[]> = {
  img: ["src"],
  image: ["href", "xlink:href"],
  input: ["src"],
  video: ["poster"],
};

/** A place in the tree that names an asset, and how to put its content there. */
interface Place {
  url: string;
  put(content: string): void;
}

/**
 * Replaces URLs by `data:` URLs as far as the browser may read them (same origin or
 * CORS) within 2 MiB each, 10 MiB and 5 s together. The rest keeps its URL.
 */
export async function inlineAssets(root: Tree): Promise<void> {
  const loader = new Loader();
  await loader.each(sheets(root), (url) => loader.text(url));
  await loader.each(images(root), (url) => loader.dataUrl(url));
  loader.stop();
}

/** Fetches within the bounds, each URL once. */
class Loader {
  private readonly abort = new AbortController();
  private readonly timer = setTimeout(() => this.abort.abort(), MOST_MS);
  private bytes = 0;

  stop(): void {
    clearTimeout(this.timer);
  }

  /** Fetches what the places name, some at once, and puts it there. */
  async each(places: Place[], load: (url: string) => Promise<string>): Promise<void> {
    const byUrl = new Map<string, Place[]>();
    for (const place of places) byUrl.set(place.url, [...(byUrl.get(place.url) ?? []), place]);
    const queue = [...byUrl];
    const worker = async (): Promise<void> => {
      for (let next = queue.pop(); next; next = queue.pop()) {
        const content = await load(next[0]).catch(() => null); // it keeps its URL
        if (content !== null) next[1].forEach((place) => place.put(content));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  async text(url: string): Promise<string> {
    const css = await (await this.blob(url)).text();
    return css.replace(CSS_URL, (_, a?: string, b?: string, c?: string) => `url("${absolute(a ?? b ?? c ?? "", url)}")`);
  }

  async dataUrl(url: string): Promise<string> {
    const blob = await this.blob(url);
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(String(reader.result));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });
  }

  private async blob(url: string): Promise<Blob> {
    const response = await fetch(url, { credentials: "same-origin", signal: this.abort.signal });
    const blob = await response.blob();
    this.bytes += blob.size;
    if (!response.ok || blob.size > ASSET_MOST_BYTES || this.bytes > MOST_BYTES) throw new Error("not inlined");
    return blob;
  }
}

function sheets(root: Tree): Place[] {
  return elements(root).flatMap(({ tagName, attributes }) => {
    const { href } = attributes;
    if (tagName !== "link" || typeof href !== "string" || !/stylesheet/i.test(String(attributes["rel"]))) return [];
    const put = (content: string): void => {
      attributes["_cssText"] = content;
      delete attributes["rel"];
      delete attributes["href"];
    };
    return [{ url: href, put }];
  });
}

function images(root: Tree): Place[] {
  return elements(root).flatMap(({ tagName, attributes }) => {
    const places: Place[] = [];
    for (const name of SOURCES[tagName] ?? []) {
      const url = attributes[name];
      if (!isRemote(url)) continue;
      const put = (content: string): void => {
        attributes[name] = content;
        delete attributes["srcset"];
      };
      places.push({ url, put });
    }
    for (const name of ["_cssText", "style"]) places.push(...inCss(attributes, name));
    return places;
  });
}

function inCss(attributes: Record<string, unknown>, name: string): Place[] {
  const css = attributes[name];
  if (typeof css !== "string") return [];
  const urls = new Set(Array.from(css.matchAll(CSS_URL), ([, a, b, c]) => (a ?? b ?? c ?? "").trim()));
  return [...urls].filter(isRemote).map((url) => ({
    url,
    put: (content) => {
      const text = String(attributes[name]);
      attributes[name] = text.replace(CSS_URL, (whole, a?: string, b?: string, c?: string) =>
        (a ?? b ?? c ?? "").trim() === url ? `url("${content}")` : whole,
      );
    },
  }));
}

function elements(root: Tree): Extract<Tree, { tagName: string }>[] {
  const below = "childNodes" in root ? root.childNodes.flatMap(elements) : [];
  return "tagName" in root ? [root, ...below] : below;
}

function isRemote(url: unknown): url is string {
  return typeof url === "string" && /^(https?|blob):/.test(url);
}

function absolute(url: string, base: string): string {
  try {
    return new URL(url, base).href;
  } catch {
    return url;
  }
}
