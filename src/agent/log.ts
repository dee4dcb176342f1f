/** The agent's log: JSON lines on standard output, or readable lines when asked. Levels and fields are pino's. */
import { pino, stdTimeFunctions } from 'pino';
import type { AgentConfig } from './config.ts';

/** What the agent's parts log to. The message says what happened; fields carry the values. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: Readonly<Record<string, unknown>>): Log;
}

const LABELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Opens the log as configured. Lines are written synchronously, so that nothing is lost when the process is killed. */
export function openLog(config: AgentConfig['log']): Log {
  const destination =
    config.format === 'json'
      ? process.stdout
      : {
          write: (line: string): void => {
            process.stdout.write(readable(line));
          },
        };
  return pino(
    {
      level: config.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      serializers: { error: pino.stdSerializers.err },
    },
    destination,
  );
}

function readable(line: string): string {
  const { time, level, msg, component, ...fields }: Record<string, unknown> = JSON.parse(line);
  const label = LABELS[Number(level)] ?? String(level);
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time)} ${label.padEnd(5)} ${component === undefined ? '' : `[${String(component)}] `}${String(msg)}${rest.length > 0 ? ` ${rest.join(' ')}` : ''}\n`;
}
