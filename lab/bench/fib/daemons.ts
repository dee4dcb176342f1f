/** From wire to kernel: an injector announces the routes to a BGP daemon that puts them into the kernel, and withdraws them again. */
import type { Netns } from '../../../test/support/netns.ts';
import { type DeviceName, startDevice } from '../bgp/devices.ts';
import { addressOctets, DEVICE_AS, FIRST_SENDER_AS } from '../bgp/jobs.ts';
import { encodeAnnouncements, encodeWithdrawals } from '../bgp/routes.ts';
import { BenchSession } from '../bgp/session.ts';
import { warmMemory } from '../warm-memory.ts';
import { type Contender, GATEWAY, HOST_ADDRESS } from './in-process.ts';
import { countRoutes, type ExpectedRoutes, SampleWatch, sampleBits } from './kernel-table.ts';

const TIMEOUT_MS = 300_000;
/** the sample is complete: all the rest must follow within this */
const REST_MS = 10_000;
const POLL_MS = 20;
/** for what a daemon still does after the session is up */
const SETTLE_MS = 1_000;

/** A daemon as a contender. To be run in the namespace of the injector, which has the address `GATEWAY`. */
export function wireToKernel(name: Exclude<DeviceName, 'gobgp'>): Contender {
  return (host, expected) => measure(name, host, expected);
}

async function measure(name: DeviceName, host: Netns, expected: ExpectedRoutes): ReturnType<Contender> {
  const { table } = expected;
  const announcements = encodeAnnouncements(table, addressOctets(GATEWAY));
  const withdrawals = encodeWithdrawals(table);
  const bits = sampleBits(table.count);
  const sampled = expected.sampled(bits);
  const device = startDevice(name, {
    ...{ netns: host.path, as: DEVICE_AS, routerId: HOST_ADDRESS, ipv6Address: 'fd99::1', fib: true },
    peers: [{ address: GATEWAY, as: FIRST_SENDER_AS }],
  });
  let session: BenchSession | undefined;
  const watch = new SampleWatch(host.path, bits);
  try {
    session = await BenchSession.open({
      ...{ localAddress: GATEWAY, peerAddress: HOST_ADDRESS, peerPort: device.port, as: FIRST_SENDER_AS },
      ...{ routerId: GATEWAY, family: 'ipv4', isSink: true },
    });
    const release = await warmMemory();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    await release();
    watch.count = 0;
    const phase = async (
      octets: Buffer,
      sample: number,
      problemOf: () => string | undefined,
    ): Promise<number> => {
      const startedAt = performance.now();
      const sent = session?.send(octets);
      await watch.until(sample, TIMEOUT_MS);
      let endedAt = watch.lastAt;
      for (let problem = problemOf(); problem !== undefined; problem = problemOf()) {
        if (performance.now() - watch.lastAt > REST_MS) throw new Error(`the kernel: ${problem}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        endedAt = performance.now();
      }
      await sent;
      if (session?.fault !== undefined) throw new Error(`the session fell: ${session.fault}`);
      return (endedAt - startedAt) / 1000;
    };
    const cpuBefore = device.cpuSec();
    const addSec = await phase(announcements, sampled, () => expected.compare(host.path, [GATEWAY]).problem);
    const deleteSec = await phase(withdrawals, 0, () => {
      const left = countRoutes(host.path);
      return left === 0 ? undefined : `${left} routes are left`;
    });
    return { addSec, deleteSec, cpuSec: device.cpuSec() - cpuBefore, peakRssMib: device.peakRssMib() };
  } finally {
    watch.close();
    session?.close();
    await device.stop();
  }
}
