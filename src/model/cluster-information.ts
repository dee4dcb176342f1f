/** ClusterInformation: facts about the whole cluster, written by its software. Read and checked only. */
import { boolean, object, optional, text } from './schema.ts';

export interface ClusterInformationSpec {
  readonly clusterGUID?: string;
  readonly clusterType?: string;
  readonly calicoVersion?: string;
  readonly datastoreReady?: boolean;
  readonly variant?: string;
}

export const clusterInformationSpec = object<ClusterInformationSpec>({
  clusterGUID: optional(text()),
  clusterType: optional(text()),
  calicoVersion: optional(text()),
  datastoreReady: optional(boolean()),
  variant: optional(text()),
});
