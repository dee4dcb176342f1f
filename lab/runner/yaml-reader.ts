/**
 * Reads a YAML document with the line of everything at hand, so that what does not fit is named by key and line.
 * Every problem is thrown as a `FileError`.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** What is wrong with a file of ours, and where: `FILE:LINE: reason`. */
export class FileError extends Error {
  override readonly name = 'FileError';
  constructor(file: string, line: number, reason: string) {
    super(`${file}:${line}: ${reason}`);
  }
}

/** A place in the document: a node and the path that leads to it. */
export class Place {
  readonly path: string;
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #node: unknown;
  readonly #line: number;

  private constructor(file: string, lines: LineCounter, node: unknown, path: string, line: number) {
    this.#file = file;
    this.#lines = lines;
    this.#node = node;
    this.#line = line;
    this.path = path;
  }

  /** Parses `text`; the place is the whole document. */
  static parse(file: string, text: string): Place {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
    const [error] = document.errors;
    if (error !== undefined) {
      const reason = error.message.split('\n')[0] ?? error.message;
      throw new FileError(file, lines.linePos(error.pos[0]).line, reason);
    }
    return new Place(file, lines, document.contents, '', 1);
  }

  /** An error about this place. */
  error(reason: string): FileError {
    const where = this.path === '' ? '' : `${this.path}: `;
    return new FileError(this.#file, this.#line, where + reason);
  }

  /** The entries of a mapping, in order. With `known`, any other key is refused. */
  entries(known?: readonly string[]): Map<string, Place> {
    if (!isMap(this.#node)) throw this.error('a mapping is wanted here');
    const result = new Map<string, Place>();
    for (const pair of this.#node.items) {
      const key = this.#child(pair.key, 'key').text();
      const path = this.path === '' ? key : `${this.path}.${key}`;
      if (known !== undefined && !known.includes(key)) {
        const place = this.#child(pair.key, this.path);
        throw place.error(`the lab does not know the key "${key}" here (it knows ${known.join(', ')})`);
      }
      result.set(key, this.#child(pair.value ?? pair.key, path, pair.value === null));
    }
    return result;
  }

  /** The items of a sequence. */
  items(): Place[] {
    if (!isSeq(this.#node)) throw this.error('a list is wanted here');
    return this.#node.items.map((item, index) => this.#child(item, `${this.path}[${index}]`));
  }

  /** The text of a scalar, as written for numbers and booleans too. */
  text(): string {
    if (isScalar(this.#node) && this.#node.value !== null)
      return this.#node.source ?? String(this.#node.value);
    throw this.error('a text is wanted here');
  }

  #child(node: unknown, path: string, empty = false): Place {
    if (isAlias(node)) throw this.error('aliases (*name) are not used in these files');
    const offset = isNode(node) ? node.range?.[0] : undefined;
    const line = offset === undefined ? this.#line : this.#lines.linePos(offset).line;
    return new Place(this.#file, this.#lines, empty ? undefined : node, path, line);
  }
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value);
}
