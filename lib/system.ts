import { type Clock, systemClock } from './clock.js';
import { type Ids, systemIds } from './cluster/ids.js';

/** Where a server gets time, timers, ids and random numbers from. */
export interface System {
  readonly clock: Clock;
  readonly ids: Ids;
}

/** Those of the process. Taken once, where a server or an emitter is built; all parts get them from there. */
export const SYSTEM: System = { clock: systemClock, ids: systemIds };
