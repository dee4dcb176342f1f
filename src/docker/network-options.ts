/** What `docker network create` was given for a network of ours, besides addresses. Pure. */
import { problem } from '../api/problem.ts';
import { isRecord } from '../model/record.ts';
import { labels as labelsSchema } from '../model/scalars.ts';
import { Problems } from '../model/schema.ts';
import { GENERIC_OPTIONS, INTERNAL_OPTION } from './messages.ts';

/** `-o label.KEY=VALUE`: a label that the network's endpoints have from their first moment. */
export const LABEL_OPTION = 'label.';
/** Labels that we give ourselves. */
const RESERVED = 'projectcalico.org/';

/** The network's `-o` options. Throws `ApiError` for what we do not do: nothing that was asked for is left out silently. */
export function readNetworkOptions(given: Readonly<Record<string, unknown>>): Record<string, string> {
  if (given[INTERNAL_OPTION] === true) {
    throw problem(
      'invalid',
      '--internal: not supported, for these networks are routed; keep others out by a policy that selects the label ocicat.dev/network',
    );
  }
  const generic = given[GENERIC_OPTIONS];
  const options: Record<string, string> = {};
  for (const [key, value] of Object.entries(isRecord(generic) ? generic : {})) {
    if (!key.startsWith(LABEL_OPTION) || typeof value !== 'string')
      throw problem('invalid', `-o ${key}: unknown; there is ${LABEL_OPTION}KEY=VALUE`);
    const reason = labelProblem(key.slice(LABEL_OPTION.length), value);
    if (reason !== undefined) throw problem('invalid', `-o ${key}=${value}: ${reason}`);
    options[key] = value;
  }
  return options;
}

/** Why an endpoint cannot have a label; undefined: it can. */
export function labelProblem(key: string, value: string): string | undefined {
  if (key.startsWith(RESERVED)) return `labels under ${RESERVED} are the agent's own`;
  const problems = new Problems();
  labelsSchema().read({ [key]: value }, '', problems);
  return problems.list[0]?.reason;
}
