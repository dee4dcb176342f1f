/**
 * Whether this agent opens a door for Docker, and keeping at it until it is open. Apart from plugin.ts, so that an agent without Docker
 * loads nothing of it.
 */
import { statSync } from 'node:fs';
import type { Agent } from '../agent/agent.ts';
import { CoalescedTask } from '../agent/coalesced.ts';
import type { DockerConfig } from '../agent/config.ts';
import type { Log } from '../agent/log.ts';
import type { Finding } from '../api/views.ts';
import { whenAppears } from './folder-appears.ts';
import type { DockerPlugin } from './plugin.ts';

const DOCKER_FOLDER = '/run/docker';

/** Owns the plugin, if there is to be one. */
export class DockerDoor {
  readonly #config: DockerConfig;
  readonly #log: Log;
  #task: CoalescedTask | undefined;
  #plugin: DockerPlugin | undefined;
  #reason: string | undefined;
  #endWait: () => void = () => {};

  constructor(config: DockerConfig, log: Log) {
    this.#config = config;
    this.#log = log;
  }

  /**
   * Opens the plugin socket of an agent that is ready, where it is wanted; tried again with back-off while that fails. `auto` means yes
   * where Docker's engine is at home, as soon as it is, and the agent beside it: /run/docker exists, and the agent is in the network
   * namespace of process 1. Agents of labs and tests, in namespaces of their own, are not meant by the engine of their machine.
   */
  start(agent: Agent): void {
    const { plugin } = this.#config;
    if (plugin === 'on') this.#open(agent);
    if (plugin !== 'auto' || !isInFirstNamespace()) return;
    this.#endWait = whenAppears(
      DOCKER_FOLDER,
      () => this.#open(agent),
      (error) =>
        this.#log.warn(
          { error },
          `${DOCKER_FOLDER} is not waited for: restart the agent after Docker's start`,
        ),
    );
  }

  #open(agent: Agent): void {
    this.#task = new CoalescedTask(
      async () => {
        const { openDockerPlugin } = await import('./plugin.ts');
        this.#plugin ??= await openDockerPlugin(agent);
        this.#reason = undefined;
        return {};
      },
      (error) => {
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== this.#reason)
          this.#log.error({ error }, 'the plugin socket for Docker cannot be opened');
        this.#reason = reason;
      },
    );
    this.#task.trigger();
  }

  /** What the operator should know. */
  findings(): Finding[] {
    if (this.#reason === undefined) return this.#plugin?.findings() ?? [];
    const message = `the plugin socket for Docker cannot be opened: ${this.#reason}`;
    return [{ severity: 'error', code: 'docker', message }];
  }

  async close(): Promise<void> {
    this.#endWait();
    await this.#task?.close();
    await this.#plugin?.close();
  }
}

function isInFirstNamespace(): boolean {
  try {
    const own = statSync('/proc/self/ns/net');
    const first = statSync('/proc/1/ns/net');
    return own.dev === first.dev && own.ino === first.ino;
  } catch {
    return false;
  }
}
