/**
 * Interprets rules in iptables-restore text over a model of a packet: an oracle's other half, which reads exactly what the kernel
 * would be given. Knows just the options that our rules use and throws for any other.
 */
import { parseAddress } from '../../src/net/address.ts';
import { parsePrefix, prefixContainsAddress } from '../../src/net/prefix.ts';

/** A packet as rules see it. */
export interface ModelPacket {
  readonly inputLink: string;
  readonly outputLink: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly connection: 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID';
}

export interface SimulatedVerdict {
  /** `RETURN`: the rules of the chain did not decide */
  readonly verdict: 'ACCEPT' | 'DROP' | 'RETURN';
  /** packets that LOG rules saw */
  readonly logged: number;
}

/** Whether a named kernel set holds a string of the packet: an address, or `ADDRESS,PROTOCOL:PORT`. */
export type SetLookup = (set: string, entry: string) => boolean;

const PORT_PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  6: 'tcp',
  17: 'udp',
  132: 'sctp',
  136: 'udplite',
};

/** Runs a packet, with a mark that others left on it, through a chain. `chains`: rules as text after `-A CHAIN `. */
export function simulate(
  chains: ReadonlyMap<string, readonly string[]>,
  start: string,
  packet: ModelPacket,
  lookup: SetLookup,
  initialMark = 0,
): SimulatedVerdict {
  let mark = initialMark >>> 0;
  let logged = 0;

  function run(chain: string, depth: number): 'ACCEPT' | 'DROP' | 'RETURN' {
    const rules = chains.get(chain);
    if (rules === undefined) throw new Error(`a rule goes to ${chain}, which does not exist`);
    if (depth > 16) throw new Error('rules loop');
    for (const rule of rules) {
      const { matched, target } = evaluate(tokens(rule));
      if (!matched) continue;
      const [kind, name = '', ...options] = target;
      if (kind === '-g') return run(name, depth + 1);
      if (name === 'ACCEPT' || name === 'DROP' || name === 'RETURN') return name;
      if (name === 'LOG') {
        logged++;
      } else if (name === 'MARK') {
        const [set = 0, mask = 0] = (options[1] ?? '').split('/').map(Number);
        mark = ((mark & ~mask) ^ set) >>> 0;
      } else {
        const verdict = run(name, depth + 1);
        if (verdict !== 'RETURN') return verdict;
      }
    }
    return 'RETURN';
  }

  function evaluate(words: readonly string[]): { matched: boolean; target: readonly string[] } {
    let matched = true;
    let negated = false;
    let module = '';
    for (let i = 0; i < words.length; i++) {
      const word = words[i] ?? '';
      const value = words[i + 1] ?? '';
      if (word === '-j' || word === '-g') return { matched, target: words.slice(i) };
      if (word === '!') {
        negated = true;
        continue;
      }
      if (word === '-m') {
        module = value;
        i++;
        continue;
      }
      let width = 1;
      let result: boolean;
      switch (word) {
        case '--comment':
        case '--limit':
        case '--limit-burst':
          result = true;
          break;
        case '-i':
          result = linkMatches(value, packet.inputLink);
          break;
        case '-o':
          result = linkMatches(value, packet.outputLink);
          break;
        case '-p':
          result = packet.protocol === Number(value);
          break;
        case '-s':
          result = netHolds(value, packet.source);
          break;
        case '-d':
          result = netHolds(value, packet.destination);
          break;
        case '--sports':
          result = portsHold(value, packet.sourcePort);
          break;
        case '--dports':
          result = portsHold(value, packet.destinationPort);
          break;
        case '--ctstate':
          result = value.split(',').includes(packet.connection);
          break;
        case '--icmp-type':
        case '--icmpv6-type': {
          const [type, code] = value.split('/').map(Number);
          result = packet.icmpType === type && (code === undefined || packet.icmpCode === code);
          break;
        }
        case '--mark': {
          const [wanted, mask = 0] = value.split('/').map(Number);
          result = (mark & mask) >>> 0 === wanted;
          break;
        }
        case '--match-set':
          width = 2;
          result = setHolds(value, words[i + 2] ?? '');
          break;
        default:
          throw new Error(`the simulator does not know ${word} (module ${module}) in: ${words.join(' ')}`);
      }
      if (word === '--sports' || word === '--dports') {
        if (!words.slice(0, i).includes('-p')) throw new Error(`multiport without -p: ${words.join(' ')}`);
        if (value.split(/[,:]/).length > 15) throw new Error(`more than 15 ports: ${value}`);
      }
      if (result === negated) matched = false;
      negated = false;
      i += width;
    }
    throw new Error(`no target: ${words.join(' ')}`);
  }

  function setHolds(set: string, flags: string): boolean {
    const isSource = flags.startsWith('src');
    const address = isSource ? packet.source : packet.destination;
    if (!flags.includes(',')) return lookup(set, address);
    if (!set.endsWith(':port')) return lookup(set, `${address},${packet.inputLink}`);
    const protocol = PORT_PROTOCOL_NAMES[packet.protocol];
    if (protocol === undefined) return false;
    return lookup(set, `${address},${protocol}:${isSource ? packet.sourcePort : packet.destinationPort}`);
  }

  return { verdict: run(start, 0), logged };
}

function tokens(rule: string): string[] {
  return (rule.match(/"[^"]*"|\S+/g) ?? []).map((token) => token.replaceAll('"', ''));
}

function linkMatches(pattern: string, link: string): boolean {
  return pattern.endsWith('+') ? link.startsWith(pattern.slice(0, -1)) : pattern === link;
}

function netHolds(net: string, address: string): boolean {
  const prefix = parsePrefix(net);
  const parsed = parseAddress(address);
  if (prefix === undefined || parsed === undefined) throw new Error(`${net} or ${address} is malformed`);
  return prefixContainsAddress(prefix, parsed);
}

function portsHold(list: string, port: number): boolean {
  return list.split(',').some((item) => {
    const [first = Number.NaN, last = first] = item.split(':').map(Number);
    return first <= port && port <= last;
  });
}
