/** What the lab and its probers (prober.ts) say to each other, one JSON value a line. */
import type { Outcome, Probe } from './reach.ts';

export interface ProbeRequest {
  readonly id: number;
  readonly address: string;
  readonly probe: Probe;
  /** The name that must answer a TCP connect. */
  readonly expect: string;
  readonly timeoutMs: number;
}

export interface ProbeAnswer {
  readonly id: number;
  readonly outcome: Outcome;
}
