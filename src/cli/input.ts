/** Reading what `-f` names: files, folders (one level, .yaml, .yml and .json), standard input. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure, EXIT } from './context.ts';

/** A text and where it came from. */
export interface InputText {
  readonly file: string;
  readonly text: string;
}

const ENDINGS = ['.yaml', '.yml', '.json'];

/** Reads all inputs, in the order given and by name inside a folder. Throws `CommandFailure` for what cannot be read. */
export async function readInputs(paths: readonly string[]): Promise<InputText[]> {
  if (paths.length === 0) throw new CommandFailure('name a file, a folder or - with -f', EXIT.usage);
  const inputs: InputText[] = [];
  for (const path of paths) {
    if (path === '-') inputs.push({ file: 'standard input', text: await readStandardInput() });
    else inputs.push(...expand(path).map((file) => ({ file, text: readText(file) })));
  }
  return inputs;
}

function expand(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter(
      (name) => ENDINGS.some((ending) => name.endsWith(ending)) && !name.startsWith('.'),
    );
    if (names.length === 0)
      throw new CommandFailure(`${path} holds no ${ENDINGS.join(', ')} file`, EXIT.usage);
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

function unreadable(path: string, error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  return new CommandFailure(
    `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    EXIT.usage,
  );
}
