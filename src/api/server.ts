/**
 * HTTP over a Unix socket: a small router, JSON in and out, long answers in pieces and lists as JSON lines with back-pressure.
 * The socket is root-only (0600); a stale socket file of a dead agent is taken over, a live one is an error.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { createServer } from './node-http.ts';
import { ApiError, PROBLEM_STATUS, type Problem, problem } from './problem.ts';

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 60_000;
const JSON_TYPE = 'application/json';
/** What an answer in pieces may take of one turn of the event loop, and how much of it (UTF-16 units) may wait to be written. */
const SLICE_MS = 2;
const SLICE_LENGTH = 256 * 1024;

/** What a handler is given. */
export interface ApiRequest {
  /** decoded path segments that the route's `:names` matched */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** parsed JSON body, undefined when there is none */
  readonly body: unknown;
  /** aborted when the client goes away */
  readonly signal: AbortSignal;
}

/**
 * A handler's answer: a JSON value; the text of one, in pieces that are asked for as there is time for them (an empty one says that nothing is
 * known yet); plain text; or rows that are streamed as JSON lines. `live` rows are sent one by one as they come; an undefined one is an empty line, a sign of life.
 */
export type ApiReply =
  | { readonly json: unknown }
  | { readonly jsonPieces: Iterable<string> }
  | { readonly text: string; readonly contentType: string }
  | { readonly rows: Iterable<unknown> | AsyncIterable<unknown>; readonly live?: boolean };

export type ApiHandler = (request: ApiRequest) => ApiReply | Promise<ApiReply>;

/** `GET /v1/endpoints/:namespace/:name` -> handler */
export type ApiRoutes = Readonly<Record<string, ApiHandler>>;

interface CompiledRoute {
  readonly method: string;
  readonly segments: readonly string[];
  readonly handler: ApiHandler;
}

/**
 * The API server. Handlers never see a socket; errors they throw become `Problem` answers. `onWaiting` is told whenever somebody waits who needs
 * another turn of the event loop or some.
 */
export class ApiServer {
  readonly #server: Server;
  readonly #routes: readonly CompiledRoute[];
  readonly #onInternalError: (error: unknown) => void;
  readonly #onWaiting: () => void;
  readonly #unknownPath: (method: string, path: string) => ApiError;
  #socketPath: string | undefined;

  constructor(
    routes: ApiRoutes,
    onInternalError: (error: unknown) => void,
    unknownPath: (method: string, path: string) => ApiError = agentHasNone,
    onWaiting: () => void = () => {},
  ) {
    this.#onWaiting = onWaiting;
    this.#onInternalError = onInternalError;
    this.#unknownPath = unknownPath;
    this.#routes = Object.entries(routes).map(([pattern, handler]) => {
      const [method = '', path = ''] = pattern.split(' ');
      return { method, segments: path.split('/').slice(1), handler };
    });
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      onWaiting();
      void this.#serve(request, response);
    });
    // What the client asks is read in the next turn at the earliest.
    this.#server.on('connection', () => onWaiting());
  }

  /** Listens on the socket path. Throws when another process serves it. */
  async listen(socketPath: string): Promise<void> {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
    if (await isServed(socketPath)) {
      throw new Error(`${socketPath} is served by another process: is an agent running already?`);
    }
    rmSync(socketPath, { force: true });
    const previousMask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(socketPath, () => {
          this.#server.removeListener('error', reject);
          resolve();
        });
      });
    } finally {
      process.umask(previousMask);
    }
    chmodSync(socketPath, 0o600);
    this.#socketPath = socketPath;
  }

  /** Stops listening; running requests get one second. */
  async close(): Promise<void> {
    if (this.#socketPath === undefined) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const force = setTimeout(() => this.#server.closeAllConnections(), 1000);
    await closed;
    clearTimeout(force);
    this.#socketPath = undefined;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const abort = new AbortController();
    response.on('close', () => abort.abort());
    try {
      const url = new URL(request.url ?? '/', 'http://agent');
      const { handler, params } = this.#match(request.method ?? 'GET', url.pathname);
      const body = await readBody(request);
      const reply = await handler({ params, query: url.searchParams, body, signal: abort.signal });
      if ('rows' in reply)
        await streamRows(response, reply.rows, abort.signal, reply.live === true ? 1 : 256);
      else if ('text' in reply) sendText(response, 200, reply.text, reply.contentType);
      else if ('jsonPieces' in reply)
        await sendPieces(response, reply.jsonPieces, abort.signal, this.#onWaiting);
      else sendJson(response, 200, reply.json);
    } catch (error) {
      const answer = this.#toProblem(error);
      if (response.headersSent) response.destroy();
      else sendJson(response, PROBLEM_STATUS[answer.code], { error: answer });
    }
  }

  #toProblem(error: unknown): Problem {
    if (error instanceof ApiError) return error.problem;
    this.#onInternalError(error);
    const message = error instanceof Error ? error.message : String(error);
    return { code: 'internal', message, hint: 'This is a fault of the agent; its log has the details.' };
  }

  #match(method: string, path: string): { handler: ApiHandler; params: Record<string, string> } {
    const segments = path.split('/').slice(1).map(decodeURIComponent);
    for (const route of this.#routes) {
      if (route.method !== method || route.segments.length !== segments.length) continue;
      const params: Record<string, string> = {};
      const fits = route.segments.every((expected, index) => {
        const given = segments[index] ?? '';
        if (!expected.startsWith(':')) return expected === given;
        params[expected.slice(1)] = given;
        return given !== '';
      });
      if (fits) return { handler: route.handler, params };
    }
    throw this.#unknownPath(method, path);
  }
}

function agentHasNone(method: string, path: string): ApiError {
  return problem('not-found', `the agent has no ${method} ${path}`, {
    hint: 'Are the command and the agent of the same version?',
  });
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw problem('too-large', `the request is larger than ${MAX_BODY_BYTES} octets`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return parsed;
  } catch {
    throw problem('invalid', 'the request body is not JSON');
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, JSON.stringify(value), JSON_TYPE);
}

function sendText(response: ServerResponse, status: number, text: string, contentType: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

// What is made within one slice goes out as a whole. An error before the first write still becomes an answer; a later one breaks off.
async function sendPieces(
  response: ServerResponse,
  pieces: Iterable<string>,
  signal: AbortSignal,
  onWaiting: () => void,
): Promise<void> {
  let made = '';
  let sliceEnd = performance.now() + SLICE_MS;
  for (const piece of pieces) {
    made += piece;
    if (made.length < SLICE_LENGTH && performance.now() < sliceEnd) continue;
    onWaiting();
    if (made === '') {
      await turn();
    } else {
      if (!response.headersSent) response.writeHead(200, { 'content-type': JSON_TYPE });
      await written(response, made, signal);
      made = '';
    }
    if (signal.aborted) return;
    sliceEnd = performance.now() + SLICE_MS;
  }
  if (response.headersSent) response.end(made);
  else sendText(response, 200, made, JSON_TYPE);
}

// Rows are produced only as fast as the client reads. The head is written with the first of them, so that an error before it still becomes an answer.
async function streamRows(
  response: ServerResponse,
  rows: Iterable<unknown> | AsyncIterable<unknown>,
  signal: AbortSignal,
  rowsPerWrite: number,
): Promise<void> {
  let pending = '';
  let count = 0;
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  };
  for await (const row of rows) {
    if (signal.aborted) return;
    pending += row === undefined ? '\n' : `${JSON.stringify(row)}\n`;
    if (++count % rowsPerWrite !== 0) continue;
    begin();
    await written(response, pending, signal);
    pending = '';
  }
  begin();
  response.end(pending);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Writes, and gives the event loop back: until the client has read enough, or has gone, and for one turn at least. */
function written(response: ServerResponse, text: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (response.write(text) || signal.aborted) {
      setImmediate(resolve);
      return;
    }
    const done = (): void => {
      response.removeListener('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done);
  });
}

function isServed(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const finish = (served: boolean): void => {
      socket.destroy();
      resolve(served);
    };
    socket.setTimeout(1000, () => finish(true));
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}
