/**
 * The parameters of a path: for each `:name`, its segment, decoded. The client chose them: check them before you use them.
 */
export type PathParams = Readonly<Record<string, string>>;

// Without a prototype: a name such as `constructor` must not look like a parameter.
export const NO_PARAMS: PathParams = Object.freeze(Object.create(null) as Record<string, string>);

const PARAMETER = /^:[A-Za-z][A-Za-z0-9_]*$/;

/** A path in which `:name` stands for one segment. The rest must match exactly and is never decoded. */
export class PathPattern {
  readonly #names: string[] = [];
  readonly #form: RegExp;

  constructor(readonly path: string) {
    const segments = path.split('/').map((segment) => {
      if (!PARAMETER.test(segment)) return segment.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
      this.#names.push(segment.slice(1));
      return '([^/]+)';
    });
    this.#form = new RegExp(`^${segments.join('/')}$`);
  }

  /** True for a path without parameters. It takes precedence over a path with parameters. */
  get isExact(): boolean {
    return this.#names.length === 0;
  }

  matches(path: string): boolean {
    return this.#form.test(path);
  }

  /** True when some path matches both and neither has precedence. */
  rivals(other: PathPattern): boolean {
    if (this.isExact || other.isExact) return this.path === other.path;
    const [ours, theirs] = [this.path.split('/'), other.path.split('/')];
    const isSame = (segment: string, index: number): boolean =>
      segment === theirs[index] || PARAMETER.test(segment) || PARAMETER.test(theirs[index] ?? '');
    return ours.length === theirs.length && ours.every(isSame);
  }

  /** @returns undefined for a path that doesn't match or can't be decoded */
  read(path: string): PathParams | undefined {
    const [, ...values] = this.#form.exec(path) ?? [''];
    if (values.length !== this.#names.length) return undefined;
    if (values.length === 0) return NO_PARAMS;
    const params = Object.create(null) as Record<string, string>;
    try {
      for (const [index, name] of this.#names.entries()) params[name] = decodeURIComponent(values[index] as string);
    } catch {
      return undefined; // an incomplete percent escape, or bytes that aren't UTF-8
    }
    return Object.freeze(params);
  }
}

/** What is wrong with a path. */
export function* pathFlaws(path: string): Generator<string> {
  const wild = /[*(){}]/.exec(path)?.[0];
  if (wild)
    yield `"path" has "${wild}", but there are no wildcards: write every segment, or a parameter such as '/ws/:tenant'`;
  const names = path.split('/').filter((segment) => segment.includes(':'));
  for (const name of names) {
    if (!PARAMETER.test(name))
      yield `"path" has "${name}": a parameter is a whole segment, a ':' and a name of letters, digits and _, such as '/ws/:tenant'`;
  }
  if (new Set(names).size < names.length) yield '"path" names a parameter twice: give each a name of its own';
}
