import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const page = textOf('docs/architecture.md');

const filesOfLib = (): string[] =>
  readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .map((path) => `lib/${path}`)
    .filter((path) => path.endsWith('.ts'));

/** A file without its comments. */
const codeOf = (file: string): string => textOf(file).replaceAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');

/** Time and chance that nobody passed in: of Node, and our own `System` of the process. */
const OF_THE_SYSTEM = new RegExp(
  [
    String.raw`\b(set|clear)(Timeout|Interval)\b`,
    String.raw`\bDate\.now\b|\bnew Date\(\)|\bDate\(\)`,
    String.raw`\bperformance\.now\b|\bhrtime\b|\bAbortSignal\.timeout\b|['"](node:)?timers\b`,
    String.raw`\bMath\.random\b|\brandom(Bytes|Fill|FillSync|Int|UUID)\b|\bgetRandomValues\b`,
    String.raw`\b(systemClock|systemIds|SYSTEM)\b`,
  ].join('|'),
);

const filesIn = (text: string): string[] => [...text.matchAll(/`(lib\/[\w./-]+\.ts)`/g)].map(([, file = '']) => file);

function section(title: string): string {
  const [, text = ''] = page.split(`## ${title}\n`);
  return text.split('\n## ')[0] ?? '';
}

/** What the linter's configuration says about some files. */
interface Override {
  files: string[];
  rules: { 'no-restricted-imports'?: [string, { patterns: { regex: string }[] }] };
}

/** What a file of lib imports, types included. */
function importsOf(file: string): string[] {
  return [...textOf(file).matchAll(/from '(\.[^']+)\.js'/g)].map(([, path = '']) =>
    relative(root, join(root, dirname(file), `${path}.ts`)),
  );
}

const areTied = (one: string, other: string): boolean =>
  importsOf(one).includes(other) || importsOf(other).includes(one);

describe('the architecture page', () => {
  it('names only files and folders that exist, and every folder of lib', () => {
    expect(filesIn(page).filter((file) => !existsSync(join(root, file)))).toEqual([]);
    const named = new Set([...page.matchAll(/`lib\/([\w-]+)`/g)].map(([, folder]) => folder));
    const folders = readdirSync(join(root, 'lib'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(named).toEqual(new Set(folders.map(({ name }) => name)));
  });

  it('has the walls that the linter holds', () => {
    const { overrides } = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8')) as { overrides: Override[] };
    const rows = [...section('The walls').matchAll(/^\| `lib\/([a-z]+)` \| (.+) \|$/gm)];
    const all = readdirSync(join(root, 'lib'), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
    expect(new Set([...rows.map(([, folder]) => folder), 'module'])).toEqual(new Set(all));
    for (const [, folder = '', allowed = ''] of rows) {
      const { rules } = overrides.find(({ files }) => files.includes(`lib/${folder}/**`)) as Override;
      const wall = new RegExp(rules['no-restricted-imports']?.[1].patterns[0]?.regex ?? '');
      const open = all.filter((other) => other !== folder && !wall.test(`../${other}/file.js`));
      expect([folder, ...open]).toEqual([folder, ...[...allowed.matchAll(/`(\w+)`/g)].map(([, name]) => name)]);
      for (const file of ['server', 'compose-server', 'application', 'server-node', 'websocket.service'])
        expect([folder, file, wall.test(`../${file}.js`)]).toEqual([folder, file, true]);
    }
  });

  it.each([
    'A message comes in',
    'A message goes out',
    'The life of a connection',
    'A client changes',
    'A room with history',
    'A message with a key',
    'Who is in a room',
    'The client',
    'An option',
  ])('follows the imports where it says how: %s', (title) => {
    const way = filesIn(section(title));
    expect(way.length).toBeGreaterThan(5);
    const loose = way.filter(
      (file, index) => index > 0 && !way.slice(0, index).some((before) => areTied(before, file)),
    );
    expect(loose).toEqual([]);
  });

  it('names each file of the server that asks the system for time or chance, and no other', () => {
    const asking = filesOfLib().filter((path) => !path.startsWith('lib/client/') && OF_THE_SYSTEM.test(codeOf(path)));
    const named = new Set(filesIn(section('Clocks and chance')));
    expect(new Set(asking)).toEqual(named);
  });

  it('gives a reason for each file above 250 lines, and for no other', () => {
    const long = filesOfLib().filter((path) => textOf(path).split('\n').length - 1 > 250);
    expect(new Set(filesIn(section('Files above 250 lines')))).toEqual(new Set(long));
  });
});
