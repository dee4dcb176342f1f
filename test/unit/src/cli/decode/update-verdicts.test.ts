/** UPDATE messages as `ocicat bgp decode --jsonl` answers them. */
import { UPDATE_TABLES } from '../../../bgp/wire/update-rows.ts';
import { tablesOf } from './verdict-table.ts';

describe('bgp decode --jsonl: UPDATE', () => tablesOf(UPDATE_TABLES));
