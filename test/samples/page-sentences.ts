import type { Page } from 'playwright-core';

/**
 * What a page tells people of every error that its client can give it. The message of each error is `RAW`, which no person
 * should see; `own` is what it makes of a sentence that the sample's own server wrote.
 * @param script the module of the page, as its address
 * @param name the function of that module which makes a sentence of an error
 */
export function pageSentences(page: Page, script: string, name: string): Promise<{ said: string[]; own: string }> {
  return page.evaluate(`(async () => {
    const client = await import('@scpxl/nestjs-websocket/client');
    const { ${name}: sentenceOf } = await import(new URL('${script}', location.href));
    const { ConnectionError, ErrorCode, InvalidStateError, RemoteError, TimeoutError } = client;
    const errors = [
      new ConnectionError('RAW'),
      new InvalidStateError('RAW'),
      new TimeoutError('RAW', 1),
      ...Object.values(ErrorCode).map((code) => new RemoteError(code, 'RAW', { flaw: 'RAW' })),
    ];
    return { said: errors.map(sentenceOf), own: sentenceOf(new RemoteError('OWN_CODE', 'A sentence of the sample.')) };
  })()`);
}
