/**
 * A sequence of frames that sockets received in the same turn, as a node of a trie: sockets that got the same ones, in the
 * same order, share the node, and with it the joined bytes. Adding a frame costs no copy and, but for the first socket, no
 * memory.
 */
export class FrameRun {
  /** Nearly always the only one. */
  #next: FrameRun | undefined;
  #others: Map<Buffer, FrameRun> | undefined;
  #joined: Buffer | undefined;

  private constructor(
    private readonly before: FrameRun | undefined,
    private readonly frame: Buffer,
    /** How many frames. */
    readonly depth: number,
  ) {}

  /** Where the runs of a turn begin. */
  static start(): FrameRun {
    return new FrameRun(undefined, Buffer.alloc(0), 0);
  }

  plus(frame: Buffer): FrameRun {
    if (this.#next?.frame === frame) return this.#next;
    const known = this.#others?.get(frame);
    if (known) return known;
    const run = new FrameRun(this, frame, this.depth + 1);
    if (this.#next) (this.#others ??= new Map()).set(frame, run);
    else this.#next = run;
    return run;
  }

  /** All its frames in one buffer, joined once for all sockets. */
  joined(): Buffer {
    if (this.depth === 1) return this.frame;
    return (this.#joined ??= Buffer.concat(this.#frames()));
  }

  #frames(): Buffer[] {
    const frames = [this.frame];
    for (let run = this.before; run && run.depth > 0; run = run.before) frames.push(run.frame);
    return frames.toReversed();
  }
}
