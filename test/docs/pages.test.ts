import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { CloseCode, ErrorCode } from '../../lib/index.js';
import { OPTION_NAMES } from '../../lib/options/options.js';
import { anchorsOf, flawsOf, linksOf, snippetsOf, wordsOf } from './markdown.js';
import { allOptions, MARK, type OptionRow, optionsText, written } from './options-page.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', 'SECURITY.md', ...listPages()];
// A link to a file that git doesn't know is dead for everybody else, and on npm, which shows the README.
const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');

/** Nobody reads these from the beginning to the end. */
const LOOKED_UP = new Set(
  ['architecture', 'faults', 'guarantees', 'latency', 'options', 'performance', 'protocol'].map(
    (name) => `docs/${name}.md`,
  ),
);

function listPages(): string[] {
  return readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
}

describe('the documentation', () => {
  it('has snippets that compile, in a check that would catch one that does not', () => {
    const snippets = pages.flatMap((page) => snippetsOf(textOf(page)).map((text) => ({ page, text })));
    expect(snippets.length).toBeGreaterThan(20);
    const wrong = `import { Nothing } from '@scpxl/nestjs-websocket'; Nothing();`;
    const flaws = flawsOf(root, [...snippets.map(({ text }) => text), wrong]);
    expect(flaws.pop()).toHaveLength(1);
    const found = snippets.map(({ page, text }, index) => ({ page, text, flaws: flaws[index] ?? [] }));
    expect(found.filter((snippet) => snippet.flaws.length > 0)).toEqual([]);
  });

  it('links only to files and headings that exist', () => {
    const dead = pages.flatMap((page) =>
      linksOf(textOf(page))
        .filter((link) => !leadsSomewhere(page, link))
        .map((link) => `${page}: ${link}`),
    );
    expect(dead).toEqual([]);
  });

  it.each(listPages().filter((page) => !LOOKED_UP.has(page)))('is read in two minutes: %s', (page) => {
    expect(wordsOf(textOf(page))).toBeLessThanOrEqual(600);
  });

  it('names only scripts that exist', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: object };
    const known = [...Object.keys(scripts), 'install', 'packages', 'create'];
    for (const page of pages)
      for (const [, script] of textOf(page).matchAll(/`npm run ([a-z][a-z:-]*)/g)) expect([...known]).toContain(script);
  });

  it('has every page in the sidebar of the site, and no other', () => {
    const named = [...textOf('docs/.vitepress/config.ts').matchAll(/page\('([^']+)'/g)].map(([, name]) => name);
    const there = listPages().map((path) => path.slice('docs/'.length, -'.md'.length));
    expect(new Set(named)).toEqual(new Set(there.filter((name) => name !== 'index')));
  });
});

describe('the README', () => {
  it('names the repository that its links lead into on npm', () => {
    const { repository } = JSON.parse(textOf('package.json')) as { repository: { url: string } };
    expect(repository.url).toMatch(/^git\+https:\/\/.+\.git$/);
  });

  it('has at most 8 KB', () => {
    expect(Buffer.byteLength(textOf('README.md'))).toBeLessThanOrEqual(8_192);
  });
});

describe('the options page', () => {
  const { server, client } = allOptions();
  const rows = [...server, ...client].flatMap(function all(row): OptionRow[] {
    return [row, ...row.rows.flatMap(all)];
  });

  it('lists every option of the server and of the client, as `npm run docs:options` writes it', () => {
    expect(textOf('docs/options.md').split(MARK)[1]).toBe(`\n${optionsText()}\n`);
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining([...OPTION_NAMES]));
  });

  it.each(rows.filter(({ value }) => value !== undefined))(
    'has the default that the doc comment has, too: $name',
    ({ value, documented, isFitted }) => {
      const plain = documented.replaceAll(/(?<=\d)_(?=\d)/g, '');
      expect(isFitted ? plain.split(',')[0] : plain).toBe(written(value));
    },
  );

  it.each(rows)('says what it does: $name', ({ says }) => {
    expect(says).toMatch(/^\S.*[.)]$/);
  });
});

describe("the page of the client's options", () => {
  it('names every option of the client', () => {
    const text = textOf('docs/client-options.md');
    const names = allOptions().client.flatMap(({ name, rows }) => [name, ...rows.map((row) => row.name)]);
    const last = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
    expect(names.filter((name) => !new RegExp(`\\b${last(name)}(:|\`)`).test(text))).toEqual([]);
  });
});

describe('the protocol page', () => {
  it('names every error code and every close code', () => {
    const text = textOf('docs/protocol.md');
    for (const code of Object.values(ErrorCode)) expect(text).toContain(`\`${code}\``);
    const table = text.slice(text.indexOf('## Close codes'));
    for (const code of Object.values(CloseCode)) expect(table).toContain(String(code));
  });
});

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : relative(root, join(root, dirname(page), path));
  if (!tracked.some((file) => file === target || file.startsWith(`${target}/`))) return false;
  return anchor === undefined || anchorsOf(textOf(target)).includes(anchor);
}
