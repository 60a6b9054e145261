import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { PEER_NAMES } from './peers.js';
import { stalling, verdictOn } from './self-test.js';
import { WORKLOADS } from './workloads.js';

describe('the load generator of the benchmark', () => {
  it('counts every frame of a right server, in order', async () => {
    expect(await verdictOn('none')).toEqual({ fault: 'none', surplus: 0, disordered: 0 });
  });

  it('sees a frame that one of twenty members never gets', async () => {
    expect(await verdictOn('drop')).toMatchObject({ surplus: -1, disordered: 1 });
  });

  it('sees a frame that comes twice', async () => {
    expect(await verdictOn('repeat')).toMatchObject({ surplus: 1, disordered: 1 });
  });

  it('sees two frames that changed places', async () => {
    const { surplus, disordered } = await verdictOn('swap');
    expect(surplus).toBe(0);
    expect(disordered).toBeGreaterThan(0);
  });

  it('sees a server that stands still for 200 ms: messages are late from when they were due', async () => {
    expect((await stalling('stall')).p99).toBeGreaterThan(150);
  });

  it('offers a server that falls behind at the end every message that was due', async () => {
    const { published, p99 } = await stalling('late stall');
    expect(published).toBe(100);
    expect(p99).toBeGreaterThan(150);
  });
});

const fileAt = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Runs a command of the benchmark to its end. */
function ran(file: string, args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const command = ['--import', fileAt('../support/ts-loader.mjs'), fileAt(file), ...args];
    execFile(process.execPath, command, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe.each(['run.ts', 'slow-consumer.ts'])('the command line of %s', (file) => {
  it('says for --help what there is', async () => {
    const { code, stdout, stderr } = await ran(file, ['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const names = file === 'run.ts' ? [...Object.keys(WORKLOADS), ...PEER_NAMES] : ['--seconds'];
    for (const name of [...names, '--dist', '--flush']) expect(stdout).toContain(name);
  });

  it.each([
    ['an option that there isn’t', ['--hlep'], "Unknown option '--hlep'"],
    ['a word of no option', ['burst'], "Unexpected argument 'burst'"],
    ['an option without its value', ['--flush'], "Option '--flush <value>' argument missing"],
    ['a flush that is no JSON', ['--flush', 'auto'], '--flush: auto is none of'],
    ['a flush that there isn’t', ['--flush', '{"gapMs":-1}'], '--flush: {"gapMs":-1} is none of'],
    ['a build that isn’t there', ['--dist', '/nowhere/index.js'], '--dist: there is no file /nowhere/index.js'],
    ...(file === 'run.ts'
      ? ([
          ['a workload that there isn’t', ['--only', 'burst,brust'], '--only: there is no "brust"'],
          ['no server', ['--against', ''], '--against: there is no ""'],
          ['no round', ['--rounds', '0'], '--rounds: "0" is not a whole number above 0'],
          ['rounds that are no number', ['--rounds', 'many'], '--rounds: "many" is not a whole number above 0'],
        ] as const)
      : ([['no time', ['--seconds', '0'], '--seconds: "0" is not a whole number above 0']] as const)),
  ])('refuses %s in one line', async (_, args, what) => {
    const { code, stdout, stderr } = await ran(file, [...args]);
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: 2, stdout: '', lines: 2 });
    expect(stderr).toContain(what);
    expect(stderr).toContain('--help says what there is.');
  });
});
