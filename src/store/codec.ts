/** How a store reads and writes one resource as text. The model's YAML is injected, so that stores know nothing of schemas. */
import type { Resource } from '../model/types.ts';

/** A resource, or every reason why the text is none. */
export type DecodedResource =
  | { readonly ok: true; readonly resource: Resource }
  | { readonly ok: false; readonly reasons: readonly string[] };

/** Text <-> one resource. */
export interface ResourceCodec {
  /** Never throws. */
  decode(text: string): DecodedResource;
  /** `decode` of the result gives an equal resource. */
  encode(resource: Resource): string;
}

/**
 * Reasons why a resource may not be in force beside the others (of any kind, itself not among them); empty: it may.
 * Pure: the answer depends on the arguments only.
 */
export type Admission = (resource: Resource, others: Iterable<Resource>) => readonly string[];
