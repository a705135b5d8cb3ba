// Captures that wait in this browser: IndexedDB, bounded in number, bytes and age.
import { warn } from "./errors";
import type { Parcel } from "./upload";

const DATABASE = "expressconsent";
const CAPTURES = "captures";
const MOST = 20;
const MOST_BYTES = 25 * 1024 * 1024;
const OLDEST_MS = 30 * 86_400_000;

/** Keeps or replaces a capture; beyond the bounds the oldest others go. Rejects where storage is refused. */
export async function keep(parcel: Parcel): Promise<void> {
  const dropped = await within("readwrite", async (captures) => {
    const others = (await all(captures)).filter(({ captureId }) => captureId !== parcel.captureId);
    const gone = beyond([parcel, ...others.reverse()]);
    for (const { captureId } of gone) captures.delete(captureId);
    captures.put(parcel);
    return gone.length;
  });
  if (dropped) warn(`${dropped} captures that could not be uploaded were dropped`);
}

/** Lets a capture go: it is on the service's disk, or was refused for good. */
export function forget(captureId: string): Promise<void> {
  return within("readwrite", async (captures) => void captures.delete(captureId));
}

/** What waits, oldest first; what is too old is dropped. */
export function waiting(): Promise<Parcel[]> {
  return within("readwrite", async (captures) => {
    const parcels = await all(captures);
    const old = Date.now() - OLDEST_MS;
    for (const { captureId, createdAt } of parcels) if (createdAt < old) captures.delete(captureId);
    return parcels.filter(({ createdAt }) => createdAt >= old);
  });
}

/** One capture that may have been uploaded by another tab meanwhile. */
export function find(captureId: string): Promise<Parcel | undefined> {
  return within("readonly", (captures) => done<Parcel | undefined>(captures.get(captureId)));
}

/** Of captures, newest first, those beyond the bounds; never the first. */
function beyond(parcels: Parcel[]): Parcel[] {
  let bytes = 0;
  return parcels.filter((parcel, index) => {
    bytes += parcel.body.byteLength;
    return index > 0 && (index >= MOST || bytes > MOST_BYTES || parcel.createdAt < Date.now() - OLDEST_MS);
  });
}

async function all(captures: IDBObjectStore): Promise<Parcel[]> {
  const parcels = await done<Parcel[]>(captures.getAll());
  return parcels.sort((a, b) => a.createdAt - b.createdAt);
}

/** Runs `work` in one transaction and waits until it is stored. */
async function within<T>(mode: IDBTransactionMode, work: (captures: IDBObjectStore) => Promise<T>): Promise<T> {
  const database = await opened();
  try {
    const transaction = database.transaction(CAPTURES, mode);
    const stored = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
    });
    stored.catch(() => undefined); // `work` may fail first
    const value = await work(transaction.objectStore(CAPTURES));
    await stored;
    return value;
  } finally {
    database.close();
  }
}

function opened(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(CAPTURES, { keyPath: "captureId" });
  return done(request);
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("refused"));
  });
}
