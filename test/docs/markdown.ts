import { join } from 'node:path';
import ts from 'typescript';

/** The TypeScript snippets of a page. */
export const snippetsOf = (page: string): string[] =>
  [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text = '']) => text);

/** Where a page links to within the repository. */
export const linksOf = (page: string): string[] =>
  [...withoutCode(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link = '']) => link);

/** The anchors of its headings, as GitHub and the site make them. */
export const anchorsOf = (page: string): string[] =>
  [...withoutCode(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^a-z0-9_ -]/g, '')
      .replaceAll(' ', '-'),
  );

const withoutCode = (page: string): string => page.replaceAll(/^```[\s\S]*?^```$/gm, '');

/** How many words a reader reads, tables included, code left out. */
export const wordsOf = (page: string): number =>
  withoutCode(page)
    .replaceAll(/\]\([^)]*\)/g, ']')
    .split(/[\s|]+/)
    .filter((word) => /[a-z0-9]/i.test(word)).length;

/** What the pages import and this package doesn't install: as much of its types as they use. */
const OUTSIDE = `declare module '@nestjs/config' {
  import type { DynamicModule } from '@nestjs/common';
  export class ConfigModule { static forRoot(): Promise<DynamicModule> }
  export class ConfigService { get<T>(key: string): T | undefined; getOrThrow<T>(key: string): T }
}`;

/** Compiles texts as if they were files of test/docs, with the project's own settings; tells what is wrong with each. */
export function flawsOf(root: string, texts: string[]): string[][] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['x.ts'] }, ts.sys, root);
  const paths = texts.map((_, index) => join(root, 'test/docs', `snippet-${index + 1}.ts`));
  const outside = join(root, 'test/docs/outside.d.ts');
  const textOf = new Map([...paths.map((path, index) => [path, texts[index] ?? ''] as const), [outside, OUTSIDE]]);
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
  const program = ts.createProgram({ rootNames: [...paths, outside], options, host });
  return paths.map((path) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(path)).map(({ file, start = 0, messageText }) => {
      const { line = 0 } = file?.getLineAndCharacterOfPosition(start) ?? {};
      return `line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    }),
  );
}
