interface Target {
  addEventListener?(type: string, listener: (event: object) => void): void;
  removeEventListener?(type: string, listener: (event: object) => void): void;
}

/**
 * Calls `onWake` whenever a page may have lost its connection unnoticed: when it comes back online, becomes visible, or
 * returns from the back/forward cache. Does nothing outside a page.
 * @returns a function that removes every listener
 */
export function watchPage(onWake: () => void): () => void {
  const { document } = globalThis as { document?: Target & { visibilityState?: string } };
  const listener = ({ type, persisted }: { type?: string; persisted?: boolean }): void => {
    if (persisted ?? (type === 'online' || document?.visibilityState === 'visible')) onWake();
  };
  const events: [Target | undefined, string][] = [
    [globalThis, 'online'],
    [globalThis, 'pageshow'],
    [document, 'visibilitychange'],
  ];
  for (const [target, type] of events) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type] of events) target?.removeEventListener?.(type, listener);
  };
}
