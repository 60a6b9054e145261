import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** The numbers of each kind of promise, in the order of the page. */
const PROMISES = { R: upTo(13), D: upTo(13), L: upTo(6), C: upTo(9), H: upTo(15), P: upTo(11) };
const NUMBER = String.raw`[${Object.keys(PROMISES).join('')}]\d+`;
const root = fileURLToPath(new URL('..', import.meta.url));

/** By their number: "L3" to "hostile/slow-consumer", … */
type Files = Record<string, string[]>;

function add(files: Files, number: string, file: string): void {
  const known = (files[number] ??= []);
  if (!known.includes(file)) known.push(file);
  known.sort();
}

/** As docs/guarantees.md says. */
function listed(): Files {
  const files: Files = {};
  const page = readFileSync(join(root, '../docs/guarantees.md'), 'utf8');
  for (const [, number = '', row = ''] of page.matchAll(
    new RegExp(String.raw`^\| (${NUMBER}) \|[^|]*\|([^|]*)\|$`, 'gm'),
  ))
    for (const [, file = ''] of row.matchAll(/\(\.\.\/test\/([^)]+)\.test\.ts\)/g)) add(files, number, file);
  return files;
}

/** As the names of tests begin: "L3: is closed", "R4, D10: are nobody else's", "D1 D2 D9 deliver everything". */
function borne(): Files {
  const files: Files = {};
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' });
  for (const path of paths.filter((name) => name.endsWith('.test.ts') && !name.startsWith('docs/'))) {
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, numbers = ''] of text.matchAll(new RegExp(String.raw`['"\`]((?:${NUMBER}[,:]? )+)`, 'g')))
      for (const number of numbers.match(/\w+/g) ?? []) add(files, number, path.replace(/\.test\.ts$/, ''));
  }
  return files;
}

describe('the page of guarantees', () => {
  it('names for each promise every test that bears its number, and no other', () => {
    const all = Object.entries(PROMISES).flatMap(([kind, numbers]) => numbers.map((number) => `${kind}${number}`));
    expect(Object.keys(listed())).toEqual(all);
    expect(listed()).toEqual(borne());
  });
});
