import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { CloseCode, ErrorCode } from '../../lib/index.js';
import { DEFAULTS, OPTION_NAMES } from '../../lib/resolve-options.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Compiles texts as if they were files of test/docs, with the project's own settings; tells what is wrong with each. */
function flawsOf(texts: string[]): string[][] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['x.ts'] }, ts.sys, root);
  const paths = texts.map((_, index) => join(root, 'test/docs', `snippet-${index + 1}.ts`));
  const textOf = new Map(paths.map((path, index) => [path, texts[index] ?? '']));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => textOf.has(path) || fileExists.call(host, path);
  host.readFile = (path) => textOf.get(path) ?? readFile.call(host, path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = textOf.get(path);
    return text === undefined
      ? getSourceFile.call(host, path, language, ...rest)
      : ts.createSourceFile(path, text, language);
  };
  const program = ts.createProgram({ rootNames: paths, options, host });
  return paths.map((path) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(path)).map(({ file, start = 0, messageText }) => {
      const { line = 0 } = file?.getLineAndCharacterOfPosition(start) ?? {};
      return `line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    }),
  );
}

const snippets = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');

describe('the README', () => {
  it('has snippets that compile, in a check that would catch one that does not', () => {
    expect(snippets.length).toBeGreaterThan(10);
    const wrong = `import { Nothing } from '@scpxl/nestjs-websocket'; Nothing();`;
    const flaws = flawsOf([...snippets, wrong]);
    expect(flaws.pop()).toHaveLength(1);
    expect(flaws).toEqual(snippets.map(() => []));
  }, 120_000);

  it('lists every option with its default', () => {
    const lines = readme.matchAll(/^\| `([\w.]+)` \|[^|]*\|([^|]*)\|/gm);
    const rows = new Map([...lines].map(([, name, value]) => [name, value?.trim()]));
    const isSection = (name: string): boolean => OPTION_NAMES.some((other) => other.startsWith(`${name}.`));
    for (const name of OPTION_NAMES) {
      if (isSection(name) || /^(events|client)\./.test(name)) continue;
      expect([...rows.keys()]).toContain(name);
      const value = name
        .split('.')
        .reduce<unknown>((section, field) => (section as Record<string, unknown> | undefined)?.[field], DEFAULTS);
      if (value === undefined) continue;
      expect(`${name}: ${rows.get(name)}`).toBe(
        `${name}: \`${JSON.stringify(value).replaceAll('"', "'").replaceAll(',', ', ')}\``,
      );
    }
  });

  it('names every error code and every close code', () => {
    for (const code of Object.values(ErrorCode)) expect(readme).toContain(`\`${code}\``);
    const table = readme.slice(readme.indexOf('## Close codes'), readme.indexOf('## What is promised'));
    for (const code of Object.values(CloseCode)) expect(table).toContain(String(code));
  });

  it('names only scripts that exist, and links only to what is there', () => {
    const { scripts, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: object;
      repository: { url: string };
    };
    const named = [...readme.matchAll(/npm (?:run )?([a-z][a-z:-]*)/g)].map(([, script]) => script);
    for (const script of named) expect([...Object.keys(scripts), 'install', 'packages']).toContain(script);
    const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, anchor] of readme.matchAll(/\]\(#([^)]+)\)/g)) expect(headings).toContain(anchor);
    // npm shows the README with these pointing into the repository that package.json names.
    const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
    const paths = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)|(?:src|href)="(?!https?:|#)([^"#]+)/g)];
    expect(paths.length).toBeGreaterThan(0);
    for (const [, linked, written] of paths) expect(tracked).toContain(linked ?? written);
    expect(repository.url).toMatch(/^git\+https:\/\/.+\.git$/);
  });
});
