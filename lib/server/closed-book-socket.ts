import { WebSocket } from 'ws';

/**
 * A socket without a JSON form. An application that sends a client's `ws` along by mistake would otherwise publish its
 * inside: the remote address, the request, half a frame.
 */
export class ClosedBookSocket extends WebSocket {
  toJSON(): undefined {
    return undefined;
  }
}
