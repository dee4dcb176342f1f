/** Reading the reports of `ipam check -o json` that `ipam release --from-report` is given. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { ReleaseOrder } from '../../agent/ipam/views.ts';
import { commonLeaks } from '../../ipam/report.ts';
import { parseIpamJson } from '../../store/ipam-documents.ts';
import { VERSION } from '../../version.ts';
import { CommandFailure, EXIT } from '../context.ts';

/** At least one report must be younger, unless forced: sequence numbers protect what was given out anew, people their own mistakes. */
const MAX_AGE_MS = 3_600_000;

const schema = z.looseObject({
  version: z.string(),
  generatedAt: z.iso.datetime(),
  allocations: z.record(
    z.string(),
    z.array(
      z.looseObject({
        ip: z.string(),
        handle: z.string().optional(),
        // Text in our reports; bare digits where somebody wrote them so.
        sequenceNumber: z.union([z.string(), z.int(), z.bigint()]).transform(String),
        inUse: z.boolean(),
        coolingDown: z.boolean().optional(),
      }),
    ),
  ),
  leakedHandles: z.array(z.object({ ID: z.string(), Revision: z.string() })).default([]),
});

/** What all reports agree on. Throws `CommandFailure` for files that are no reports, of another version or all old. */
export async function orderOfReports(
  files: readonly string[],
  isForced: boolean,
  nowMs: number,
): Promise<Pick<ReleaseOrder, 'addresses' | 'handles'>> {
  const reports = await Promise.all(files.map(readReport));
  if (!isForced) {
    for (const [index, { version }] of reports.entries()) {
      if (version !== VERSION)
        throw new CommandFailure(
          `${files[index]} was made by version ${version}, this is ${VERSION}`,
          EXIT.usage,
          'Make a new report, or use --force.',
        );
    }
    const youngest = Math.max(...reports.map(({ generatedAt }) => Date.parse(generatedAt)));
    if (nowMs - youngest > MAX_AGE_MS)
      throw new CommandFailure(
        'every report is older than an hour',
        EXIT.usage,
        'Make a new one with "ocicat ipam check -o json" and name both, or use --force.',
      );
  }
  const { leaks, handles } = commonLeaks(
    reports.map(({ allocations, leakedHandles }) => ({
      leakedHandles,
      allocations: Object.fromEntries(
        Object.entries(allocations).map(([ip, list]) => [
          ip,
          list.map(({ ip: address, handle, sequenceNumber, inUse, coolingDown }) => ({
            ip: address,
            sequenceNumber,
            inUse,
            block: '',
            owners: [],
            ...(handle !== undefined && { handle }),
            ...(coolingDown === true && { coolingDown }),
          })),
        ]),
      ),
    })),
  );
  return { addresses: leaks, handles };
}

async function readReport(file: string): Promise<z.infer<typeof schema>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandFailure(
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      EXIT.usage,
    );
  }
  let json: unknown;
  try {
    json = parseIpamJson(text);
  } catch {
    throw new CommandFailure(
      `${file} is no report of "ocicat ipam check -o json": it is not JSON`,
      EXIT.usage,
    );
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CommandFailure(
    `${file} is no report of "ocicat ipam check -o json": ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    EXIT.usage,
  );
}
