/** Numbered packets of several flows, and what is missing of them. Pure. */

export const PACKET_OCTETS = 16;

export interface Packet {
  /** index of its flow */
  readonly flow: number;
  /** one more than the flow's packet before */
  readonly number: number;
  /** `clock.ts` */
  readonly sentAt: number;
}

export function writePacket(octets: Buffer, { flow, number, sentAt }: Packet): void {
  octets.writeUInt32BE(flow, 0);
  octets.writeUInt32BE(number, 4);
  octets.writeDoubleBE(sentAt, 8);
}

export function readPacket(octets: Buffer): Packet {
  return {
    flow: octets.readUInt32BE(0),
    number: octets.readUInt32BE(4),
    sentAt: octets.readDoubleBE(8),
  };
}

/** Packets of a flow that did not come, between two that did. */
export interface Gap {
  readonly flow: number;
  /** when the one before and the one after were sent: how long the receiver takes to look is not in it */
  readonly fromMs: number;
  readonly toMs: number;
  readonly lost: number;
}

/** What was seen since the last report. */
export interface FlowReport {
  readonly gaps: readonly Gap[];
  /** packets that came after a later one, and so were counted as lost before */
  readonly late: number;
  /** by flow: when the last packet that came was sent; 0 before the first */
  readonly lastSentAt: readonly number[];
}

/** Watches the numbers of each flow. */
export class FlowLog {
  readonly #last: Int32Array;
  readonly #lastSentAt: Float64Array;
  #gaps: Gap[] = [];
  #late = 0;

  constructor(flows: number) {
    this.#last = new Int32Array(flows).fill(-1);
    this.#lastSentAt = new Float64Array(flows);
  }

  take({ flow, number, sentAt }: Packet): void {
    const last = this.#last[flow];
    if (last === undefined) return;
    if (number < last) {
      this.#late++;
      return;
    }
    // What was sent before anybody listened is not missing.
    if (last >= 0 && number > last + 1) {
      const fromMs = this.#lastSentAt[flow] ?? 0;
      this.#gaps.push({ flow, fromMs, toMs: sentAt, lost: number - last - 1 });
    }
    this.#last[flow] = number;
    this.#lastSentAt[flow] = sentAt;
  }

  /** What was seen since the last call. */
  report(): FlowReport {
    const report = { gaps: this.#gaps, late: this.#late, lastSentAt: [...this.#lastSentAt] };
    this.#gaps = [];
    this.#late = 0;
    return report;
  }
}

/** What some reports of one stream come to. */
export interface Loss {
  readonly lost: number;
  /** the longest, ms; 0: none */
  readonly longestMs: number;
  /** when the last gap ended, 0: none */
  readonly endedAt: number;
}

export function lossOf(reports: readonly FlowReport[]): Loss {
  const gaps = reports.flatMap((report) => report.gaps);
  const late = reports.reduce((sum, report) => sum + report.late, 0);
  return {
    lost: gaps.reduce((sum, { lost }) => sum + lost, 0) - late,
    longestMs: Math.max(0, ...gaps.map(({ fromMs, toMs }) => toMs - fromMs)),
    endedAt: Math.max(0, ...gaps.map(({ toMs }) => toMs)),
  };
}
