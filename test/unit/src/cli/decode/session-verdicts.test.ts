/** All messages but UPDATE as `ocicat bgp decode --jsonl` answers them. */
import { SESSION_TABLES } from '../../../bgp/wire/session-rows.ts';
import { tablesOf } from './verdict-table.ts';

describe('bgp decode --jsonl: messages but UPDATE', () => tablesOf(SESSION_TABLES));
