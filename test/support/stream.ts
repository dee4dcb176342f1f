/** A steady stream of numbered UDP packets between two containers, in both families: what was sent, what arrived, what is missing. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';

const SCRIPT = fileURLToPath(new URL('./stream-child.ts', import.meta.url));
const PORT = '7777';
const ANSWER_TIMEOUT_MS = 15_000;

/** Starts a command inside a container, its streams as pipes. */
export type StartInside = (command: readonly string[]) => ChildProcess;

interface Counts {
  readonly ipv4: number;
  readonly ipv6: number;
}
interface SenderReport {
  readonly sent: Counts;
  readonly errors: readonly string[];
}
interface ReceiverReport {
  readonly received: Counts;
  readonly overrun: Counts;
  readonly missing: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
}

/** One end's process, a question and an answer a line. */
class End {
  readonly #child: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];
  readonly #lines: string[] = [];
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    child.stdin?.on('error', () => {});
    assert.ok(child.stdout !== null);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#lines.push(line);
      else waiting(line);
    });
  }

  next(): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`an end of the stream does not answer: ${this.#stderr}`)),
        ANSWER_TIMEOUT_MS,
      );
      const ended = (): void => {
        clearTimeout(timer);
        reject(new Error(`an end of the stream ended: ${this.#stderr}`));
      };
      this.#child.once('close', ended);
      this.#waiting.push((answer) => {
        clearTimeout(timer);
        this.#child.removeListener('close', ended);
        resolve(answer);
      });
    });
  }

  ask(): Promise<string> {
    this.#child.stdin?.write('\n');
    return this.next();
  }

  close(): void {
    this.#child.stdin?.end();
    this.#child.kill('SIGKILL');
  }
}

/** A stream under way. */
export class Stream {
  readonly name: string;
  readonly #sender: End;
  readonly #receiver: End;

  private constructor(name: string, sender: End, receiver: End) {
    this.name = name;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** Starts it; resolves once packets of both families arrive. `addresses`: of the receiver. */
  static async start(
    name: string,
    from: StartInside,
    to: StartInside,
    addresses: readonly string[],
    packetsPerSec = 1000,
  ): Promise<Stream> {
    const receiver = new End(to([process.execPath, SCRIPT, 'receive', PORT]));
    await receiver.next();
    const sender = new End(
      from([process.execPath, SCRIPT, 'send', String(packetsPerSec), PORT, ...addresses]),
    );
    await sender.next();
    const stream = new Stream(name, sender, receiver);
    await eventually(`packets of ${name} arrive`, async () => {
      const { received } = await stream.received();
      return received.ipv4 > 0 && received.ipv6 > 0;
    });
    return stream;
  }

  /** What has arrived so far. */
  async received(): Promise<ReceiverReport> {
    const report: ReceiverReport = JSON.parse(await this.#receiver.ask());
    return report;
  }

  /** Stops sending and asserts that every packet arrived; at least `minimum` of each family. Returns what was sent. */
  async endWithoutLoss(minimum: number): Promise<Counts> {
    const { sent, errors }: SenderReport = JSON.parse(await this.#sender.ask());
    assert.deepEqual(errors, [], `${this.name}: nothing could be sent`);
    let last: ReceiverReport | undefined;
    try {
      await eventually(
        `all packets of ${this.name} arrive`,
        async () => {
          last = await this.received();
          const { received, overrun } = last;
          return received.ipv4 + overrun.ipv4 === sent.ipv4 && received.ipv6 + overrun.ipv6 === sent.ipv6;
        },
        { timeoutMs: 3000 },
      );
    } catch (error) {
      throw new Error(`${this.name} lost packets: sent ${JSON.stringify(sent)}, ${JSON.stringify(last)}`, {
        cause: error,
      });
    }
    assert.ok(Math.min(sent.ipv4, sent.ipv6) >= minimum, `${this.name}: sent only ${JSON.stringify(sent)}`);
    return sent;
  }

  /** Stops sending, waits until nothing more arrives, and returns how many packets of each family were sent and did not. */
  async end(): Promise<{ readonly sent: Counts; readonly lost: Counts }> {
    const { sent }: SenderReport = JSON.parse(await this.#sender.ask());
    let before = -1;
    const last = await eventually(
      `packets of ${this.name} come to an end`,
      async () => {
        const report = await this.received();
        const count = report.received.ipv4 + report.received.ipv6;
        const isOver = count === before;
        before = count;
        return isOver ? report : undefined;
      },
      { intervalMs: 300 },
    );
    const lost = (family: 'ipv4' | 'ipv6'): number =>
      sent[family] - last.received[family] - last.overrun[family];
    return { sent, lost: { ipv4: lost('ipv4'), ipv6: lost('ipv6') } };
  }

  close(): void {
    this.#sender.close();
    this.#receiver.close();
  }
}
