import { Agent as HttpAgent } from 'node:http';
import { createServer } from 'node:https';
import { connect as connectTcp } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketServer } from 'ws';
import { InvalidOptionsError } from '../../lib/errors.js';
import { cleanUp, onCleanUp, startServer, TestClient } from './support.js';

afterEach(cleanUp);

/** Of "localhost" and 127.0.0.1, signed by itself, for these tests alone. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2RiRwI3KTaxn57+X
TB0R6tctHyhofvCOKPpbR3n+qvmhRANCAARiad9QEj9QSO3CTcFzX6cGqK5exUQl
1jTHit26EduCc2FEJeQ34l8XbflR0lq4AwQbnFsc0IhKrnY2463UCiY7
-----END PRIVATE KEY-----`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBZzCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGJp31ASP1BI7cJN
wXNfpwaorl7FRCXWNMeK3boR24JzYUQl5DfiXxdt+VHSWrgDBBucWxzQiEqudjbj
rdQKJjujTjBMMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMB0GA1UdDgQWBBSyDB1mLEcKRb6mv2S3o6uI+Y1+qDAKBggqhkjOPQQD
AgNIADBFAiBMuspBdog1U+T8+ZkaRjQqr+RYZLYhKAFNu2I6LuzzBgIhAI/CeCvJ
F2G2JLnqX0Jpg1TZYsz8d6llQ7gWvrznBHNE
-----END CERTIFICATE-----`;

async function startTls(): Promise<string> {
  const https = createServer({ key: KEY, cert: CERTIFICATE });
  const wss = new WebSocketServer({ server: https });
  wss.on('connection', (socket) => {
    socket.send('{"type":"system","action":"connected","data":{"clientId":"secure"}}');
  });
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  onCleanUp(async () => {
    for (const socket of wss.clients) socket.terminate();
    await new Promise((resolve) => https.close(resolve));
  });
  return `wss://127.0.0.1:${(https.address() as AddressInfo).port}/ws`;
}

describe('the Node client', () => {
  it('trusts the authority that its tls options name', async () => {
    const url = await startTls();
    await expect(new TestClient({ url }).connectToServer()).rejects.toThrow(/self-signed certificate/);
    const client = new TestClient({ url, tls: { ca: CERTIFICATE } });
    await client.connectToServer();
    expect(client.clientId).toBe('secure');
  });

  it('connects through its agent', async () => {
    const server = await startServer();
    let asked = 0;
    class Agent extends HttpAgent {
      override createConnection(): ReturnType<HttpAgent['createConnection']> {
        asked += 1;
        return connectTcp(server.port, '127.0.0.1');
      }
    }
    const client = new TestClient({ url: 'ws://chat.invalid/ws', agent: new Agent() });
    await client.connectToServer();
    expect([client.clientId, asked]).toEqual(['client-1', 1]);
  });

  it('refuses tls and agent that are none', () => {
    const url = 'ws://127.0.0.1:1/ws';
    const make = (more: object) => (): TestClient => new TestClient({ url, ...more });
    expect(make({ tls: 'strict' })).toThrow(InvalidOptionsError);
    expect(make({ agent: 'proxy' })).toThrow(/agent is not an http.Agent/);
  });
});
