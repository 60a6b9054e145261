import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '../..');
const ENTRIES = ['lib/index.ts', 'lib/client/browser.ts', 'lib/client/react.ts'];

describe('the public surface', () => {
  const program = programOf(ENTRIES.map((entry) => join(root, entry)));

  it.each(ENTRIES)(
    'of %s is what public-surface.txt lists: a name that goes from there breaks an application',
    (entry) => {
      const listed = readFileSync(join(root, 'test/package/public-surface.txt'), 'utf8').split(/^# /m);
      const [, ...names] = (listed.find((part) => part.startsWith(`${entry}\n`)) ?? '').trim().split('\n');
      expect(surfaceOf(program, entry)).toEqual(names);
    },
  );
});

function programOf(rootNames: string[]): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: rootNames }, ts.sys, root);
  return ts.createProgram({ rootNames, options });
}

/** A line for each exported name, and one for each public member of an exported class. */
function surfaceOf(program: ts.Program, entry: string): string[] {
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(join(root, entry));
  const module = file && checker.getSymbolAtLocation(file);
  if (!module) throw new Error(`${entry} is no module`);
  return checker
    .getExportsOfModule(module)
    .flatMap((exported) => {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const isClass = (symbol.flags & ts.SymbolFlags.Class) !== 0;
      const name = `${symbol.flags & ts.SymbolFlags.Value ? '' : 'type '}${exported.name}`;
      return isClass ? [name, ...membersOf(checker, symbol).map((member) => `${name}.${member}`)] : [name];
    })
    .toSorted();
}

const HIDDEN = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;

const membersOf = (checker: ts.TypeChecker, symbol: ts.Symbol): string[] =>
  [...checker.getDeclaredTypeOfSymbol(symbol).getProperties(), ...(symbol.exports?.values() ?? [])]
    .filter(({ declarations = [] }) =>
      declarations.some(
        (declaration) =>
          declaration.getSourceFile().fileName.startsWith(join(root, 'lib')) &&
          (ts.getCombinedModifierFlags(declaration) & HIDDEN) === 0 &&
          !isPrivateName(ts.getNameOfDeclaration(declaration)),
      ),
    )
    .map(({ name }) => name);

const isPrivateName = (name: ts.DeclarationName | undefined): boolean =>
  name !== undefined && ts.isPrivateIdentifier(name);
