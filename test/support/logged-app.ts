import { afterEach, beforeEach } from '@jest/globals';
import { type AppOptions, type RunningApp, startApp } from './app.js';
import { LogLines } from './log-lines.js';

/** An application whose log a test reads: a new one for each test, ended after it. */
export class LoggedApp {
  log!: LogLines;
  running!: RunningApp;

  async start(options: AppOptions): Promise<RunningApp> {
    return (this.running = await startApp({ ...options, keepsLogger: true }));
  }
}

export function useLoggedApp(): LoggedApp {
  const logged = new LoggedApp();
  beforeEach(() => {
    logged.log = new LogLines();
  });
  afterEach(async () => {
    logged.log.stop();
    await logged.running.close();
  });
  return logged;
}
