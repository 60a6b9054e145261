import { find } from './dom.js';

/** Below these widths the side panels lie over the room. */
const OVERLAYS = [
  { button: '#open-rooms', panel: '#rooms', query: '(max-width: 47.99rem)' },
  { button: '#open-people', panel: '#people', query: '(max-width: 71.99rem)' },
];

/** @returns a function that closes whatever is open */
export function drawers() {
  const backdrop = find('#backdrop');
  const closers = OVERLAYS.map(({ button, panel, query }) =>
    drawer({ button: find(button), panel: find(panel), media: matchMedia(query), backdrop }),
  );
  const closeAll = (returnFocus = false) => closers.forEach((close) => close(returnFocus));
  backdrop.addEventListener('click', () => closeAll(true));
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && closeAll(true));
  return closeAll;
}

function drawer({ button, panel, media, backdrop }) {
  /** What lies below can't be reached while the drawer is open. */
  const below = [...document.querySelectorAll('.app > :not(.backdrop), .skip-link')].filter((part) => part !== panel);
  const isOpen = () => button.getAttribute('aria-expanded') === 'true';

  const set = (open) => {
    button.setAttribute('aria-expanded', String(open));
    panel.toggleAttribute('data-open', open);
    backdrop.hidden = !open;
    for (const part of below) part.inert = open;
  };
  const close = (returnFocus) => {
    if (!isOpen()) return;
    set(false);
    if (returnFocus) button.focus();
  };
  button.addEventListener('click', () => {
    set(true);
    find('.drawer-close', panel).focus();
  });
  find('.drawer-close', panel).addEventListener('click', () => close(true));
  media.addEventListener('change', () => close(false));
  return close;
}
