const SVG = 'http://www.w3.org/2000/svg';

export const find = (selector, within = document) => within.querySelector(selector);

/** An element. Whatever people wrote gets in as text, never as HTML. */
export function h(tag, { class: className, text, on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.filter(Boolean));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Sets a text only when it is another one: a live region would read it out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const nodesOf = new WeakMap();

/**
 * Makes the children of `parent` match `items`, one for each key. Elements that stay are left where they are, so that
 * focus and scroll position survive.
 */
export function reconcile(parent, items, { key, create, update }) {
  const nodes = nodesOf.get(parent) ?? new Map();
  nodesOf.set(parent, nodes);
  const wanted = new Set(items.map(key));
  for (const [known, node] of nodes) {
    if (wanted.has(known)) continue;
    node.remove();
    nodes.delete(known);
  }
  let next = parent.firstChild;
  for (const item of items) {
    const node = nodes.get(key(item)) ?? create(item);
    nodes.set(key(item), node);
    update?.(node, item);
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/** Initials on a colour of one's own. */
export function paintAvatar(element, name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const initials = (words.length > 1 ? [words[0], words.at(-1)] : words).map((word) => [...word][0]).join('');
  setText(element, initials.toUpperCase());
  element.style.setProperty('--hue', String(hueOf(name)));
}

export function hueOf(name) {
  // FNV-1a: names that are alike get colours that aren't.
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return (hash >>> 0) % 360;
}
