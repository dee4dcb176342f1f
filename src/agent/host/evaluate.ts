/**
 * Judges the host's facts: which other owners will defeat us, and the command that cures it. Pure.
 */
import type { Finding } from '../../api/views.ts';
import type { HostFacts, TextFile } from './facts.ts';
import { foreignDrops } from './nft-chains.ts';

/** What the judgement needs to know of us. */
export interface HostExpectations {
  readonly bgpPort: number;
  /** prefix of our links, `oci` */
  readonly linkPrefix: string;
  /** prefix of our chains, `oci-` */
  readonly chainPrefix: string;
  /** links that carry traffic to peers */
  readonly uplinks: number;
}

const NETWORKD_KEYS = [
  'ManageForeignRoutes',
  'ManageForeignNextHops',
  'ManageForeignRoutingPolicyRules',
] as const;

/** The findings, most serious first. */
export function evaluateHost(facts: HostFacts, expected: HostExpectations): Finding[] {
  const findings = [
    ...portFinding(facts, expected),
    ...nftFindings(facts, expected),
    ...firewallFindings(facts, expected),
    ...networkdFindings(facts),
    ...networkManagerFindings(facts, expected),
    ...rpFilterFindings(facts, expected),
  ];
  const rank = { error: 0, warning: 1, info: 2 } as const;
  return findings.sort((a, b) => rank[a.severity] - rank[b.severity]);
}

function portFinding(facts: HostFacts, expected: HostExpectations): Finding[] {
  const owner = facts.bgpPortOwner;
  if (owner === undefined) return [];
  return [
    {
      severity: 'error',
      code: 'bgp-port-busy',
      message: `TCP port ${expected.bgpPort} is held by ${owner.command} (pid ${owner.pid}): peers that dial in reach it, not us`,
      remedy: `stop ${owner.command}, or set spec.listenPort of BGPConfiguration default to another port`,
    },
  ];
}

function nftFindings(facts: HostFacts, expected: HostExpectations): Finding[] {
  if (!facts.nft.ok) {
    return [
      {
        severity: 'info',
        code: 'nft-unreadable',
        message: `foreign nftables chains were not looked at: ${facts.nft.why}`,
        remedy: 'apt-get install nftables',
      },
    ];
  }
  return foreignDrops(facts.nft.ruleset, expected.chainPrefix).map((drop) => ({
    severity: 'warning',
    code: 'foreign-drop',
    message: `nft chain ${drop.family} ${drop.table} ${drop.chain} (hook ${drop.hook}, ${drop.why}) also sees our packets; an accept in our chains does not override it`,
    remedy:
      drop.hook === 'forward'
        ? `nft insert rule ${drop.family} ${drop.table} ${drop.chain} iifname "${expected.linkPrefix}*" accept; nft insert rule ${drop.family} ${drop.table} ${drop.chain} oifname "${expected.linkPrefix}*" accept`
        : `nft insert rule ${drop.family} ${drop.table} ${drop.chain} tcp dport ${expected.bgpPort} accept`,
  }));
}

function firewallFindings(facts: HostFacts, expected: HostExpectations): Finding[] {
  const findings: Finding[] = [];
  const port = expected.bgpPort;
  if (
    /^\s*ENABLED\s*=\s*"?yes"?/im.test(facts.ufwConf ?? '') &&
    !new RegExp(`--dport ${port}\\b`).test(facts.ufwRules)
  ) {
    findings.push({
      severity: 'warning',
      code: 'ufw-bgp-closed',
      message: `ufw is enabled and has no rule for TCP port ${port}: peers cannot dial in`,
      remedy: `ufw allow ${port}/tcp && ufw route allow in on ${expected.linkPrefix}+ && ufw route allow out on ${expected.linkPrefix}+`,
    });
  }
  const open = new RegExp(`port="${port}"|<service name="bgp"`);
  if (facts.firewalldRunning && !facts.firewalldZones.some((zone) => open.test(zone.text))) {
    findings.push({
      severity: 'warning',
      code: 'firewalld-bgp-closed',
      message: `firewalld is running and no zone opens TCP port ${port}: peers cannot dial in`,
      remedy: `firewall-cmd --permanent --add-port=${port}/tcp && firewall-cmd --reload`,
    });
  }
  return findings;
}

function networkdFindings(facts: HostFacts): Finding[] {
  if (!facts.networkdRunning) return [];
  const managed = NETWORKD_KEYS.filter((key) => iniBoolean(facts.networkdConf, 'Network', key) !== false);
  if (managed.length === 0) return [];
  return [
    {
      severity: 'warning',
      code: 'networkd-foreign-routes',
      message: `systemd-networkd removes routes, next hops and rules that it did not make (${managed.join(', ')} not set to no)`,
      remedy: `mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\n${managed.map((key) => `${key}=no\\n`).join('')}' > /etc/systemd/networkd.conf.d/ocicat.conf && systemctl restart systemd-networkd`,
    },
  ];
}

function networkManagerFindings(facts: HostFacts, expected: HostExpectations): Finding[] {
  if (!facts.networkManagerRunning) return [];
  const pattern = `interface-name:${expected.linkPrefix}*`;
  if (facts.networkManagerConf.some((file) => activeLines(file.text).some((line) => line.includes(pattern))))
    return [];
  return [
    {
      severity: 'warning',
      code: 'networkmanager-links',
      message: `NetworkManager may manage our links (${expected.linkPrefix}*) and take their addresses and routes away`,
      remedy: `printf '[keyfile]\\nunmanaged-devices=${pattern}\\n' > /etc/NetworkManager/conf.d/ocicat.conf && systemctl reload NetworkManager`,
    },
  ];
}

function rpFilterFindings(facts: HostFacts, expected: HostExpectations): Finding[] {
  if (facts.rpFilterAll !== 1 || expected.uplinks < 2) return [];
  return [
    {
      severity: 'warning',
      code: 'rp-filter-strict',
      message: `net.ipv4.conf.all.rp_filter is 1 (strict) with ${expected.uplinks} uplinks: replies that come back over the other uplink are dropped`,
      remedy: 'sysctl -w net.ipv4.conf.all.rp_filter=2',
    },
  ];
}

function activeLines(text: string): string[] {
  return text.split('\n').filter((line) => !/^\s*[#;]/.test(line));
}

// systemd's INI: the last assignment in the section wins, files in the order given.
function iniBoolean(files: readonly TextFile[], section: string, key: string): boolean | undefined {
  let current = '';
  let value: boolean | undefined;
  for (const file of files) {
    for (const line of activeLines(file.text)) {
      const heading = /^\s*\[(.+)\]\s*$/.exec(line);
      if (heading?.[1] !== undefined) current = heading[1];
      const assignment = /^\s*([A-Za-z]+)\s*=\s*(\S*)/.exec(line);
      if (current === section && assignment?.[1] === key)
        value = /^(1|yes|true|on)$/i.test(assignment[2] ?? '');
    }
  }
  return value;
}
