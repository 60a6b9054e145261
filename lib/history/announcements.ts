import type { Followed } from '../clients/followed.js';
import type { Announcement } from './announcement.js';

type Listener = (said: Announcement) => void;

/** Passes announcements to the readers in this process. */
export class Announcements {
  readonly #listeners = new Map<string, Set<Listener>>();

  say(roomName: string, said: Announcement): void {
    for (const listener of this.#listeners.get(roomName) ?? []) listener(said);
  }

  /** Resolves when the room's announcements arrive here. The returned function ends that. */
  async follow(followed: Followed, name: string, heard: Listener): Promise<() => void> {
    const endListening = this.#add(name, heard);
    const end = (): void => {
      endListening();
      followed.release({ kind: 'log', name });
    };
    try {
      await followed.hold({ kind: 'log', name });
      return end;
    } catch (error) {
      end();
      throw error;
    }
  }

  #add(roomName: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(roomName) ?? new Set();
    this.#listeners.set(roomName, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(roomName) === listeners) this.#listeners.delete(roomName);
    };
  }
}
