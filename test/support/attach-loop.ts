/** Attaches and detaches an endpoint for ever, until killed: `node attach-loop.ts HOST_NETNS CONTAINER_NETNS ID`. Says `ready` first. */
import { EndpointLinks } from '../../fib/endpoints/endpoint-links.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { parseAddress } from '../../src/net/address.ts';

const [hostNetns = '', netns = '', id = ''] = process.argv.slice(2);
const addresses = [parseAddress('10.66.0.1'), parseAddress('2001:db8:66::1')].filter(
  (each) => each !== undefined,
);
await prepareNamespaces();
const links = EndpointLinks.open({ netns: hostNetns });
process.stdout.write('ready\n');
for (;;) {
  const spec = { id, netns, addresses, mtu: 1500 };
  links.activate(spec, links.prepare(spec));
  links.detach(id);
}
