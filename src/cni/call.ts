/** One CNI call as the plugin hands it on: environment and network configuration, checked. Pure. */
import { isText, mapOf, member, pickedObject, value } from '../model/json-shape.ts';
import { isMap, Problems } from '../model/schema.ts';
import { CNI_CODE, CniError } from './error.ts';
import { type NetworkConfig, readNetwork } from './network.ts';
import { CNI_VERSIONS, type CniVersion, isAtLeast, parseVersion } from './version.ts';

/** Commands that the agent decides on; the plugin answers VERSION itself. */
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const;

export type CniCommand = (typeof COMMANDS)[number];

/** Names of networks and container IDs (specification, section 2 and 3). */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const INTERFACE_NAME = /^[^/\s:]{1,15}$/;

/** What a call is about: one interface of one container in one network. */
export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

interface CallBase {
  readonly version: CniVersion;
  readonly config: NetworkConfig;
}

/** A call about one interface. */
export interface AttachmentCall extends CallBase {
  readonly command: 'ADD' | 'DEL' | 'CHECK';
  readonly attachment: Attachment;
  /** path of the network namespace; a DEL may come without */
  readonly netns: string | undefined;
  /** CNI_ARGS; keys as given */
  readonly args: ReadonlyMap<string, string>;
}

/** A call about the network as a whole. */
export interface NetworkCall extends CallBase {
  readonly command: 'GC' | 'STATUS';
}

export type CniCall = AttachmentCall | NetworkCall;

/** What the plugin sends. */
interface PluginRequest {
  readonly environment: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
}

const pluginRequest = pickedObject<PluginRequest>({
  environment: member(mapOf(value(isText, 'a text'))),
  config: member(value(isMap, 'a map')),
});

/** Reads the body of `POST /v1/cni`. Throws a `CniError`. */
export function readCall(body: unknown): CniCall {
  const request = pluginRequest.read(body, '', new Problems());
  if (request === undefined) {
    throw new CniError(
      CNI_CODE.undecodable,
      'the plugin sent something that this agent does not understand',
      'install the plugin of the same version: ocicat cni install',
    );
  }
  const { environment, config } = request;
  const command = COMMANDS.find((each) => each === environment['CNI_COMMAND']);
  if (command === undefined) {
    throw new CniError(
      CNI_CODE.badEnvironment,
      `CNI_COMMAND "${environment['CNI_COMMAND'] ?? ''}": must be one of ${COMMANDS.join(', ')}, VERSION`,
    );
  }
  const version = readVersion(config, command);
  const network = readNetwork(config, command === 'ADD' || command === 'STATUS');
  if (!NAME.test(network.name)) {
    throw new CniError(
      CNI_CODE.badConfiguration,
      `name "${network.name}": letters, digits, "_", "." and "-", a letter or digit first`,
    );
  }
  if (command === 'GC' || command === 'STATUS') return { command, version, config: network };
  const containerId = environment['CNI_CONTAINERID'] ?? '';
  const ifname = environment['CNI_IFNAME'] ?? '';
  const netns = environment['CNI_NETNS'] ?? '';
  if (!NAME.test(containerId)) {
    throw new CniError(
      CNI_CODE.badEnvironment,
      `CNI_CONTAINERID "${containerId}": must be given, of letters, digits, "_", "." and "-", a letter or digit first`,
    );
  }
  if (!INTERFACE_NAME.test(ifname) || ifname === '.' || ifname === '..' || ifname === 'lo') {
    throw new CniError(
      CNI_CODE.badEnvironment,
      `CNI_IFNAME "${ifname}": must be the name of an interface, 1 to 15 characters without "/", ":" and blanks`,
    );
  }
  if (command !== 'DEL' && !netns.startsWith('/')) {
    throw new CniError(
      CNI_CODE.badEnvironment,
      `CNI_NETNS "${netns}": must be the path of the container's network namespace`,
    );
  }
  return {
    command,
    version,
    config: network,
    attachment: { network: network.name, containerId, ifname },
    netns: netns === '' ? undefined : netns,
    args: readArgs(environment['CNI_ARGS'] ?? '', command),
  };
}

/** The version that an answer is given in, also to a call that cannot be read. */
export function versionOf(body: unknown): CniVersion {
  const asked = pluginRequest.read(body, '', new Problems())?.config['cniVersion'];
  return (typeof asked === 'string' ? parseVersion(asked) : undefined) ?? '1.1.0';
}

function readVersion(config: Readonly<Record<string, unknown>>, command: CniCommand): CniVersion {
  const asked = config['cniVersion'] ?? '0.1.0';
  const version = typeof asked === 'string' ? parseVersion(asked) : undefined;
  if (version === undefined) {
    throw new CniError(
      CNI_CODE.unsupportedVersion,
      `cniVersion ${JSON.stringify(asked)} is not supported`,
      `supported are ${CNI_VERSIONS.join(', ')}`,
    );
  }
  const since = command === 'CHECK' ? '0.4.0' : command === 'GC' || command === 'STATUS' ? '1.1.0' : '0.1.0';
  if (!isAtLeast(version, since)) {
    throw new CniError(
      CNI_CODE.unsupportedVersion,
      `${command} came with version ${since} of the specification; the configuration has ${version}`,
    );
  }
  return version;
}

// A DEL must not fail because of what it does not need.
function readArgs(text: string, command: CniCommand): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const part of text.split(';')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    if (at > 0) args.set(part.slice(0, at), part.slice(at + 1));
    else if (command !== 'DEL') {
      throw new CniError(CNI_CODE.badEnvironment, `CNI_ARGS: "${part}" is not KEY=VALUE`);
    }
  }
  return args;
}
