/** A router namespace with workloads and an outside host, and a policy programmer that works inside it. */
import assert from 'node:assert/strict';
import {
  type CommandRunner,
  commandRunner,
  type RunningTool,
  type ToolStarter,
  toolStarter,
} from '../../fib/command.ts';
import { commandText, ipsetTool, type SetDriver } from '../../fib/ipset/commands.ts';
import { NetlinkSetDriver } from '../../fib/ipset/netlink-driver.ts';
import { PolicyProgrammer, type PolicyProgrammerOptions } from '../../fib/policy-programmer.ts';
import type { EndpointPolicy, PolicyChange, Rule } from '../../fib/rules/types.ts';
import { connect, createNetns, type Netns } from '../support/netns.ts';

/** A command that the programmer ran, or what it fed to a tool that stays, or sent to the kernel as `ipset` would. */
export interface RecordedCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly input: string;
}

/** One namespace attached by a routed link. */
export interface Workload {
  readonly netns: Netns;
  readonly link: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export const GATEWAY_IPV6 = 'fe80::ecee:eeff:feee:eeee';

/** The router, which is the host that enforces policy. */
export class PolicyLab {
  readonly router: Netns = createNetns();
  readonly commands: RecordedCommand[] = [];
  readonly run: CommandRunner;
  readonly startTool: ToolStarter;
  readonly #tools: RunningTool[] = [];
  /** processes started so far */
  processCount = 0;
  #nextWorkload = 1;

  constructor() {
    const inner = commandRunner(['nsenter', `--net=${this.router.path}`]);
    this.run = (command, args, input = '') => {
      this.processCount++;
      this.commands.push({ command, args, input });
      return inner(command, args, input);
    };
    const start = toolStarter(['nsenter', `--net=${this.router.path}`]);
    this.startTool = (command, args, listener) => {
      this.processCount++;
      const tool = start(command, args, listener);
      this.#tools.push(tool);
      const write = (input: string): void => {
        // A question for a sign of life is no change.
        if (/^COMMIT$/m.test(input)) this.commands.push({ command, args, input });
        tool.write(input);
      };
      return { ...tool, write };
    };
    for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) this.router.sysctl(key, 1);
    withoutDad(this.router);
  }

  programmer(options: PolicyProgrammerOptions = {}): PolicyProgrammer {
    return new PolicyProgrammer({
      run: this.run,
      startTool: this.startTool,
      sets: this.#setDriver(),
      ...options,
    });
  }

  #setDriver(): SetDriver {
    const inner = new NetlinkSetDriver(ipsetTool(this.run), this.router.path);
    return {
      read: () => inner.read(),
      write: async (commands, isLenient) => {
        const before = this.processCount;
        const refusal = await inner.write(commands, isLenient);
        if (this.processCount === before) {
          const input = `${commands.map(commandText).join('\n')}\n`;
          this.commands.push({ command: 'ipset', args: ['restore'], input });
        }
        return refusal;
      },
      close: () => inner.close(),
    };
  }

  /** Ends the tools of its programmers. */
  close(): void {
    for (const tool of this.#tools.splice(0)) tool.end();
  }

  /** Restore inputs since the last call. */
  takeRestores(): RecordedCommand[] {
    return this.commands.splice(0).filter(({ args, command }) => /restore/.test(command + args.join(' ')));
  }

  /** A namespace with one /32 and one /128 behind `link`, routed as the agent does it. */
  addWorkload(link?: string): Workload {
    const index = this.#nextWorkload++;
    const netns = withoutDad(createNetns());
    const name = link ?? `oci${index}`;
    const ipv4 = `10.65.0.${index}`;
    const ipv6 = `fd65::${index}`;
    connect(
      { netns: this.router, name, addresses: [] },
      { netns, name: 'eth0', addresses: [`${ipv4}/32`, `${ipv6}/128`] },
    );
    const router = this.router;
    router.sysctl(`net/ipv4/conf/${name}/proxy_arp`, 1);
    router.run('ip', 'address', 'add', `${GATEWAY_IPV6}/64`, 'dev', name, 'nodad');
    router.run('ip', 'route', 'add', `${ipv4}/32`, 'dev', name);
    router.run('ip', 'route', 'add', `${ipv6}/128`, 'dev', name);
    const mac = /link\/ether (\S+)/.exec(router.run('ip', 'link', 'show', name))?.[1] ?? '';
    netns.sh('ip route add 169.254.1.1 dev eth0 scope link');
    netns.sh(`ip neighbour add 169.254.1.1 lladdr ${mac} dev eth0 nud permanent`);
    netns.sh('ip route add default via 169.254.1.1 dev eth0');
    netns.sh(`ip -6 route add default via ${GATEWAY_IPV6} dev eth0`);
    return { netns, link: name, ipv4, ipv6 };
  }

  /** A host beyond the router, reached by a link that is none of ours. */
  addOutside(): Workload {
    const netns = withoutDad(createNetns());
    connect(
      { netns: this.router, name: 'up0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { netns, name: 'eth0', addresses: ['192.0.2.9/24', '2001:db8::9/64'] },
    );
    netns.sh('ip route add default via 192.0.2.1');
    netns.sh('ip -6 route add default via 2001:db8::1');
    return { netns, link: 'up0', ipv4: '192.0.2.9', ipv6: '2001:db8::9' };
  }
}

/** Duplicate address detection would hold back link-local addresses, and with them the first packets, for a second or two. */
function withoutDad(netns: Netns): Netns {
  netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
  return netns;
}

/** An endpoint-upsert with one default tier. */
export function endpointUpsert(
  workload: Workload,
  policies: { readonly ingress?: readonly string[]; readonly egress?: readonly string[] } = {},
  profiles: readonly string[] = [],
  rest: Partial<EndpointPolicy> = {},
): PolicyChange {
  return {
    kind: 'endpoint-upsert',
    id: workload.link,
    endpoint: {
      interfaceName: workload.link,
      adminUp: true,
      tiers: [
        {
          name: 'default',
          defaultAction: 'deny',
          ingress: policies.ingress ?? [],
          egress: policies.egress ?? [],
        },
      ],
      profiles,
      addresses: [`${workload.ipv4}/32`, `${workload.ipv6}/128`],
      ...rest,
    },
  };
}

/** A policy-upsert. */
export function policyUpsert(
  id: string,
  ingress: readonly Rule[] = [],
  egress: readonly Rule[] = [],
): PolicyChange {
  return { kind: 'policy-upsert', id, rules: { ingress, egress } };
}

/** The profile that allows everything both ways. */
export const ALLOW_ALL: PolicyChange = policyUpsert(
  'profile/open',
  [{ action: 'allow' }],
  [{ action: 'allow' }],
);

/**
 * Asserts that pings of all the addresses at once get an answer, or get none. What must arrive has plenty of time; what must not is
 * waited for as long as a local answer takes many times over.
 */
export async function assertPings(
  from: Workload,
  addresses: readonly string[],
  answered: boolean,
): Promise<void> {
  await Promise.all(
    addresses.map(async (address) => {
      const wait = answered ? '-W5' : '-W0.5';
      const result = await from.netns.tryRunAsync('ping', '-c1', wait, '-n', address);
      assert.equal(result.status === 0, answered, `${from.link} pings ${address}: ${result.stdout}`);
    }),
  );
}

/** Starts a TCP listener for both families that closes each connection at once. */
export async function listen(on: Netns, ...ports: number[]): Promise<void> {
  const child = on.spawn(
    process.execPath,
    '-e',
    `const net = require('node:net');
     const ports = ${JSON.stringify(ports)};
     let left = ports.length;
     for (const port of ports) net.createServer((s) => s.end()).listen(port, '::', () => { if (--left === 0) console.log('up'); });`,
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`listener ended with status ${code}`)));
  });
}

/** Asserts that TCP connections to all the addresses and ports at once are made, or none within a second. */
export async function assertConnects(
  from: Workload,
  targets: readonly (readonly [string, number])[],
  made: boolean,
): Promise<void> {
  await Promise.all(
    targets.map(async ([address, port]) => {
      const result = await from.netns.tryRunAsync(
        'nc',
        '-z',
        made ? '-w5' : '-w1',
        '-n',
        address,
        String(port),
      );
      assert.equal(result.status === 0, made, `${from.link} connects to ${address} port ${port}`);
    }),
  );
}

/** Applies and asserts that nothing failed. */
export async function applied(programmer: PolicyProgrammer, ...changes: PolicyChange[]): Promise<void> {
  programmer.enqueue(changes);
  const result = await programmer.apply();
  assert.deepEqual(result.failures, []);
  assert.equal(result.state, 'applied');
}
