/** Types shared by every resource: its identity and its metadata. */
import type { API_VERSION, Kind } from './kinds.ts';

/** Labels or annotations. */
export type StringMap = Readonly<Record<string, string>>;

/** Metadata of a resource, as in Kubernetes. The fields after `annotations` are set by stores and servers; they are accepted and kept. */
export interface ObjectMeta {
  readonly name: string;
  /** only for namespaced kinds; `default` when absent */
  readonly namespace?: string;
  readonly labels?: StringMap;
  readonly annotations?: StringMap;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly selfLink?: string;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly unknown[];
  readonly managedFields?: readonly unknown[];
}

/** What every resource has. `S` is the kind's specification. */
export interface ResourceOf<K extends Kind, S> {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: K;
  readonly metadata: ObjectMeta;
  readonly spec: S;
  /** set by servers; kept as it is, never read */
  readonly status?: unknown;
}

/** The identity of a resource. */
export interface ResourceKey {
  readonly kind: Kind;
  /** present exactly for namespaced kinds */
  readonly namespace?: string;
  readonly name: string;
}
