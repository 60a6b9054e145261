import { existsSync, readFileSync } from 'node:fs';
import { defineConfig, type DefaultTheme } from 'vitepress';
import llms from 'vitepress-plugin-llms';

const REPOSITORY = 'https://github.com/scpxl/nestjs-websocket';

/** Tables without a heading show no empty row. On a phone, their cells are smaller, and long names break, but not short ones. */
const STYLE = `
.vp-doc thead:not(:has(th:not(:empty))) { display: none; }
@media (max-width: 640px) {
  .vp-doc th, .vp-doc td { padding: 6px 10px; font-size: 13px; }
  .vp-doc th code, .vp-doc td code { overflow-wrap: anywhere; }
  .vp-doc td:first-child:has(> code) { min-width: 92px; }
}`;

const page = (link: string, text: string): DefaultTheme.SidebarItem => ({ link: `/${link}`, text });

/** The pages are read in the repository, too: a link out of `docs/` is relative there, and leads to the repository here. */
function linksToRepository(href: string): string {
  return href.startsWith('../') ? `${REPOSITORY}/blob/main/${href.slice(3)}` : href;
}

/** Made by `npm run api`. */
function apiSidebar(): DefaultTheme.SidebarItem[] {
  const file = new URL('../api/typedoc-sidebar.json', import.meta.url);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DefaultTheme.SidebarItem[]) : [];
}

export default defineConfig({
  title: 'nestjs-websocket',
  description: 'Real-time messages for NestJS: routes, rooms, requests, streams, many processes.',
  lang: 'en',
  cleanUrls: true,
  lastUpdated: false,
  head: [
    ['style', {}, STYLE],
    ['link', { rel: 'icon', href: 'data:,' }], // otherwise, browsers ask for one that isn't there
  ],
  srcExclude: ['node_modules/**'],
  ignoreDeadLinks: [/^\.\.\//],
  markdown: {
    config(md) {
      const link = md.renderer.rules.link_open;
      md.renderer.rules.link_open = (tokens, index, options, env, self) => {
        const token = tokens[index];
        const href = token?.attrGet('href');
        if (token && href) token.attrSet('href', linksToRepository(href));
        return link ? link(tokens, index, options, env, self) : self.renderToken(tokens, index, options);
      };
    },
  },
  vite: { plugins: [llms({ ignoreFiles: ['api/**/*'] })] },
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    nav: [
      { text: 'Guide', link: '/getting-started', activeMatch: '^/(?!api/)' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
    ],
    sidebar: {
      '/api/': [{ text: 'API', items: apiSidebar() }],
      '/': [
        {
          text: 'Start',
          items: [
            page('getting-started', 'Getting started'),
            page('routes', 'Routes'),
            page('validation', 'Validation, guards, filters'),
            page('rooms', 'Rooms'),
            page('sending', 'Sending'),
            page('sending-once', 'Sending once'),
            page('sending-once-server', 'Sending once: keys on the server'),
            page('clients', 'Who is connected'),
            page('presence', 'Who is in a room'),
            page('presence-operations', 'Presence in production'),
          ],
        },
        {
          text: 'The client',
          items: [
            page('client', 'The client'),
            page('client-rooms', 'Its rooms'),
            page('client-errors', 'Its errors'),
            page('client-options', 'Its options'),
            page('client-runtimes', 'React, Node and elsewhere'),
          ],
        },
        {
          text: 'Going further',
          items: [
            page('connecting', 'Connecting: tokens'),
            page('guards', 'Connecting: sessions and guards'),
            page('origins', 'Connecting: origins and paths'),
            page('limits', 'Limits'),
            page('slow-clients', 'Slow clients'),
            page('streams', 'Streams'),
            page('asking-a-client', 'Asking a client'),
            page('events', 'Hooks and events'),
            page('servers', 'Several servers, or one by hand'),
            page('testing', 'Testing your application'),
          ],
        },
        {
          text: 'Rooms with history',
          items: [
            page('history', 'Rooms that lose nothing'),
            page('history-publishing', 'Publishing to them'),
            page('history-operations', 'Failures and Redis'),
            page('history-sizing', 'Sizing'),
            page('history-log', 'A log of your own'),
          ],
        },
        {
          text: 'In production',
          items: [
            page('cluster', 'Many processes'),
            page('redis', 'Redis'),
            page('workers', 'Workers and other programs'),
            page('failures', 'When Redis or a node fails'),
            page('faults', 'What each fault costs'),
            page('sizing', 'Sizing'),
            page('registry', 'Choosing a registry'),
            page('deployment', 'Deployment'),
            page('security', 'Security'),
            page('performance', 'Performance'),
            page('latency', 'Latency under load'),
            page('troubleshooting', 'Troubleshooting'),
          ],
        },
        {
          text: 'Migrating',
          items: [
            page('migrating-from-pxl', 'From the PXL framework'),
            page('migrating-from-socket-io', 'From Socket.IO'),
            page('migrating-from-nest-gateways', 'From Nest gateways'),
          ],
        },
        {
          text: 'Reference',
          items: [
            page('options', 'Options'),
            page('protocol', 'Protocol'),
            page('guarantees', 'Guarantees'),
            page('architecture', 'Architecture'),
          ],
        },
      ],
    },
  },
});
