// How long a caller waits who has not said it.

interface Connection {
  /** Round trip, milliseconds. */
  rtt?: number;
  /** Megabits per second. */
  downlink?: number;
}

const LEAST_MS = 5_000;
const MOST_MS = 20_000;

/** Milliseconds for an upload of so many bytes, 5,000 to 20,000: more on a slow connection. */
export function budgetMs(bytes: number): number {
  const { rtt, downlink } = (navigator as { connection?: Connection }).connection ?? {};
  // Uploads are often a quarter as fast as downloads; unknown: 50 KB/s.
  const needed = rtt && downlink ? 4_000 + 10 * rtt + (bytes * 8 * 4) / (downlink * 1_000) : 10_000 + bytes / 50;
  return Math.round(Math.min(MOST_MS, Math.max(LEAST_MS, needed)));
}

/** The budget before the size is known. */
export const UNKNOWN_MS = MOST_MS;
