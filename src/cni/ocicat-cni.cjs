'use strict';
// @ts-check
/**
 * The CNI plugin: hands each call of a container runtime to the agent and prints what it answers. Plain JavaScript without dependencies, so
 * that it starts as fast as Node does. Decides nothing itself but this: VERSION needs no agent; a DEL that no agent takes is left in a
 * folder that the agent works off. `ocicat cni install` puts it beside a wrapper that names its Node.
 */
const fs = require('node:fs');
const net = require('node:net');

const SUPPORTED_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const NEWEST = '1.1.0';
const DEFAULT_SOCKET = '/run/ocicat/api.sock';
const DEFAULT_QUEUE = '/var/lib/ocicat/cni-queue';
/** Runtimes wait some minutes; the specification wants an answer within their patience. */
const AGENT_TIMEOUT_MS = 28_000;
/** Codes of the CNI specification. */
const TRY_AGAIN = 11;
const CANNOT_DECODE = 6;
const CANNOT_READ = 5;
const NOT_AVAILABLE = 50;

/** @typedef {Record<string, unknown>} Config */

/** @type {Record<string, string>} */
const environment = {};
for (const key of ['COMMAND', 'CONTAINERID', 'NETNS', 'IFNAME', 'ARGS', 'PATH']) {
  const value = process.env[`CNI_${key}`];
  if (value !== undefined) environment[`CNI_${key}`] = value;
}
const command = environment['CNI_COMMAND'] ?? '';

/** @param {unknown} value */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Ends the call: at most one JSON document on standard output. @param {boolean} ok @param {unknown} [output] */
function finish(ok, output) {
  if (output !== undefined) process.stdout.write(`${JSON.stringify(output)}\n`);
  process.exitCode = ok ? 0 : 1;
}

/** @param {Config} config @param {number} code @param {string} msg @param {string} [details] */
function fail(config, code, msg, details) {
  note(config, `error ${code}: ${msg}`);
  const asked = config['cniVersion'];
  const cniVersion = typeof asked === 'string' && SUPPORTED_VERSIONS.includes(asked) ? asked : NEWEST;
  finish(false, { cniVersion, code, msg, ...(details === undefined ? {} : { details }) });
}

/** A line into the file that the network configuration names as `log`. @param {Config} config @param {string} text */
function note(config, text) {
  const file = config['log'];
  if (typeof file !== 'string') return;
  const { CNI_CONTAINERID: id = '-', CNI_IFNAME: ifname = '-' } = environment;
  try {
    fs.appendFileSync(file, `${new Date().toISOString()} ${command} ${id} ${ifname} ${text}\n`, {
      mode: 0o640,
    });
  } catch (error) {
    process.stderr.write(`ocicat-cni: cannot write its log: ${error}\n`);
  }
}

/** @param {Config} config @param {string} key @param {string} fallback */
function pathOf(config, key, fallback) {
  const value = config[key];
  return typeof value === 'string' && value.startsWith('/') ? value : fallback;
}

/** As `mkdir -p`. Node's own never returns where a parent refuses children with ENOENT, as /proc does. @param {string} folder */
function makeFolder(folder) {
  if (fs.existsSync(folder)) return;
  const parent = folder.slice(0, folder.lastIndexOf('/'));
  if (parent !== '') makeFolder(parent);
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!fs.existsSync(folder)) throw error;
  }
}

/** Leaves the DEL where the agent finds it; another DEL of the same attachment replaces it. @param {Config} config @param {string} reason */
function queue(config, reason) {
  const { CNI_CONTAINERID: containerId = '', CNI_IFNAME: ifname = '' } = environment;
  const network = config['name'];
  const folder = pathOf(config, 'queue', DEFAULT_QUEUE);
  // What the agent would refuse is refused without it, too.
  if (typeof network !== 'string' || network === '' || containerId === '' || ifname === '') {
    fail(config, 4, 'DEL needs a network name, CNI_CONTAINERID and CNI_IFNAME');
    return;
  }
  try {
    makeFolder(folder);
    const hash = require('node:crypto').createHash('sha256').update(`${network}\0${containerId}\0${ifname}`);
    const name = hash.digest('hex').slice(0, 40);
    const temporary = `${folder}/.${name}.${process.pid}`;
    const text = JSON.stringify({ network, containerId, ifname, queuedAt: Date.now() });
    fs.writeFileSync(temporary, `${text}\n`, { mode: 0o600, flush: true });
    fs.renameSync(temporary, `${folder}/${name}.json`);
    note(config, `queued: ${reason}`);
    finish(true);
  } catch (error) {
    fail(
      config,
      TRY_AGAIN,
      `${reason}, and the DEL cannot be queued: ${error}`,
      `make ${folder} writable, or start the agent`,
    );
  }
}

/** No agent has decided. @param {Config} config @param {string} reason */
function withoutAgent(config, reason) {
  const hint =
    'start it: systemctl start ocicat, or ocicat agent; its log and "ocicat status" say what is wrong';
  if (command === 'DEL') queue(config, reason);
  else if (command === 'STATUS')
    fail(config, NOT_AVAILABLE, `${reason}: nothing can be attached; what is attached keeps working`, hint);
  else fail(config, TRY_AGAIN, reason, hint);
}

/** @param {Config} config */
function askAgent(config) {
  const path = pathOf(config, 'socket', process.env['OCICAT_SOCKET'] ?? DEFAULT_SOCKET);
  const payload = JSON.stringify({ environment, config });
  const head = `POST /v1/cni HTTP/1.1\r\nhost: ocicat\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(payload)}\r\n\r\n`;
  /** @type {Buffer[]} */
  const chunks = [];
  let settled = false;
  const socket = net.connect(path, () => socket.write(head + payload));
  /** @param {string} reason */
  const giveUp = (reason) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    socket.destroy();
    withoutAgent(config, reason);
  };
  const timer = setTimeout(
    () => giveUp(`the ocicat agent has not answered on ${path} within ${AGENT_TIMEOUT_MS / 1000} s`),
    AGENT_TIMEOUT_MS,
  );
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', (error) => giveUp(`the ocicat agent does not answer on ${path} (${error.message})`));
  socket.on('close', () => {
    if (settled) return;
    const text = Buffer.concat(chunks).toString('utf8');
    const answer = decisionOf(text.slice(text.indexOf('\r\n\r\n') + 4));
    if (answer === undefined) {
      giveUp(`the ocicat agent on ${path} gave no decision (${text.split('\r\n')[0] || 'nothing'})`);
      return;
    }
    settled = true;
    clearTimeout(timer);
    if (answer.queue === true && command === 'DEL')
      queue(config, String(answer.reason ?? 'the agent cannot do it now'));
    else {
      note(config, answer.ok === true ? 'ok' : `failed: ${JSON.stringify(answer.output)}`);
      finish(answer.ok === true, answer.output);
    }
  });
}

/** The agent's decision: ok, output, or that the DEL is to be queued. @param {string} text @returns {Record<string, unknown> | undefined} */
function decisionOf(text) {
  try {
    const value = JSON.parse(text);
    return isRecord(value) && typeof value.ok === 'boolean' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} text */
function run(text) {
  if (command === 'VERSION') {
    let cniVersion = NEWEST;
    try {
      const asked = JSON.parse(text).cniVersion;
      if (typeof asked === 'string') cniVersion = asked;
    } catch {
      // Some runtimes send nothing.
    }
    finish(true, { cniVersion, supportedVersions: SUPPORTED_VERSIONS });
    return;
  }
  let config;
  try {
    config = JSON.parse(text);
  } catch (error) {
    fail({}, CANNOT_DECODE, `the network configuration on standard input is not JSON: ${error}`);
    return;
  }
  if (!isRecord(config))
    fail({}, CANNOT_DECODE, 'the network configuration on standard input is not a JSON object');
  else askAgent(config);
}

try {
  run(fs.readFileSync(0, 'utf8'));
} catch (error) {
  fail({}, CANNOT_READ, `standard input cannot be read: ${error}`);
}
