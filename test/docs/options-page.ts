import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { CLIENT_OPTIONS } from '../../lib/client/client-option-table.js';
import { NODE_OPTIONS } from '../../lib/client/websocket-client.js';
import type { Fields } from '../../lib/options/option-table.js';
import { OPTIONS } from '../../lib/options/options.js';

/** One option: its default and unit are in the code, what it does is in the doc comment of its type. */
export interface OptionRow {
  name: string;
  unit: string;
  value: unknown;
  /** True where another option decides about the default, too. */
  isFitted: boolean;
  says: string;
  /** What `@default` of the doc comment says. */
  documented: string;
  /** Those of a section; none of an option. */
  rows: OptionRow[];
}

type Members = Map<string, ts.TypeElement>;

const root = join(import.meta.dirname, '../..');
export const MARK = '<!-- Below: `npm run docs:options` makes it from the code. -->\n';

/** What `docs/options.md` has below the mark. */
export function optionsText(): string {
  const { server, client } = allOptions();
  const plain = server.filter(({ rows }) => rows.length === 0);
  return [
    tableOf(plain),
    ...server
      .filter(({ rows }) => rows.length > 0)
      .map((row) => `## \`${row.name}\`\n\n${row.says}\n\n${tableOf(row.rows)}`),
    `## The client\n\nThe options of \`WebSocketClient\`, in browsers and in Node. \`headers\`, \`maxPayload\`, \`tls\` and \`agent\` are for Node only.\n\n${tableOf(client)}`,
  ].join('\n\n');
}

export function allOptions(): { server: OptionRow[]; client: OptionRow[] } {
  const interfaces = findInterfaces();
  return {
    server: rowsOf(OPTIONS, 'ServerOptions', '', interfaces),
    client: rowsOf({ ...CLIENT_OPTIONS, ...NODE_OPTIONS }, 'NodeWebSocketClientOptions', '', interfaces),
  };
}

/** How a value is written on the page. */
export const written = (value: unknown): string =>
  value === Infinity ? 'Infinity' : JSON.stringify(value).replaceAll('"', "'").replaceAll(',', ', ');

function rowsOf(table: Fields, name: string, prefix: string, interfaces: Map<string, Members>): OptionRow[] {
  const members = interfaces.get(name);
  return Object.entries(table).map(([field, option]) => {
    const member = members?.get(field);
    if (!member) throw new Error(`${name} has no ${field}`);
    const section = option.fields && typesIn(member).find((type) => interfaces.has(type));
    return {
      name: prefix + field,
      unit: option.unit ?? option.check?.unit ?? unitOf(field),
      value: option.default,
      isFitted: option.fit !== undefined,
      ...docOf(member),
      rows: section && option.fields ? rowsOf(option.fields, section, `${prefix}${field}.`, interfaces) : [],
    };
  });
}

/** The checks of the client have no units: they would only make it larger. */
const unitOf = (field: string): string =>
  field.endsWith('Ms') ? 'ms' : /Bytes$|^maxPayload$/.test(field) ? 'bytes' : '';

const tableOf = (rows: OptionRow[]): string =>
  [
    '| option | default | meaning |',
    '| --- | --- | --- |',
    ...rows.flatMap((row) => [row, ...row.rows]).map(lineOf),
  ].join('\n');

function lineOf(row: OptionRow): string {
  const cells = [`\`${row.name}\``, defaultOf(row), row.says.replaceAll('|', '\\|')];
  return `|${cells.map((cell) => (cell ? ` ${cell} |` : ' |')).join('')}`;
}

/** With the unit beside it: a column more would push the meaning out of a phone's screen. */
function defaultOf({ value, unit, isFitted, documented }: OptionRow): string {
  const isValue = value !== undefined && !isFitted;
  const usually = isValue ? `\`${written(value)}\`` : documented;
  if (unit === '' || typeof value === 'number') return isValue && unit ? `${usually} ${unit}` : usually;
  return `${usually} (${unit})`.trim();
}

function docOf(member: ts.TypeElement): { says: string; documented: string } {
  const texts = ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc);
  const tags = new Map(
    texts.flatMap(({ tags = [] }) => [...tags]).map((tag) => [tag.tagName.text, oneLine(tag.comment)]),
  );
  const deprecated = tags.get('deprecated');
  return {
    says:
      deprecated === undefined ? texts.map(({ comment }) => oneLine(comment)).join(' ') : `Deprecated. ${deprecated}`,
    documented: tags.get('default') ?? '',
  };
}

const oneLine = (comment: ts.JSDoc['comment']): string =>
  (ts.getTextOfJSDocComment(comment) ?? '').replaceAll(/\s+/g, ' ').trim();

/** The members of every interface in lib, those of the types that it extends among them. */
function findInterfaces(): Map<string, Members> {
  const found = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) =>
      ts.createSourceFile(path, readFileSync(join(root, 'lib', path), 'utf8'), ts.ScriptTarget.Latest, true),
    )
    .flatMap((file) => file.statements.filter(ts.isInterfaceDeclaration));
  const interfaces = new Map<string, Members>(
    found.map(({ name, members }) => [
      name.text,
      new Map(members.flatMap((member) => (member.name ? [[member.name.getText(), member]] : []))),
    ]),
  );
  for (const { name, heritageClauses = [] } of found)
    for (const parent of heritageClauses.flatMap(typesIn))
      for (const [field, member] of interfaces.get(parent) ?? []) {
        const own = interfaces.get(name.text);
        if (own && !own.has(field)) own.set(field, member);
      }
  return interfaces;
}

/** The names of the types that are named in a piece of code. */
function typesIn(node: ts.Node): string[] {
  const names: string[] = [];
  const visit = (part: ts.Node): void => {
    if (ts.isTypeReferenceNode(part)) names.push(part.typeName.getText());
    else if (ts.isExpressionWithTypeArguments(part)) names.push(part.expression.getText());
    ts.forEachChild(part, visit);
  };
  visit(node);
  return names;
}
