import { existsSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What is wrong with what was typed. */
class UsageError extends Error {}

type Values<T extends ParseArgsConfig['options']> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** @throws {UsageError} for an unknown option, a value that is missing, or words that belong to no option */
export function parse<const T extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: T): Values<T> {
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    // The rest explains how to write a word that looks like an option.
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}

/** Names with commas between them. @throws {UsageError} */
export function namesOf<T extends string>(option: string, given: string | undefined, all: readonly T[]): T[] {
  if (given === undefined) return [...all];
  const names = given.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !(all as readonly string[]).includes(name));
  if (unknown.length > 0)
    throw new UsageError(`${option}: there is no ${unknown.map((name) => `"${name}"`).join(', ')}`);
  return all.filter((name) => names.includes(name));
}

/** @throws {UsageError} */
export function countOf(option: string, given: string | undefined, usual: number): number {
  if (given === undefined) return usual;
  const count = Number(given);
  if (!/^\d+$/.test(given) || count < 1) throw new UsageError(`${option}: "${given}" is not a whole number above 0`);
  return count;
}

/** A value of `delivery.flush` as JSON. @throws {UsageError} */
export function flushOf(given: string): string {
  try {
    const flush = JSON.parse(given) as unknown;
    const gapMs = (flush as { gapMs?: unknown } | null)?.gapMs;
    if (flush === 'turn' || flush === 'auto' || (typeof gapMs === 'number' && gapMs >= 0 && gapMs <= 1_000))
      return given;
  } catch {
    // Said below.
  }
  throw new UsageError(`--flush: ${given} is none of '"turn"', '"auto"' and '{"gapMs":5}'`);
}

/** @throws {UsageError} */
export function fileOf(option: string, given: string | undefined): string | undefined {
  if (given !== undefined && !existsSync(given)) throw new UsageError(`${option}: there is no file ${given}`);
  return given;
}

/** Runs `read`. Prints the usage for `--help`, and what is wrong with its arguments; either ends the process. */
export function readCommandLine<T extends object>(usage: string, read: (args: string[]) => T): T {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    console.info(usage);
    return process.exit(0);
  }
  try {
    return read(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}. --help says what there is.`);
    return process.exit(2);
  }
}
