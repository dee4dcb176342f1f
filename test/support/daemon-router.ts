/** What the routers of the interoperability matrix have in common: a configuration, and daemons in a folder and namespace of their own. */
import type { MatrixConfig } from './matrix-routers.ts';
import type { Netns } from './netns.ts';
import { Daemons } from './routers.ts';

export class DaemonRouter<Kind extends string> {
  readonly kind: Kind;
  protected readonly config: MatrixConfig;
  protected readonly daemons: Daemons;

  constructor(kind: Kind, netns: Netns, config: MatrixConfig) {
    this.kind = kind;
    this.config = config;
    this.daemons = new Daemons(netns, kind);
  }

  kill(): Promise<void> {
    return this.daemons.kill();
  }

  dispose(): void {
    this.daemons.dispose();
  }
}
