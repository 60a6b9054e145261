import type { RoomPublisher } from '../history/room-publisher.js';
import type { Delivery } from '../protocol/delivery.js';
import { checkSending } from './check-sending.js';
import { encodeMessage, flagsOf } from './outgoing.js';
import type { Sender } from './sender.js';

/**
 * The part of an emitter that a service uses. The emitter's own type would need the types of ioredis.
 */
interface Publisher extends Omit<Sender, 'send' | 'history' | 'presence'> {
  deliver(delivery: Delivery): Promise<unknown>;
}

/** Sends from a process without sockets. Only the options of each call decide about slow clients. */
export function emitterSender(emitter: Publisher, history: RoomPublisher | undefined): Sender {
  const deliver: Sender['send'] = (audience, message, options = {}) => {
    const frame = encodeMessage(message);
    return emitter.deliver({ audience, except: options.except, frame, ...flagsOf(message, options) });
  };
  return {
    history,
    presence: undefined,
    send: (audience, message, options = {}) => {
      checkSending(audience, options);
      const kept = history?.roomsIn(audience) ?? [];
      if (!history || kept.length === 0) return deliver(audience, message, options);
      return history.send(kept, audience, message, options, (roomNames) =>
        deliver({ kind: 'rooms', roomNames }, message, options),
      );
    },
    emit: (channel, data) => emitter.emit(channel, data),
    disconnect: (clientId, code, reason) => emitter.disconnect(clientId, code, reason),
    disconnectUser: (userId, code, reason) => emitter.disconnectUser(userId, code, reason),
  };
}
