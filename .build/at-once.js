// `node .build/at-once.js typecheck lint "build build:samples"` runs npm scripts at the same time: each argument is a row of
// scripts that need each other. What a row prints comes in one piece. The first failure ends all.
import { spawn } from 'node:child_process';

const running = new Set();

/** @returns the exit code */
function run(script, write) {
  const child = spawn('npm', ['run', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  running.add(child);
  child.stdout.on('data', write);
  child.stderr.on('data', write);
  return new Promise((resolve) => child.on('close', (code) => (running.delete(child), resolve(code ?? 1))));
}

async function runRow(row) {
  const printed = [];
  for (const script of row.split(' ')) {
    const code = await run(script, (data) => printed.push(data));
    if (process.exitCode) return; // another has failed
    if (code !== 0) fail(code);
    if (code !== 0) break;
  }
  process.stdout.write(Buffer.concat(printed));
}

function fail(code) {
  process.exitCode = code;
  for (const child of running) child.kill();
}

await Promise.all(process.argv.slice(2).map(runRow));
