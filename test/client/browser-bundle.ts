import { rolldown } from 'rolldown';

// A process of its own: rolldown doesn't know the functions of Jest's contexts for functions.
const bundle = await rolldown({ input: process.argv[2] ?? '', resolve: { extensionAlias: { '.js': ['.ts', '.js'] } } });
const { output } = await bundle.generate({ format: 'esm', minify: true, comments: false });
await bundle.close();
for (const part of output) if (part.type === 'chunk') process.stdout.write(part.code);
