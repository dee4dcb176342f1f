/** Each path attribute with each kind of damage, as `ocicat bgp decode --jsonl` answers it. */
import { DAMAGE_TABLES } from '../../../bgp/wire/damage-rows.ts';
import { tablesOf } from './verdict-table.ts';

describe('bgp decode --jsonl: each attribute, each damage (RFC 7606)', () => tablesOf(DAMAGE_TABLES));
