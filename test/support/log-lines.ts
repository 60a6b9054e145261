import { Logger, type LoggerService } from '@nestjs/common';

/** What is logged from now on, as `level [context] text`, until `stop()`. An application that replaces the logger must be given this one. */
export class LogLines {
  readonly lines: string[] = [];
  readonly logger: LoggerService;

  constructor() {
    const at =
      (level: string) =>
      (text: unknown, ...more: string[]): void => {
        this.lines.push(`${level} [${more.at(-1) ?? ''}] ${String(text)}`);
      };
    this.logger = { log: at('log'), warn: at('warn'), error: at('error'), debug: at('debug') };
    Logger.overrideLogger(this.logger);
  }

  of(part: string): string[] {
    return this.lines.filter((line) => line.includes(part));
  }

  stop(): void {
    Logger.overrideLogger(false);
  }
}
