import { Emitter } from '../cluster/emitter.js';
import { composePublisher } from '../history/compose-publisher.js';
import { FENCED_HISTORY, FenceCheck } from '../history/fence-check.js';
import { HistoryRules } from '../history/history-options.js';
import { LogConnection } from '../history/log-connection.js';
import { ErrorReport } from '../observe/error-report.js';
import { resolveOptions } from '../options/resolve-options.js';
import { emitterSender } from '../outbound/emitter-sender.js';
import type { Sender } from '../outbound/sender.js';
import type { WebSocketOptions } from '../server.js';
import { SYSTEM } from '../system.js';

/** The sender of a process without sockets. */
export interface ModuleEmitter {
  sender: Sender;
  close(): Promise<void>;
}

/** Connects the emitter. @returns undefined if `type` isn't `'emitter'` */
export async function startEmitter(given: WebSocketOptions): Promise<ModuleEmitter | undefined> {
  const { type, enabled, redis, prefix, events, rooms } = resolveOptions(given);
  if (type !== 'emitter' || !enabled || !redis) return undefined;
  const report = new ErrorReport(events, SYSTEM.clock);
  const failed = (error: unknown, place: string): void => report.failed(error, place);
  const rules = new HistoryRules(rooms.history);
  const emitter = await Emitter.connect(redis, prefix, SYSTEM, (error) => failed(error, 'the emitter'));
  const waiting = rules.waitsForReplica ? new LogConnection(redis, 'history-replicated', SYSTEM, failed) : undefined;
  await waiting?.connect();
  if (rules.isFenced && !rooms.log) await new FenceCheck(prefix, FENCED_HISTORY, failed).run(emitter.connection);
  const source = {
    connection: emitter.connection,
    prefix,
    isForeign: false,
    replicating: waiting?.open,
    log: rooms.log,
  };
  return {
    sender: emitterSender(emitter, composePublisher(source, rules, failed, SYSTEM)),
    close: async () => void (await Promise.all([emitter.close(), waiting?.close()])),
  };
}
