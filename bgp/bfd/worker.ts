/**
 * The BFD thread: an engine with sockets and timers of its own, so that nothing that the main thread does for long delays a packet. Started by
 * BfdService, ends by itself after `close`.
 */
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../transport/clock.ts';
import { BfdEngine } from './engine.ts';
import { kernelNetwork } from './sockets.ts';
import type { FromThread, ToThread } from './thread-messages.ts';

/** nice(2) of this thread alone, where that is allowed: on a busy host detection times must hold. */
const NICE = -10;

function run(port: NonNullable<typeof parentPort>): void {
  try {
    // 0 is the calling thread for Linux.
    setPriority(0, NICE);
  } catch {
    // Without CAP_SYS_NICE it runs with the priority of the rest.
  }
  const engine = new BfdEngine({
    network: kernelNetwork(Math.random),
    clock: systemClock,
    random: Math.random,
    tell: (message: FromThread) => port.postMessage(message),
  });
  port.on('message', (message: ToThread) => {
    switch (message.type) {
      case 'add':
        engine.add(message.id, message.config, message.counters);
        return;
      case 'update':
        engine.update(message.id, message.timers);
        return;
      case 'remove':
        engine.remove(message.id);
        return;
      case 'close':
        engine.close();
        port.close();
        return;
    }
  });
}

if (parentPort === null) throw new Error('bgp/bfd/worker is the BFD thread: BfdService starts it');
run(parentPort);
