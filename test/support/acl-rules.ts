import { readFileSync } from 'node:fs';

const ruleOn = (page: string, pattern: RegExp): string[] => {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  return (pattern.exec(text)?.[1] ?? '').split(' ');
};

/** The rules for a node, as the page gives them. */
export const forNodes = ruleOn('redis', /^ACL SETUSER (.*)$/m);

/** What a page says that its feature needs besides. */
export const rulesBesides = (page: string): string[] => ruleOn(page, /^ACL SETUSER \w+ (\+eval.*)$/m);
