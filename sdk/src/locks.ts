// One tab at a time, where the browser has Web Locks; elsewhere the service's idempotency must do.

/** A request that asks only whether a lock is free is answered at once, or never. */
const ANSWER_MOST_MS = 1_000;

/** Runs `work` under a lock that ends with the page; null if another page holds it. */
export async function alone<T>(name: string, work: () => Promise<T>): Promise<T | null> {
  let running: Promise<T> | undefined;
  const once = (): Promise<T> => (running ??= work());
  const locked = async (): Promise<T | null> => {
    try {
      const how = { ifAvailable: true };
      return await navigator.locks.request(`expressconsent.${name}`, how, (lock) => (lock ? once() : null));
    } catch {
      return once(); // plain http, or a page without an origin: no locks. Or `work` has failed.
    }
  };
  const late = new Promise<void>((resolve) => setTimeout(resolve, ANSWER_MOST_MS));
  const answer = locked();
  await Promise.race([answer, late.then(() => undefined)]);
  return running ?? Promise.race([answer, late.then(once)]);
}
