/** The agent as a process: log, API socket, signals, exit codes. */
import { ApiServer } from '../api/server.ts';
import { StoreLocked } from '../store/errors.ts';
import { VERSION } from '../version.ts';
import { Agent } from './agent.ts';
import { apiRoutes } from './api-routes.ts';
import { type AgentConfig, ConfigError } from './config.ts';
import { openLog } from './log.ts';

/** A stop that takes longer than this is cut short; nothing is lost by that. */
const STOP_TIMEOUT_MS = 10_000;

/** Runs the agent until SIGTERM or SIGINT. Rejects when it cannot start. */
export async function runAgent(config: AgentConfig): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new ConfigError('the agent programs routes, links and policy: run it as root');
  }
  const log = openLog(config.log);
  log.info(
    { version: VERSION, node: config.nodeName, store: config.store.path, socket: config.socket },
    'starting',
  );
  const stopping = new Promise<string>((resolve) => {
    // Not `once`: while a child runs, its guard ends the process when it finds no other listener left.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
  });
  const agent = await open(config, log);
  const api = new ApiServer(
    apiRoutes(agent),
    (error) => log.error({ error }, 'an API call failed'),
    undefined,
    () => agent.bgp.speaker?.hurry(),
  );
  try {
    await api.listen(config.socket);
  } catch (error) {
    await agent.stop();
    throw new ConfigError(`the API cannot be served: ${error instanceof Error ? error.message : error}`);
  }
  const started = agent.start().catch((error: unknown) => {
    log.error({ error }, 'the agent could not start');
    return 'failed' as const;
  });
  const signal = await Promise.race([
    stopping,
    started.then((result) => (result === 'failed' ? 'failure' : stopping)),
  ]);
  log.info({ signal }, 'stopping; routes, links and policy stay in the kernel');
  const force = setTimeout(() => process.exit(1), STOP_TIMEOUT_MS);
  force.unref();
  await api.close();
  await agent.stop();
  clearTimeout(force);
  if (signal === 'failure') process.exitCode = 1;
}

async function open(config: AgentConfig, log: ReturnType<typeof openLog>): Promise<Agent> {
  try {
    return await Agent.open(config, log);
  } catch (error) {
    if (error instanceof StoreLocked) throw new ConfigError(error.message);
    throw error;
  }
}
