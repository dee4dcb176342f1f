/**
 * Numbers of the rtnetlink protocol, named as the kernel's uapi headers name them (linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h,
 * neighbour.h, nexthop.h, netconf.h). Netlink is host-endian; all machines that we support are little-endian.
 */

/** Bytes of struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port id. */
export const NLMSG_HEADER_BYTES = 16;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

/** Message types of the netlink layer itself. */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** Header flags. REPLACE to APPEND belong to NEW requests, ROOT and MATCH to GET requests, CAPPED and ACK_TLVS to replies. */
export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
} as const;

export const NLMSGERR_ATTR = { MSG: 1, OFFS: 2 } as const;

export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  GETQDISC: 38,
  NEWNETCONF: 80,
  DELNETCONF: 81,
  GETNETCONF: 82,
  NEWNEXTHOP: 104,
  DELNEXTHOP: 105,
  GETNEXTHOP: 106,
} as const;

/** Multicast groups (RTNLGRP_*). */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV4_NETCONF: 24,
  IPV6_NETCONF: 25,
  NEXTHOP: 32,
} as const;

export const RTA = {
  DST: 1,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  TABLE: 15,
  VIA: 18,
  NH_ID: 30,
} as const;

/** Attributes of routing rules. */
export const FRA = { SRC: 2, PRIORITY: 6, TABLE: 15 } as const;

/** Attributes of queueing disciplines, and of the token bucket filter's options. */
export const TCA = { KIND: 1, OPTIONS: 2 } as const;
export const TCA_TBF = { PARMS: 1, RATE64: 4, BURST: 6 } as const;

/** Route types (rtm_type). */
export const RTN = {
  UNSPEC: 0,
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
} as const;

export const RT_SCOPE = { UNIVERSE: 0, LINK: 253, HOST: 254, NOWHERE: 255 } as const;
export const RT_TABLE_MAIN = 254;
/** Next-hop flags. DEAD and LINKDOWN are states that the kernel reports. */
export const RTNH_F = { DEAD: 1, ONLINK: 4, LINKDOWN: 16 } as const;
/** rtm_flags: the entry is a cache clone of a route, not a route. */
export const RTM_F_CLONED = 0x200;

export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  OPERSTATE: 16,
  LINKINFO: 18,
  NET_NS_FD: 28,
  CARRIER: 33,
  LINK_NETNSID: 37,
} as const;
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
export const VETH_INFO_PEER = 1;
/** Interface flags: administratively up, and operational (has carrier and is not dormant). */
export const IFF = { UP: 0x1, LOOPBACK: 0x8, POINTOPOINT: 0x10, RUNNING: 0x40, LOWER_UP: 0x10000 } as const;

export const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
export const IFA_F = {
  SECONDARY: 0x01,
  NODAD: 0x02,
  DADFAILED: 0x08,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  NOPREFIXROUTE: 0x200,
} as const;

export const NDA = { DST: 1, LLADDR: 2 } as const;
/** Neighbour states. */
export const NUD = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  PERMANENT: 0x80,
} as const;

export const NHA = { ID: 1, GROUP: 2, GROUP_TYPE: 3, BLACKHOLE: 4, OIF: 5, GATEWAY: 6 } as const;

export const NETCONFA = { IFINDEX: 1, FORWARDING: 2, RP_FILTER: 3, PROXY_NEIGH: 5 } as const;
/** The pseudo interface indexes of NETCONFA_IFINDEX for `conf/all` and `conf/default`. */
export const NETCONFA_IFINDEX = { ALL: -1, DEFAULT: -2 } as const;

export const SOL_NETLINK = 270;
export const NETLINK_OPTION = { ADD_MEMBERSHIP: 1, CAP_ACK: 10, EXT_ACK: 11, GET_STRICT_CHK: 12 } as const;

/** Names of route protocols that other daemons use (rtnetlink.h and /etc/iproute2/rt_protos), for messages to people. */
const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  0: 'unspec',
  1: 'redirect',
  2: 'kernel',
  3: 'boot',
  4: 'static',
  9: 'ra',
  11: 'zebra',
  12: 'bird',
  14: 'dnrouted',
  16: 'dhcp',
  17: 'kube-router',
  18: 'keepalived',
  42: 'babel',
  80: 'calico',
  171: 'ocicat',
  186: 'bgp',
  187: 'isis',
  188: 'ospf',
  189: 'rip',
  192: 'eigrp',
};

/** The name of a route protocol number, or the number as text. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? String(protocol);
}
