/** RTM_*RULE: routing rules, by which the kernel chooses a table (linux/fib_rules.h). */
import { type Address, addressBits, addressFromBytes } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, FRA, NLM_F, RTM } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const FIB_RULE_HDR_BYTES = 12;
const FR_ACT_TO_TBL = 1;

/** A rule `from ADDRESS lookup TABLE`. */
export interface SourceRule {
  readonly source: Address;
  readonly table: number;
  /** lower ones are asked first; `main` has 32766 */
  readonly priority: number;
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWRULE. Undefined for rules of any other kind. */
export function decodeSourceRule(message: MessageBody): SourceRule | undefined {
  const at = message.bodyStart;
  if (at + FIB_RULE_HDR_BYTES > message.bodyEnd) return undefined;
  const family = message.bytes[at];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const bits = family === AF_INET ? 32 : 128;
  if (message.bytes[at + 2] !== bits || message.bytes[at + 7] !== FR_ACT_TO_TBL) return undefined;
  let source: Address | undefined;
  let table = message.bytes[at + 4] ?? 0;
  let priority = 0;
  attributes.reset(message.bytes, message.view, at + FIB_RULE_HDR_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === FRA.SRC && attributes.length * 8 === bits) {
      source = addressFromBytes(attributes.copy());
    } else if (attributes.type === FRA.TABLE) table = attributes.u32();
    else if (attributes.type === FRA.PRIORITY) priority = attributes.u32();
  }
  return source === undefined ? undefined : { source, table, priority };
}

/** The table that an RTM_NEWRULE leads to, whatever it matches. Undefined for a rule that leads to none. */
export function decodeRuleTable(message: MessageBody): number | undefined {
  const at = message.bodyStart;
  if (at + FIB_RULE_HDR_BYTES > message.bodyEnd || message.bytes[at + 7] !== FR_ACT_TO_TBL) return undefined;
  let table = message.bytes[at + 4] ?? 0;
  attributes.reset(message.bytes, message.view, at + FIB_RULE_HDR_BYTES, message.bodyEnd);
  while (attributes.next()) if (attributes.type === FRA.TABLE) table = attributes.u32();
  return table;
}

/** Writes the RTM_GETRULE of a dump of one family (AF_*). */
export function writeRuleDump(writer: MessageWriter, family: number): void {
  writer.begin(RTM.GETRULE, 0);
  writer.u8(family);
  for (let octet = 1; octet < FIB_RULE_HDR_BYTES; octet++) writer.u8(0);
  writer.end();
}

/** Writes the RTM_NEWRULE that adds a rule (EEXIST when it is there), or the RTM_DELRULE that removes it. */
export function writeSourceRule(writer: MessageWriter, verb: 'add' | 'delete', rule: SourceRule): void {
  if (verb === 'add') writer.begin(RTM.NEWRULE, NLM_F.CREATE | NLM_F.EXCL);
  else writer.begin(RTM.DELRULE, 0);
  writer.u8(rule.source.family === 'ipv4' ? AF_INET : AF_INET6);
  writer.u8(0);
  writer.u8(addressBits(rule.source.family));
  writer.u8(0);
  writer.u8(rule.table > 255 ? 0 : rule.table);
  writer.u16(0);
  writer.u8(FR_ACT_TO_TBL);
  writer.u32(0);
  writer.attributeBytes(FRA.SRC, rule.source.bytes);
  writer.attributeU32(FRA.TABLE, rule.table);
  writer.attributeU32(FRA.PRIORITY, rule.priority);
  writer.end();
}
