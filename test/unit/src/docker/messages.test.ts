import assert from 'node:assert/strict';
import { ApiError } from '../../../../src/api/problem.ts';
import {
  createEndpoint,
  createNetwork,
  PORT_MAP_OPTION,
  read,
  readPortMap,
  requestPool,
} from '../../../../src/docker/messages.ts';

describe("messages of Docker's engine", () => {
  it('what Go leaves out or writes as null has a value of its own, and what is not known is left behind', () => {
    assert.deepEqual(read(createNetwork, { NetworkID: 'n', Options: null, IPv4Data: null, Further: 1 }), {
      NetworkID: 'n',
      Options: {},
      IPv4Data: [],
      IPv6Data: [],
    });
    assert.deepEqual(
      read(createEndpoint, { NetworkID: 'n', EndpointID: 'e', Interface: { Address: '10.0.0.1/32' } }),
      {
        NetworkID: 'n',
        EndpointID: 'e',
        Options: {},
        Interface: { Address: '10.0.0.1/32', AddressIPv6: '', MacAddress: '' },
      },
    );
    assert.deepEqual(read(requestPool, undefined), {
      AddressSpace: '',
      Pool: '',
      SubPool: '',
      Options: {},
      V6: false,
    });
  });

  it('published ports, of an engine that writes more than we read', () => {
    const binding = { Proto: 6, Port: 80, IP: '', HostIP: '', HostPort: 8080, HostPortEnd: 8080 };
    const { IP: _, ...read } = binding;
    assert.deepEqual(readPortMap({ [PORT_MAP_OPTION]: [binding] }), [read]);
    assert.deepEqual(readPortMap({ [PORT_MAP_OPTION]: null }), []);
    assert.deepEqual(readPortMap({}), []);
  });

  it('a body that does not fit is answered by name of the field', () => {
    const refused = (action: () => unknown, message: RegExp): void =>
      assert.throws(action, (error) => error instanceof ApiError && message.test(error.problem.message));
    refused(() => read(createNetwork, {}), /^NetworkID: missing$/);
    refused(() => read(createNetwork, []), /^the request: expected a map, found a list$/);
    refused(
      () => read(createNetwork, { NetworkID: 'n', IPv4Data: [{}, { Pool: 1 }] }),
      /^IPv4Data\[1\]\.Pool: /,
    );
    refused(() => readPortMap({ [PORT_MAP_OPTION]: [{ Proto: 6 }] }), /^\[0\]\.Port: missing$/);
  });
});
