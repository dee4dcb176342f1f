/** Reads `ipset save`, as far as it concerns us. */
import { isOurSetName } from '../rules/names.ts';

/** A set of ours in the kernel. */
export interface SavedSet {
  /** `hash:net` */
  readonly type: string;
  /** `inet`, `inet6` */
  readonly family: string;
  readonly maxElem: number;
  /** as printed */
  readonly entries: Set<string>;
}

/** Parses the output. Sets of others and lines that it does not understand are passed over. */
export function parseIpsetSave(output: string): Map<string, SavedSet> {
  const sets = new Map<string, SavedSet>();
  let start = 0;
  while (start < output.length) {
    let end = output.indexOf('\n', start);
    if (end === -1) end = output.length;
    const words = output.slice(start, end).split(' ');
    start = end + 1;
    const [verb, name = '', value = ''] = words;
    if (!isOurSetName(name)) continue;
    if (verb === 'create') {
      const option = (key: string) => words[words.indexOf(key, 3) + 1] ?? '';
      sets.set(name, {
        type: value,
        family: option('family'),
        maxElem: Number(option('maxelem')),
        entries: new Set(),
      });
    } else if (verb === 'add') {
      sets.get(name)?.entries.add(value);
    }
  }
  return sets;
}
