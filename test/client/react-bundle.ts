import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

// A process of its own, as for browser-bundle.ts. Its argument is the folder with React.
const folder = process.argv[2] ?? '';
const bundle = await rolldown({
  input: fileURLToPath(new URL('react-page.ts', import.meta.url)),
  platform: 'browser',
  logLevel: 'silent',
  resolve: {
    extensionAlias: { '.js': ['.js', '.ts'] },
    alias: Object.fromEntries(['react', 'react-dom', 'scheduler'].map((name) => [name, join(folder, name)])),
  },
  transform: { define: { 'process.env.NODE_ENV': '"development"' } }, // only there StrictMode mounts twice
});
const { output } = await bundle.generate({ format: 'iife' });
await bundle.close();
for (const part of output) if (part.type === 'chunk') process.stdout.write(part.code);
