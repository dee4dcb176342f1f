/** The codec of the embedded store: the model's YAML, one resource a file. */
import { parseDocuments, serialiseResource } from '../model/documents.ts';
import type { ResourceCodec } from './codec.ts';

/** Reads and writes one resource as YAML. */
export const yamlCodec: ResourceCodec = {
  decode(text) {
    const documents = parseDocuments(text, '');
    const [first] = documents;
    if (first === undefined) return { ok: false, reasons: ['the file holds no resource'] };
    if (documents.length > 1) {
      return { ok: false, reasons: [`the file holds ${documents.length} resources: one file, one resource`] };
    }
    if (first.resource !== undefined && first.errors.length === 0)
      return { ok: true, resource: first.resource };
    return {
      ok: false,
      reasons: first.errors.map(({ path, reason }) => (path === '' ? reason : `${path}: ${reason}`)),
    };
  },
  encode: serialiseResource,
};
