import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MARK, optionsText } from './options-page.js';

const path = join(import.meta.dirname, '../../docs/options.md');
const [above] = readFileSync(path, 'utf8').split(MARK);
writeFileSync(path, `${above}${MARK}\n${optionsText()}\n`);
