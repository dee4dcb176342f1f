import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { firstPortInUse } from '../../../../../src/agent/endpoints/host-ports.ts';
import type { ProtocolName } from '../../../../../src/model/scalars.ts';
import type { WorkloadPort } from '../../../../../src/model/workload-endpoint.ts';

const port = (protocol: ProtocolName, hostPort: number, hostIP?: string): WorkloadPort => ({
  protocol,
  port: 80,
  hostPort,
  ...(hostIP === undefined ? {} : { hostIP }),
});

describe('ports that the host itself listens on', () => {
  it('are found for TCP, on the address asked for and on all', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const number = address.port;
    try {
      for (const hostIP of [undefined, '0.0.0.0', '127.0.0.1'])
        assert.equal((await firstPortInUse([port('TCP', number, hostIP)]))?.hostPort, number);
      assert.equal(await firstPortInUse([port('TCP', number, '127.0.0.2')]), undefined);
    } finally {
      server.close();
      await once(server, 'close');
    }
    assert.equal(await firstPortInUse([port('TCP', number)]), undefined);
  });

  it('are found for UDP', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const number = socket.address().port;
    try {
      assert.equal((await firstPortInUse([port('UDP', number)]))?.hostPort, number);
      assert.equal(await firstPortInUse([port('UDP', number, '127.0.0.2')]), undefined);
    } finally {
      socket.close();
      await once(socket, 'close');
    }
    assert.equal(await firstPortInUse([port('UDP', number)]), undefined);
  });

  it('count as free where the kernel cannot tell: addresses that are not here, other protocols', async () => {
    const hidden = [
      port('TCP', 80, '192.0.2.77'),
      port('UDP', 53, '2001:db8::77'),
      port('SCTP', 80),
      port('TCP', 80, 'x'),
    ];
    assert.equal(await firstPortInUse(hidden), undefined);
  });
});
