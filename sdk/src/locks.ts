// One tab at a time, where the browser has Web Locks; elsewhere the service's idempotency must do.

/** Runs `work` under a lock that ends with the page; null if another page holds it. */
export async function alone<T>(name: string, work: () => Promise<T>): Promise<T | null> {
  let begun = false;
  const once = (): Promise<T> => {
    begun = true;
    return work();
  };
  try {
    const how = { ifAvailable: true };
    return await navigator.locks.request(`expressconsent.${name}`, how, (lock) => (lock ? once() : null));
  } catch (error) {
    if (begun) throw error;
    return once(); // plain http, or a page without an origin: no locks
  }
}
