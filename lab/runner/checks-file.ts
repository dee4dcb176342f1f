/** What must hold in a lab: the checks file beside its topology, written by hand, never derived from what is seen. */
import { parseDocument } from 'yaml';
import { z } from 'zod';

const names = z.union([z.literal('all'), z.array(z.string()).min(1)]);

const expectedRoute = z
  .strictObject({
    prefix: z.string().optional(),
    within: z.string().optional(),
    length: z.number().int().min(0).max(128).optional(),
    count: z.number().int().min(1).optional(),
    type: z.string().optional(),
    via: z.array(z.string()).optional(),
    dev: z.string().optional(),
    asPath: z.array(z.number().int()).optional(),
  })
  .refine(
    (route) => (route.prefix === undefined) !== (route.within === undefined),
    'give either prefix or within',
  );

const expectedSession = z.strictObject({ neighbor: z.string(), as: z.number().int() });

const reach = z.strictObject({
  /** Who may ping whom; pairs that no entry names must not get through. */
  ping: z.array(z.strictObject({ from: names, to: names })),
  /** Whose TCP connect to which port gets through; pairs that no entry names must not. */
  tcp: z.array(z.strictObject({ port: z.number().int(), from: names, to: names })),
});

const phase = z.strictObject({
  title: z.string(),
  /** Commands that bring the phase about. */
  run: z.array(z.strictObject({ node: z.string(), command: z.string() })).optional(),
  sessions: z.record(z.string(), z.array(expectedSession)).optional(),
  bgp: z.record(z.string(), z.array(expectedRoute)).optional(),
  kernel: z.record(z.string(), z.array(expectedRoute)).optional(),
  reach: reach.optional(),
});

const checks = z.strictObject({
  /** `NODE/NAMESPACE`, and the prefixes that its addresses must be in, one for each family. */
  containers: z.array(
    z.strictObject({ name: z.string().regex(/^[^/]+\/[^/]+$/), addresses: z.array(z.string()).length(2) }),
  ),
  /** Addresses that are pinged only, IPv4 and IPv6. */
  targets: z
    .array(z.strictObject({ name: z.string(), addresses: z.array(z.string()).length(2) }))
    .default([]),
  /** The TCP ports that every container listens on. */
  ports: z.array(z.number().int().min(1).max(65535)),
  phases: z.array(phase).min(1),
});

export type Checks = z.infer<typeof checks>;
export type Phase = z.infer<typeof phase>;
export type Reach = z.infer<typeof reach>;

/** Parses a checks file. Throws an `Error` that names file, path and reason. */
export function parseChecks(file: string, text: string): Checks {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${file}: ${error.message}`);
  const result = checks.safeParse(document.toJS());
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`${file}: ${problems.join('; ')}`);
}
