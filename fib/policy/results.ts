/** What a `PolicyProgrammer` answers: values for its caller, for status and for metrics. */
import type { Family } from '../../src/net/address.ts';
import type { IptablesBackend } from '../iptables/backend.ts';
import type { TableName } from '../rules/static-chains.ts';
import type { PolicyFailure } from './failures.ts';

export interface StartResult {
  readonly backend: IptablesBackend;
  /** what a person should put right, each with its cure */
  readonly warnings: readonly string[];
}

export interface ApplyResult {
  /** `waiting-for-sync`: nothing was written, since `markInSync` has not been called */
  readonly state: 'applied' | 'failing' | 'waiting-for-sync';
  readonly failures: readonly PolicyFailure[];
  /** endpoints that became ready by this call */
  readonly becameReady: readonly string[];
  /** endpoints that are not ready */
  readonly notReady: readonly string[];
  /** lines of iptables-restore input that took effect, all tables */
  readonly linesWritten: number;
  /** call `apply` again after this time: doubles with each failing call, 100 ms to 30 s */
  readonly retryAfterMs?: number;
  /** call `check` after this time: 5 s after a write, doubling with each check that finds nothing to 180 s */
  readonly checkAfterMs: number;
}

export interface CheckResult extends ApplyResult {
  /** `chain NAME (ipv4 filter)`, `set NAME`: what someone else had changed and is now put right unless it is among the failures */
  readonly drift: readonly string[];
}

/** For status and metrics. */
export interface PolicyStatus {
  readonly backend: IptablesBackend | undefined;
  readonly inSync: boolean;
  readonly endpoints: number;
  readonly readyEndpoints: number;
  readonly policies: number;
  readonly sets: number;
  readonly kernelSets: number;
  readonly tables: readonly {
    readonly family: Family;
    readonly table: TableName;
    readonly chains: number;
    readonly restoreCalls: number;
    readonly busy: number;
  }[];
  readonly failures: readonly PolicyFailure[];
  readonly lastApplyMs: number | undefined;
}
