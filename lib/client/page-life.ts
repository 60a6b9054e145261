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
  const onVisibility = (): void => {
    if (document?.visibilityState === 'visible') onWake();
  };
  const onPageShow = (event: object): void => {
    if ((event as { persisted?: boolean }).persisted) onWake();
  };
  const listeners: [Target | undefined, string, (event: object) => void][] = [
    [globalThis, 'online', onWake],
    [globalThis, 'pageshow', onPageShow],
    [document, 'visibilitychange', onVisibility],
  ];
  for (const [target, type, listener] of listeners) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type, listener] of listeners) target?.removeEventListener?.(type, listener);
  };
}
