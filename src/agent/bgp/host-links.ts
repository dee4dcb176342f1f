/** The kernel's links as BGP sessions need to know them: by the name that a session was given, whether they carry anything. */
import type { HostLinks, LinkState } from '../../../bgp/speaker/link-guard.ts';
import type { Link, LinkTable } from '../../../fib/routes/link-table.ts';

/** Answers from a table that others keep current. */
export class KernelLinks implements HostLinks {
  readonly #links: Pick<LinkTable, 'byName' | 'get' | 'onChange'>;
  /** of the names that were asked for: a socket that is bound to a link does not notice when that gets another name */
  readonly #indexOf = new Map<string, number>();

  constructor(links: Pick<LinkTable, 'byName' | 'get' | 'onChange'>) {
    this.#links = links;
  }

  stateOf(name: string): LinkState {
    const named = this.#links.byName(name);
    if (named !== undefined) this.#indexOf.set(name, named.ifindex);
    const index = this.#indexOf.get(name);
    const link = named ?? (index === undefined ? undefined : this.#links.get(index));
    if (link === undefined) {
      this.#indexOf.delete(name);
      return 'absent';
    }
    return stateOfLink(link);
  }

  onChange(listener: (name: string) => void): () => void {
    return this.#links.onChange(({ before, after }) => {
      const isSame =
        before !== undefined &&
        after !== undefined &&
        before.name === after.name &&
        stateOfLink(before) === stateOfLink(after);
      if (isSame) return;
      const names = new Set([before?.name, after?.name]);
      const index = (after ?? before)?.ifindex;
      for (const [name, known] of this.#indexOf) if (known === index) names.add(name);
      for (const name of names) if (name !== undefined) listener(name);
    });
  }
}

// What keeps a link up without its being able to carry anything (IFF_RUNNING: a lower link is down, 802.1X) counts as no carrier.
function stateOfLink({ isUp, isRunning, hasCarrier }: Link): LinkState {
  if (!isUp) return 'down';
  return isRunning && hasCarrier ? 'operational' : 'no-carrier';
}
