/** The log of a speaker alone: the agent's lines (JSON, pino's fields and levels) without a logging library in memory. */
import type { Log } from '../agent/log.ts';

/** Numbers as pino writes them. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;

export type LogLevel = keyof typeof LEVELS;

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** How lines are written: one JSON object each, or words for people. */
export type LogFormat = 'json' | 'pretty';

/** Makes a log. `write` gets whole lines with their newline. */
export function makeLog(
  write: (line: string) => void,
  least: LogLevel,
  format: LogFormat,
  now: () => Date = () => new Date(),
  bound: Readonly<Record<string, unknown>> = {},
): Log {
  const line = (level: LogLevel, fields: object, msg: string): void => {
    if (LEVELS[level] < LEVELS[least]) return;
    const time = now().toISOString();
    const values: Record<string, unknown> = {};
    for (const [key, value] of Object.entries({ ...bound, ...fields })) values[key] = plain(value);
    write(
      format === 'json'
        ? `${JSON.stringify({ level: LEVELS[level], time, ...values, msg })}\n`
        : `${time} ${level.padEnd(5)} ${msg}${words(values)}\n`,
    );
  };
  return {
    debug: (fields, message) => line('debug', fields, message),
    info: (fields, message) => line('info', fields, message),
    warn: (fields, message) => line('warn', fields, message),
    error: (fields, message) => line('error', fields, message),
    child: (fields) => makeLog(write, least, format, now, { ...bound, ...fields }),
  };
}

function plain(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { type: value.name, message: value.message, stack: value.stack };
}

function words(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
}
