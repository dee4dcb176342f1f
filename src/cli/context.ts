/** What every command is given: a terminal, a client for the agent, and how it ends. */

import { DEFAULT_SOCKET_PATH } from '../agent/paths.ts';
import { ApiClient } from '../api/client.ts';
import type { Terminal } from './output/emit.ts';

/**
 * Exit codes that scripts can trust. `failure`: the thing asked for failed or nothing matched; `usage`: the command line or the input is
 * wrong; `unreachable`: no agent answers.
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 3 } as const;

/** Ends a command with a message on standard error and an exit code. */
export class CommandFailure extends Error {
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, exitCode: number = EXIT.failure, hint?: string) {
    super(message);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

export interface CommandContext {
  readonly terminal: Terminal;
  /** the client for `--socket`, `OCICAT_SOCKET` or the default path */
  readonly client: () => ApiClient;
}

/** Makes the context; `socketOf` is asked when the first call is made, after the command line has been parsed. */
export function makeContext(terminal: Terminal, socketOf: () => string | undefined): CommandContext {
  let client: ApiClient | undefined;
  return {
    terminal,
    client: () => {
      client ??= new ApiClient(socketOf() ?? process.env['OCICAT_SOCKET'] ?? DEFAULT_SOCKET_PATH);
      return client;
    },
  };
}
