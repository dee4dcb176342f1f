/** The BGPConfiguration in force on a node: that of the cluster, with the node's own fields in place of it. Pure. */
import type { LargeCommunity, PathAttributes } from '../../../bgp/wire/types.ts';
import {
  type BgpConfiguration,
  DEFAULT_BGP_CONFIGURATION,
  nodeBgpConfigurationName,
} from '../../model/bgp-configuration.ts';
import { type Prefix, parsePrefix, prefixContains } from '../../net/prefix.ts';

/** Both joined; undefined when there is neither. AS number and mesh are the cluster's alone. */
export function configurationOf(
  all: readonly BgpConfiguration[],
  node: string,
): BgpConfiguration | undefined {
  const named = (name: string): BgpConfiguration | undefined =>
    all.find(({ metadata }) => metadata.name === name);
  const cluster = named(DEFAULT_BGP_CONFIGURATION);
  const own = named(nodeBgpConfigurationName(node));
  if (cluster === undefined || own === undefined) return cluster ?? own;
  return {
    ...cluster,
    metadata: {
      ...cluster.metadata,
      annotations: { ...cluster.metadata.annotations, ...own.metadata.annotations },
    },
    spec: { ...cluster.spec, ...own.spec },
  };
}

/** A community that the model has checked: `aa:nn` or `aa:nn:mm`. */
export function parseCommunity(text: string): number | LargeCommunity {
  const [first = 0, second = 0, third] = text.split(':').map(Number);
  return third === undefined
    ? ((first << 16) | second) >>> 0
    : { global: first, local1: second, local2: third };
}

/** Communities that routes inside a prefix are sent with. */
export interface TaggedPrefix {
  readonly cidr: Prefix;
  readonly communities: readonly number[];
  readonly largeCommunities: readonly LargeCommunity[];
}

/** What `prefixAdvertisements` say, names of communities resolved. */
export function taggedPrefixes(configuration: BgpConfiguration | undefined): TaggedPrefix[] {
  const named = new Map(configuration?.spec.communities?.map(({ name, value }) => [name, value]));
  return (configuration?.spec.prefixAdvertisements ?? []).flatMap((each): TaggedPrefix[] => {
    const cidr = parsePrefix(each.cidr);
    if (cidr === undefined) return [];
    const values = each.communities.map((text) => parseCommunity(named.get(text) ?? text));
    return [
      {
        cidr,
        communities: values.flatMap((value) => (typeof value === 'number' ? [value] : [])),
        largeCommunities: values.flatMap((value) => (typeof value === 'number' ? [] : [value])),
      },
    ];
  });
}

/** The communities of all tagged prefixes that a prefix is inside of, each once. */
export function originAttributes(prefix: Prefix, tagged: readonly TaggedPrefix[]): Partial<PathAttributes> {
  const around = tagged.filter(({ cidr }) => cidr.family === prefix.family && prefixContains(cidr, prefix));
  const communities = [...new Set(around.flatMap((each) => each.communities))].sort((a, b) => a - b);
  const large = new Map(
    around.flatMap((each) =>
      each.largeCommunities.map((value) => [`${value.global}:${value.local1}:${value.local2}`, value]),
    ),
  );
  return {
    ...(communities.length > 0 && { communities }),
    ...(large.size > 0 && { largeCommunities: [...large.values()] }),
  };
}
