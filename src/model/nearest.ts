/** What a person may have meant by a name that is none. */

/** The known name that differs in at most two letters, and in fewer than half of them; undefined when there is none. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(name.length / 2));
  for (const each of known) {
    const apart = distance(each, name);
    if (apart >= least) continue;
    best = each;
    least = apart;
  }
  return best;
}

/** Edit distance (Levenshtein), for names of some ten characters. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
