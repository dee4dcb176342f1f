/** The body of `ocicat validate`: checks files of resources without an agent. */
import { formatProblem, parseDocuments } from '../model/documents.ts';
import type { Problem } from '../model/schema.ts';
import { checkSupport } from '../model/support.ts';
import type { InputText } from './input.ts';
import type { Terminal } from './output/emit.ts';
import { type Cell, renderTable } from './output/table.ts';

/** One entry of `-o json`. */
export interface ValidationEntry {
  /** 1.. in the order of all input; the items of a list share their document's number */
  readonly document: number;
  /** empty when it could not be read */
  readonly kind: string;
  readonly name: string;
  readonly valid: boolean;
  readonly errors: readonly Problem[];
}

/** The outcome for all input. */
export interface Validation {
  readonly entries: readonly ValidationEntry[];
  /** file of each entry */
  readonly files: readonly string[];
  /** lines for standard error: what is valid in Calico but refused or without effect here */
  readonly notes: readonly string[];
}

/**
 * Validates texts. A document is invalid when Calico itself would refuse it, or when its kind is unknown or cannot be checked here.
 * Kinds and fields that are valid in Calico but that this version refuses or does not read leave it valid; they become notes.
 */
export function validateInputs(inputs: readonly InputText[]): Validation {
  const entries: ValidationEntry[] = [];
  const files: string[] = [];
  const notes: string[] = [];
  let before = 0;
  for (const { file, text } of inputs) {
    let last = 0;
    for (const parsed of parseDocuments(text, file)) {
      last = parsed.document;
      files.push(file);
      const errors = parsed.laterErrors ?? parsed.errors;
      entries.push({
        document: before + parsed.document,
        kind: parsed.kind ?? '',
        name: parsed.name ?? '',
        valid: errors.length === 0,
        errors,
      });
      if (parsed.laterErrors !== undefined) {
        notes.push(
          `note: ${file}: document ${parsed.document}: this version does not carry out ${parsed.kind}`,
        );
      }
      if (parsed.resource === undefined) continue;
      const support = checkSupport(parsed.resource);
      for (const problem of support.refused) {
        notes.push(`note: "ocicat apply" would refuse this: ${formatProblem(parsed, problem)}`);
      }
      for (const problem of support.ignored) notes.push(`note: ${formatProblem(parsed, problem)}`);
    }
    before += last;
  }
  return { entries, files, notes };
}

interface Row {
  readonly file: string;
  readonly document: string;
  readonly kind: string;
  readonly name: string;
  readonly result: Cell;
  readonly path: string;
  readonly reason: string;
}

function rowsOf(validation: Validation): Row[] {
  return validation.entries.flatMap((entry, index): Row[] => {
    const base = {
      file: validation.files[index] ?? '',
      document: String(entry.document),
      kind: entry.kind || '?',
      name: entry.name || '?',
    };
    if (entry.valid) return [{ ...base, result: { text: 'valid', tone: 'good' }, path: '', reason: '' }];
    return entry.errors.map(
      (error): Row => ({
        ...base,
        result: { text: 'invalid', tone: 'bad' },
        path: error.path,
        reason: error.reason,
      }),
    );
  });
}

/**
 * Prints the result and returns the exit code: 0 all valid, 1 any invalid, 2 nothing to validate. JSON is the array of entries and
 * nothing else on standard output.
 */
export function runValidate(
  inputs: readonly InputText[],
  form: 'table' | 'json',
  terminal: Terminal,
): number {
  const validation = validateInputs(inputs);
  if (form === 'json') terminal.out(`${JSON.stringify(validation.entries, null, 2)}\n`);
  else if (validation.entries.length > 0) {
    terminal.out(
      renderTable<Row>(
        [
          { title: 'FILE', cell: (row) => row.file },
          { title: 'DOC', cell: (row) => row.document },
          { title: 'KIND', cell: (row) => row.kind },
          { title: 'NAME', cell: (row) => row.name },
          { title: 'RESULT', cell: (row) => row.result },
          { title: 'PATH', cell: (row) => row.path },
          { title: 'REASON', cell: (row) => row.reason },
        ],
        rowsOf(validation),
        terminal.colour,
      ),
    );
  }
  for (const note of validation.notes) terminal.err(`${note}\n`);
  if (validation.entries.length === 0) {
    terminal.err('ocicat: the input holds no resource\n');
    return 2;
  }
  return validation.entries.every((entry) => entry.valid) ? 0 : 1;
}
