import type { Check } from '../protocol/check.js';
import { isObject } from './checks.js';
import { unknownOption } from './unknown-options.js';

/** All facts about one option, except what it does. That is in its doc comment, and `docs/options.md` is made from both. */
export interface Option<T = unknown, S = never> {
  /** Left out if the option is checked where it is used, e.g. a key that must be read first. */
  readonly check?: Check;
  readonly default?: T;
  /** Adjusts the default to the rest of the section, whose other defaults are filled in. */
  readonly fit?: (section: Required<S>) => T;
  /** The unit of a number, if `check` doesn't say it. */
  readonly unit?: string;
  /** The options of a section. */
  readonly fields?: Fields;
}

/** A table of any options. */
export type Fields = Readonly<Record<string, Option>>;

/** A table with every option of `S`, and no other. */
export type Table<S> = { readonly [K in keyof Required<S>]: Option<NonNullable<S[K]>, S> };

type Filled<T> = { [K in keyof T]: T[K] extends { readonly default: unknown } | { readonly fit: unknown } ? K : never };

/** The options `S` with the defaults of the table `T`. */
export type WithDefaults<S, T> = Omit<S, Filled<T>[keyof T] & keyof S> &
  Required<Pick<S, Filled<T>[keyof T] & keyof S>>;

/** Fills in the defaults. An option that is `undefined` takes its default, too. */
export function fill<S extends object, T extends Table<S>>(table: T, given: S | undefined): WithDefaults<S, T> {
  const filled: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given ?? {})) if (value !== undefined) filled[name] = value;
  const missing = Object.entries<Option<unknown, S>>(table).filter(([name]) => filled[name] === undefined);
  for (const [name, option] of missing) if (option.default !== undefined) filled[name] = option.default;
  for (const [name, { fit }] of missing) if (fit) filled[name] = fit(filled as Required<S>);
  return filled as WithDefaults<S, T>;
}

/** The names of all options, with their sections: `drain`, `drain.spreadMs`. */
export function namesIn(table: Fields, prefix = ''): string[] {
  return Object.entries(table).flatMap(([name, { fields = {} }]) => [
    prefix + name,
    ...namesIn(fields, `${prefix}${name}.`),
  ]);
}

/** What is wrong with each option by itself. @param known the names of all options */
export function* fieldFlaws(table: Fields, given: object, known: readonly string[], prefix = ''): Generator<string> {
  for (const [field, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined) continue;
    const name = prefix + field;
    // An option may be called `constructor`, too.
    const option = Object.hasOwn(table, field) ? table[field] : undefined;
    if (!option) yield unknownOption(name, known);
    else if (option.check && !option.check.holds(value)) yield `"${name}" must be ${option.check.must}`;
    if (option?.fields && isObject(value) && !Array.isArray(value))
      yield* fieldFlaws(option.fields, value, known, `${name}.`);
  }
}
