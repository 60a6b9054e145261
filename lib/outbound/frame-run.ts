/**
 * The frames that sockets got in one turn, as a node of a trie. Sockets with the same frames in the same order share a
 * node, and with it the joined bytes. Only the first of these sockets costs memory, and none costs a copy.
 */
export class FrameRun {
  /** The next node; there is rarely a second one. */
  #next: FrameRun | undefined;
  #others: Map<Buffer, FrameRun> | undefined;
  #joined: Buffer | undefined;

  private constructor(
    private readonly before: FrameRun | undefined,
    private readonly frame: Buffer,
    /** The number of frames. */
    readonly depth: number,
  ) {}

  /** The empty run. */
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

  /** All frames in one buffer, which all sockets share. */
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
