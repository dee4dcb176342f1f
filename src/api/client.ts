/** The CLI's side of the API: calls over the Unix socket with a time limit, errors as `ApiError` or `AgentUnreachable`. */
import type { IncomingMessage } from 'node:http';
import { httpRequest } from './node-http.ts';
import { ApiError, type Problem } from './problem.ts';

const CALL_TIMEOUT_MS = 60_000;

/** Nobody answers on the agent's socket. */
export class AgentUnreachable extends Error {
  readonly socketPath: string;

  constructor(socketPath: string, cause: unknown) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    super(`the agent does not answer on ${socketPath} (${detail})`);
    this.name = 'AgentUnreachable';
    this.socketPath = socketPath;
  }
}

/** Calls one agent. */
export class ApiClient {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /**
   * GET, POST, PUT or DELETE; resolves with the JSON answer, rejects with `ApiError` or `AgentUnreachable`.
   * `Answer` is the view that `src/api/views.ts` documents for the path; agent and client are of one version.
   */
  async call<Answer>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<Answer> {
    const response = await this.#send(method, path, body);
    const text = await readAll(response);
    let value: Answer;
    try {
      value = JSON.parse(text);
    } catch {
      throw new ApiError({
        code: 'internal',
        message: `the agent answered ${method} ${path} with something that is no JSON`,
      });
    }
    if (response.statusCode !== 200) throw new ApiError(toProblem(value));
    return value;
  }

  /** GET of a list, row by row; `Row` as for `call`. */
  async *rows<Row>(path: string): AsyncGenerator<Row> {
    // Not with this file, which a server loads too but never calls: it brings terminals along.
    const { createInterface } = await import('node:readline');
    const response = await this.#send('GET', path, undefined);
    if (response.statusCode !== 200) throw new ApiError(toProblem(JSON.parse(await readAll(response))));
    try {
      for await (const line of createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })) {
        if (line === '') continue;
        const row: Row = JSON.parse(line);
        yield row;
      }
    } finally {
      // Whoever stops reading early ends the answer too.
      if (!response.complete) response.destroy();
    }
    if (!response.complete)
      throw new ApiError({ code: 'internal', message: `the agent broke off while answering ${path}` });
  }

  #send(method: string, path: string, body: unknown): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const request = httpRequest(
        {
          socketPath: this.socketPath,
          // A connection of its own: one kept from an earlier call may have been closed meanwhile.
          agent: false,
          method,
          path,
          headers:
            payload === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
        },
        resolve,
      );
      request.setTimeout(CALL_TIMEOUT_MS, () =>
        request.destroy(new Error(`no answer within ${CALL_TIMEOUT_MS / 1000} s`)),
      );
      request.once('error', (error) => reject(new AgentUnreachable(this.socketPath, error)));
      request.end(payload);
    });
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function toProblem(value: unknown): Problem {
  if (typeof value === 'object' && value !== null && 'error' in value) {
    const { error } = value;
    if (isProblem(error)) return error;
  }
  return {
    code: 'internal',
    message: 'the agent answered with an error that this command does not understand',
  };
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}
