/** A value has no JSON form, or JSON would change it. */
export class NoJsonFormError extends TypeError {
  override readonly name = 'NoJsonFormError';
  /**
   * @param path where the value is, e.g. `data.picture`; empty for the whole @param what what is wrong, and what to do instead
   */
  constructor(
    readonly path: string,
    readonly what: string,
  ) {
    super(`${path === '' ? 'The message' : path} ${what}`);
  }
}

/** The maximum depth of values that are kept on every node, because each node writes them again and again. */
const MAX_DEPTH = 100;

/**
 * The JSON form of a value: plain objects, lists, strings, numbers, booleans and null. A value that is that already is
 * returned as it is; any other as a copy. A `Date` becomes its ISO text, an object with `toJSON()` what that returns, a class
 * instance its own fields. Fields that are `undefined` are left out.
 * @param path names the value in the error
 * @throws {NoJsonFormError} for a BigInt, a function, a symbol, a cycle, a key `__proto__`, more than 100 levels, and for what
 * JSON would empty or change: `Map`, `Set`, bytes, a `Promise`, an `Error`
 */
export function jsonForm(value: unknown, path: string): unknown {
  return copyOf(value, path, '', []);
}

/**
 * Writes JSON, and refuses values that JSON would change. Costs a search in the text; values are looked at only where
 * something may have been lost.
 * @throws {NoJsonFormError} naming the place @throws whatever a `toJSON()` or a getter throws
 */
export function writeJson(value: unknown, path = ''): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (error) {
    findLoss(value, path, '', []); // throws a better error, if it finds the place
    throw error;
  }
  if (text === undefined) throw new NoJsonFormError(path, NONE);
  if (mayHaveLost(text)) findLoss(value, path, '', []);
  return text;
}

/**
 * Finds what JSON makes of `Map`, `Set`, a typed array and a `Buffer`. Searching the text costs a tenth of writing it. A
 * replacer would double that time, and looking at every value would cost more in large messages.
 */
const mayHaveLost = (text: string): boolean =>
  text.includes('{}') || text.includes('{"0":') || text.includes('{"type":"Buffer"');
const NONE = 'has no JSON form. Leave it out, or send null.';

/** By the name of `Object.prototype.toString`, which works across realms. */
const INSTEAD: Readonly<Record<string, string>> = {
  Map: 'is a Map, which JSON makes empty. Use Object.fromEntries(map) or [...map].',
  Set: 'is a Set, which JSON makes empty. Use [...set].',
  WeakMap: 'is a WeakMap, which JSON makes empty.',
  WeakSet: 'is a WeakSet, which JSON makes empty.',
  Promise: 'is a Promise, which JSON makes empty. Await it.',
  Error: 'is an Error, which JSON makes empty. Use its message.',
  ArrayBuffer: 'is an ArrayBuffer, which JSON makes empty. Use base64 text.',
  SharedArrayBuffer: 'is a SharedArrayBuffer, which JSON makes empty. Use base64 text.',
};

type Fields = Record<string, unknown>;

/** @returns what is wrong with a value of this kind */
function lossOf(value: object): string | undefined {
  if (isPlain(value)) return undefined;
  if (ArrayBuffer.isView(value)) return 'holds bytes, which JSON turns into an object. Use base64 text, or [...bytes].';
  if (typeof (value as Fields)['toJSON'] === 'function') return undefined;
  return INSTEAD[Object.prototype.toString.call(value).slice(8, -1)];
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null;
}

function copyOf(given: unknown, path: string, key: string, above: object[]): unknown {
  refuseBytes(given, path);
  const value = withoutMethods(given, key);
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value + 0 : null; // -0 becomes 0
    case 'object':
      break;
    case 'undefined':
      return undefined;
    default:
      throw new NoJsonFormError(path, `is a ${typeof value}, which has no JSON form.${remedyFor(value)}`);
  }
  if (value === null) return null;
  const loss = lossOf(value);
  if (loss) throw new NoJsonFormError(path, loss);
  if (above.includes(value)) throw new NoJsonFormError(path, 'contains itself, which has no JSON form.');
  if (above.length >= MAX_DEPTH) throw new NoJsonFormError(path, `is nested in more than ${MAX_DEPTH} levels.`);
  if (isBoxed(value)) return value.valueOf();
  const inside = [...above, value];
  if (Array.isArray(value)) {
    const list = Array.from(value, (item, at) => copyOf(item, `${path}[${at}]`, `${at}`, inside) ?? null);
    return list.every((item, at) => Object.is(item, value[at])) ? value : list;
  }
  const copy: Fields = {};
  let isSame = isPlain(value);
  for (const [name, item] of Object.entries(value)) {
    if (name === '__proto__') throw new NoJsonFormError(path, 'has a key "__proto__".');
    const form = copyOf(item, join(path, name), name, inside);
    if (form !== undefined) copy[name] = form;
    isSame &&= Object.is(form, item) && form !== undefined;
  }
  return isSame ? value : copy;
}

/** Checks like `copyOf()`, without a copy. Functions and symbols in objects are left out, as JSON does. */
function findLoss(given: unknown, path: string, key: string, above: object[]): void {
  refuseBytes(given, path);
  const value = withoutMethods(given, key);
  if (typeof value === 'bigint')
    throw new NoJsonFormError(path, `is a bigint, which has no JSON form.${remedyFor(value)}`);
  if (typeof value !== 'object' || value === null) return;
  const loss = lossOf(value);
  if (loss) throw new NoJsonFormError(path, loss);
  if (above.includes(value)) throw new NoJsonFormError(path, 'contains itself, which has no JSON form.');
  if (above.length > DEEPEST) throw new NoJsonFormError(path.slice(0, 200), 'is nested too deeply to be written.');
  above.push(value);
  if (Array.isArray(value)) value.forEach((item, at) => findLoss(item, `${path}[${at}]`, `${at}`, above));
  else for (const [name, item] of Object.entries(value)) findLoss(item, join(path, name), name, above);
  above.pop();
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** Far below where writing JSON runs out of stack. */
const DEEPEST = 1_000;

/** A Buffer has a `toJSON()`, whose result is four times its size. */
function refuseBytes(value: unknown, path: string): void {
  if (typeof value === 'object' && value !== null && ArrayBuffer.isView(value))
    throw new NoJsonFormError(path, lossOf(value) as string);
}

/** Includes `BigInt.prototype.toJSON`, which some applications add. */
function withoutMethods(value: unknown, key: string): unknown {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'bigint') return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === 'function' ? (toJSON.call(value, key) as unknown) : value;
}

const isBoxed = (value: object): boolean =>
  ['String', 'Number', 'Boolean'].includes(Object.prototype.toString.call(value).slice(8, -1));

const remedyFor = (value: unknown): string => (typeof value === 'bigint' ? ' Use String(value).' : '');
