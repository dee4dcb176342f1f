/** Real sockets on the loopback interface, on ports that the kernel picks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Channel, ListenError, Listener, Network } from '../../../../bgp/transport/channel.ts';
import { tcpNetwork } from '../../../../bgp/transport/tcp.ts';
import { type Address, FAMILIES, formatAddress } from '../../../../src/net/address.ts';
import { eventually } from '../../../support/eventually.ts';
import { address } from '../speaker/world.ts';

const LOOPBACK = { ipv4: address('127.0.0.1'), ipv6: address('::1') } as const;

describe('TCP transport', () => {
  const warnings: string[] = [];
  const network: Network = tcpNetwork((message) => warnings.push(message));
  const listeners: Listener[] = [];
  const channels: Channel[] = [];

  afterEach(async () => {
    for (const channel of channels.splice(0)) channel.destroy();
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
    assert.deepEqual(warnings.splice(0), []);
  });

  async function listen(at: Address, onAccept: (channel: Channel) => void): Promise<number> {
    let bound = 0;
    let failed: ListenError | undefined;
    listeners.push(
      network.listen(at, 0, {
        onListening: (port) => {
          bound = port;
        },
        onAccept: (channel) => {
          channels.push(channel);
          onAccept(channel);
        },
        onError: (error) => {
          failed = error;
        },
      }),
    );
    return eventually('listening', () => {
      if (failed !== undefined) throw failed;
      return bound || undefined;
    });
  }

  function dial(at: Address, port: number, ttl: number, minTtl?: number): Promise<Channel> {
    return new Promise((resolve, reject) => {
      network.dial(
        { address: at, port, localAddress: at, ttl, minTtl },
        { onUp: resolve, onFail: (reason) => reject(new Error(reason)) },
      );
    });
  }

  function collect(channel: Channel): { text: string; closed: string | undefined } {
    const state: { text: string; closed: string | undefined } = { text: '', closed: undefined };
    channel.start({
      onData: (octets) => {
        state.text += new TextDecoder().decode(octets);
      },
      onClose: (reason) => {
        state.closed = reason;
      },
    });
    return state;
  }

  for (const family of FAMILIES) {
    for (const [ttl, minTtl] of [
      [64, undefined],
      [1, undefined],
      [255, 255],
    ] as const) {
      it(`${family}, TTL ${ttl}${minTtl ? ' required' : ''}: both ways, then the end`, async () => {
        const accepted: Channel[] = [];
        const port = await listen(LOOPBACK[family], (channel) => {
          assert.equal(network.applyTtl(channel, ttl, minTtl), undefined);
          accepted.push(channel);
        });
        if (minTtl) for (const listener of listeners) listener.raiseTtl();
        const near = await dial(LOOPBACK[family], port, ttl, minTtl);
        const far = await eventually('accepted', () => accepted[0]);
        assert.equal(formatAddress(near.remoteAddress), formatAddress(LOOPBACK[family]));
        assert.equal(near.remotePort, port);
        assert.equal(far.remotePort, near.localPort);
        const [atNear, atFar] = [collect(near), collect(far)];
        near.write(Buffer.from('to far'), () => {});
        far.write(Buffer.from('to near'), () => {});
        await eventually('both', () => atNear.text === 'to near' && atFar.text === 'to far');
        near.finish(1000);
        await eventually('the end', () => atFar.closed);
        assert.equal(atFar.closed, 'the peer closed the connection');
        assert.equal(atNear.closed, undefined, 'who closes is not told');
      });
    }
  }

  it('reads nothing while paused', async () => {
    const accepted: Channel[] = [];
    const port = await listen(LOOPBACK.ipv4, (channel) => accepted.push(channel));
    const near = await dial(LOOPBACK.ipv4, port, 64);
    const far = await eventually('accepted', () => accepted[0]);
    const [atNear, atFar] = [collect(near), collect(far)];
    near.write(Buffer.from('a'), () => {});
    far.write(Buffer.from('b'), () => {});
    await eventually('read', () => atNear.text === 'b' && atFar.text === 'a');
    near.pause();
    far.pause();
    let taken = 0;
    near.write(Buffer.from('x'), () => taken++);
    far.write(Buffer.from('y'), () => taken++);
    await eventually('written', () => taken === 2);
    assert.deepEqual([atNear.text, atFar.text], ['b', 'a']);
    near.resume();
    far.resume();
    await eventually('read', () => atNear.text === 'by' && atFar.text === 'ax');
    near.destroy();
  });

  it('a slice of what comes in is a copy, whoever dialled: it keeps no more than itself', async () => {
    const accepted: Channel[] = [];
    const port = await listen(LOOPBACK.ipv4, (channel) => accepted.push(channel));
    const near = await dial(LOOPBACK.ipv4, port, 64);
    const far = await eventually('accepted', () => accepted[0]);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const kept: Uint8Array[] = [];
      to.start({ onData: (octets) => kept.push(octets.slice(0, 2)), onClose: () => {} });
      from.write(Buffer.from('abcdef'), () => {});
      const [slice] = await eventually('read', () => kept.length > 0 && kept);
      assert.equal(slice?.buffer.byteLength, 2);
    }
    near.destroy();
  });

  it('a refused dial is told, a given-up one is not', async () => {
    const port = await listen(LOOPBACK.ipv4, (channel) => channel.destroy());
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
    await assert.rejects(dial(LOOPBACK.ipv4, port, 1), /ECONNREFUSED/);
    let told = false;
    const given = network.dial(
      { address: LOOPBACK.ipv4, port, localAddress: undefined, ttl: 64, minTtl: undefined },
      { onUp: () => (told = true), onFail: () => (told = true) },
    );
    given.cancel();
    await assert.rejects(dial(LOOPBACK.ipv4, port, 64), /ECONNREFUSED/);
    assert.equal(told, false);
  });

  it('the last message is read although the peer has sent more than we read', async () => {
    const accepted: Channel[] = [];
    const port = await listen(LOOPBACK.ipv4, (channel) => accepted.push(channel));
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    socket.write(Buffer.alloc(200_000));
    const far = await eventually('accepted', () => accepted[0]);
    far.write(Buffer.from('goodbye'), () => {});
    far.finish(1000);
    let text = '';
    socket.on('data', (octets) => {
      text += octets.toString();
    });
    await once(socket, 'end');
    assert.equal(text, 'goodbye');
  });

  it('a port that is taken is one clear error', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const bound = other.address() as AddressInfo;
    const error = await new Promise<ListenError>((resolve, reject) => {
      network.listen(LOOPBACK.ipv4, bound.port, {
        onListening: () => reject(new Error('it listens')),
        onAccept: () => {},
        onError: resolve,
      });
    });
    other.close();
    assert.equal(error.code, 'EADDRINUSE');
    assert.equal(error.port, bound.port);
    assert.match(error.message, new RegExp(`127.0.0.1 port ${bound.port}.*another program.*listenPort`));
  });
});
