import { describe, expect, it } from '@jest/globals';
import { findBrowserModules } from './browser-modules.js';

describe('the browser client', () => {
  const modules = findBrowserModules();

  it('imports nothing but its own files: no Node, no Nest, no ws', () => {
    const foreign = [...modules].flatMap(([path, imports]) =>
      imports.filter((specifier) => !specifier.startsWith('.')).map((specifier) => `${path} imports ${specifier}`),
    );
    expect(foreign).toEqual([]);
    expect([...modules.keys()]).toContain('client/client-core.ts');
  });

  it('imports nothing of the server', () => {
    expect(
      [...modules.keys()].filter((path) => !/^(client\/|protocol\/|errors\.ts$|pending-requests\.ts$)/.test(path)),
    ).toEqual([]);
    expect([...modules.keys()]).not.toContain('client/websocket-client.ts');
  });

  it('writes every import with its ending, as a browser needs it', () => {
    const bare = [...modules.values()].flat().filter((specifier) => !specifier.endsWith('.js'));
    expect(bare).toEqual([]);
  });
});
