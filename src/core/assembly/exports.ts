/**
 * The form in which a path is exported (bgp/rib/export-rules.ts), where it depends on nothing but its attributes: looked up, and in the usual case made
 * without asking anybody.
 */
import { sameOctets } from './attribute-summary';
import { attributeInternForm, attributeKey, attributeOctets, attributeRelease } from './attributes';
import { at, get, pointer, put, set } from './fields';
import { growForms, makeForm, nextHopKind } from './host';
import {
  ATTRIBUTE_FLAGS,
  EXPORT_ASKED,
  EXPORT_ATTRIBUTES,
  EXPORT_EDITS,
  EXPORT_FORMS,
  EXPORT_FORMS_ROOM,
  EXPORT_IS_EXTERNAL,
  EXPORT_KEPT_EDITS,
  EXPORT_KEY_ROOM,
  EXPORT_NEXT_HOPS,
  EXPORT_PEERS,
  EXPORT_REFUSED,
  KEEPS_NEXT_HOP,
  LOCAL_PEER,
  NO_NEXT_HOP,
  NOT_EXPORTED,
  OWN_NEXT_HOP,
  PEERS_EXTERNAL,
  REWRITE_NEXT_HOP,
  REWRITE_NEXT_HOP_OCTETS,
} from './layout';
import { keyRewrite } from './rewrite';

/** an entry of EXPORT_NEXT_HOPS: octets of the next hop and these, and what becomes of it */
const NEXT_HOP_ENTRY_BITS = 5;
const NEXT_HOP_MASK = 31;
const OCTETS = 4;
const KIND = 20;

/** The exported form of a path of that peer, or NOT_EXPORTED. The rules do not look at prefixes. Takes no reference. */
export function exportedForm(rules: usize, attribute: i32, peer: i32): i32 {
  if (!isPlain(rules, peer)) return makeForm(rules, attribute, peer);
  if (attribute >= get(rules, EXPORT_FORMS_ROOM)) growForms(rules, attribute);
  const known = at(pointer(rules, EXPORT_FORMS), attribute);
  if (known !== 0) return known < 0 ? NOT_EXPORTED : known - 1;
  const form = make(rules, attribute, peer);
  put(pointer(rules, EXPORT_FORMS), attribute, form < 0 ? -1 : form + 1);
  return form;
}

/** An attribute id goes away, and the form that was made of it with it. */
export function forgetForm(rules: usize, attribute: i32): void {
  if (attribute >= get(rules, EXPORT_FORMS_ROOM)) return;
  const forms = pointer(rules, EXPORT_FORMS);
  const form = at(forms, attribute);
  if (form === 0) return;
  put(forms, attribute, 0);
  if (form > 0 && form - 1 !== attribute) attributeRelease(pointer(rules, EXPORT_ATTRIBUTES), form - 1);
}

/** Whether it does not matter which peer sent a path: others hear of what comes from an external one, external ones of what comes from any. */
function isPlain(rules: usize, peer: i32): bool {
  if (peer === LOCAL_PEER) return false;
  if (get(rules, EXPORT_IS_EXTERNAL) !== 0) return true;
  return load<u8>(pointer(pointer(rules, EXPORT_PEERS), PEERS_EXTERNAL) + <usize>peer) !== 0;
}

function make(rules: usize, attribute: i32, peer: i32): i32 {
  const attributes = pointer(rules, EXPORT_ATTRIBUTES);
  const flags = <i32>load<u16>(pointer(attributes, ATTRIBUTE_FLAGS) + ((<usize>attribute) << 1));
  if ((flags & get(rules, EXPORT_REFUSED)) !== 0) return NOT_EXPORTED;
  if (pointer(rules, EXPORT_EDITS) === 0 || (flags & get(rules, EXPORT_ASKED)) !== 0) {
    return makeForm(rules, attribute, peer);
  }
  const key = attributeKey(attributes, attribute);
  const kind = kindOf(rules, attribute, key);
  if (kind === NO_NEXT_HOP) return NOT_EXPORTED;
  let edits = pointer(rules, EXPORT_EDITS);
  if (kind === KEEPS_NEXT_HOP) {
    edits = pointer(rules, EXPORT_KEPT_EDITS);
    // Of a global and link-local pair the global one.
    const octets = min(16, <i32>load<u8>(key));
    set(edits, REWRITE_NEXT_HOP_OCTETS, octets);
    memory.copy(edits + (REWRITE_NEXT_HOP << 2), key + 1, <usize>octets);
  }
  const room = pointer(rules, EXPORT_KEY_ROOM);
  const octets = keyRewrite(edits, key, attributeOctets(attributes, attribute), room);
  const form = attributeInternForm(attributes, room, <usize>octets);
  // A form that equals its source lives as long as the source does; a reference of its own would keep both for ever.
  if (form === attribute) attributeRelease(attributes, form);
  return form;
}

/** What becomes of a key's next hop. Few next hops come up again and again. */
function kindOf(rules: usize, attribute: i32, key: usize): i32 {
  const known = pointer(rules, EXPORT_NEXT_HOPS);
  const octets = min(16, <i32>load<u8>(key));
  if (known === 0 || octets === 0) return OWN_NEXT_HOP;
  const place = (load<u8>(key + <usize>octets) + load<u8>(key + <usize>octets - 1)) & NEXT_HOP_MASK;
  const entry = known + ((<usize>place) << NEXT_HOP_ENTRY_BITS);
  if (load<i32>(entry) === octets && sameOctets(entry + OCTETS, key + 1, octets))
    return load<i32>(entry, KIND);
  const kind = nextHopKind(rules, attribute);
  store<i32>(entry, octets);
  memory.copy(entry + OCTETS, key + 1, <usize>octets);
  store<i32>(entry, kind, KIND);
  return kind;
}
