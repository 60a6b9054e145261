import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const LIB = fileURLToPath(new URL('../../lib', import.meta.url));

/** Every module that `client/browser.ts` needs at run time, by its path below lib, with what it imports. */
export function findBrowserModules(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const visit = (file: string): void => {
    const path = relative(LIB, file);
    if (found.has(path)) return;
    const imports = importsOf(compile(path));
    found.set(path, imports);
    for (const specifier of imports) {
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier.replace(/\.js$/, '.ts')));
    }
  };
  visit(resolve(LIB, 'client/browser.ts'));
  return found;
}

/** Plain JavaScript of one file below lib: types, and imports of types alone, are gone. */
function compile(path: string): string {
  const { outputText } = ts.transpileModule(readFileSync(resolve(LIB, path), 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, isolatedModules: true },
  });
  return outputText;
}

/** Static and dynamic imports, `export … from` and `require` alike. */
function importsOf(code: string): string[] {
  return ts.preProcessFile(code, true, true).importedFiles.map(({ fileName }) => fileName);
}

/** Serves an empty page, and the client's modules to import into it. */
export function servesClient(): RequestListener {
  const modules = new Set(findBrowserModules().keys());
  return (request, response) => {
    const path = (request.url ?? '/').slice(1).replace(/\.js$/, '.ts');
    if (modules.has(path)) {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(compile(path));
    } else if (path === '') {
      const icon = '<link rel="icon" href="data:,">';
      response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><title>client</title>${icon}`);
    } else {
      response.writeHead(404).end();
    }
  };
}
