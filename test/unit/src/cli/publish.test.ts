import assert from 'node:assert/strict';
import { parsePublish, publishedText } from '../../../../src/cli/publish.ts';

const GOOD: readonly (readonly [string, object, string])[] = [
  ['8080:80', { protocol: 'TCP', port: 80, hostPort: 8080 }, '8080->80/tcp'],
  ['53:5353/udp', { protocol: 'UDP', port: 5353, hostPort: 53 }, '53->5353/udp'],
  ['1:2/SCTP', { protocol: 'SCTP', port: 2, hostPort: 1 }, '1->2/sctp'],
  [
    '127.0.0.1:8080:80/tcp',
    { protocol: 'TCP', port: 80, hostPort: 8080, hostIP: '127.0.0.1' },
    '127.0.0.1:8080->80/tcp',
  ],
  [
    '[2001:DB8:0::1]:8080:80',
    { protocol: 'TCP', port: 80, hostPort: 8080, hostIP: '2001:db8::1' },
    '[2001:db8::1]:8080->80/tcp',
  ],
];

const BAD: readonly (readonly [string, RegExp])[] = [
  ['', /HOST_PORT:CONTAINER_PORT/],
  ['80', /HOST_PORT:CONTAINER_PORT/],
  ['80:', /HOST_PORT:CONTAINER_PORT/],
  ['8080:80/', /HOST_PORT:CONTAINER_PORT/],
  ['-1:80', /HOST_PORT:CONTAINER_PORT/],
  ['8000-8010:80', /HOST_PORT:CONTAINER_PORT/],
  ['0:80', /port 0 is not 1 to 65535/],
  ['80:65536', /port 65536/],
  ['80:80/icmp', /icmp is not tcp, udp or sctp/],
  ['eth0:80:80', /eth0 is no address/],
  [':80:80', / is no address/],
  ['2001:db8::1:80:80', /write the IPv6 address as \[2001:db8::1\]/],
];

describe('--publish', () => {
  for (const [text, expected, shown] of GOOD) {
    it(`reads ${text}`, () => {
      const port = parsePublish(text);
      assert.deepEqual(port, expected);
      assert.ok(typeof port !== 'string');
      assert.equal(publishedText(port), shown);
    });
  }
  for (const [text, expected] of BAD) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      const problem = parsePublish(text);
      assert.ok(typeof problem === 'string');
      assert.match(problem, expected);
    });
  }
});
