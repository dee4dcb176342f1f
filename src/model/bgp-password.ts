/** A BGP password, given by reference to a key of a secret. */
import { boolean, object, optional, text } from './schema.ts';

export interface SecretKeyReference {
  readonly name?: string;
  readonly key?: string;
  readonly optional?: boolean;
}

export interface BgpPassword {
  readonly secretKeyRef?: SecretKeyReference;
}

export const bgpPassword = object<BgpPassword>({
  secretKeyRef: optional(
    object<SecretKeyReference>({
      name: optional(text()),
      key: optional(text()),
      optional: optional(boolean()),
    }),
  ),
});
