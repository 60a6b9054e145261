const KEY = 'pxl-session';
/** That of the newest client. A page may have made others before. */
let session = '';

/**
 * Keeps the session of a page over a reload. While the page lives it isn't in the storage, of which a duplicated tab gets a
 * copy: another tab is another session.
 * @param made for a page without one, and where there is no storage
 */
export function keepSession(made: string): string {
  try {
    const { sessionStorage } = globalThis;
    const kept = sessionStorage.getItem(KEY) ?? made;
    const take = (): void => sessionStorage.removeItem(KEY);
    if (!session) {
      addEventListener('pagehide', () => sessionStorage.setItem(KEY, session));
      addEventListener('pageshow', take); // from the back/forward cache
    }
    take();
    return (session = kept);
  } catch {
    return made; // the storage is blocked, or this is no page
  }
}
