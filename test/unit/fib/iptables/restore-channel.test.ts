import assert from 'node:assert/strict';
import type { CommandRunner, ToolListener, ToolStarter } from '../../../../fib/command.ts';
import { RestoreChannel, type RestoreChannelOptions } from '../../../../fib/iptables/restore-channel.ts';
import { failedLineNumber } from '../../../../fib/iptables/restore-error.ts';

/** A starter of tools that answer each input with what `answer` gives: chunks to print, or `exit` with a message. */
function scripted(answer: (input: string, tool: number) => readonly string[] | { readonly exit: string }) {
  const log: string[] = [];
  const listeners: ToolListener[] = [];
  const start: ToolStarter = (command, args, listener) => {
    const tool = listeners.push(listener);
    log.push(`start ${[command, ...args].join(' ')}`);
    return {
      write: (input) => {
        const reply = answer(input, tool);
        // Before any timer, however short: a machine that stands still for a while makes no answer late.
        queueMicrotask(() => {
          if ('exit' in reply) {
            listener.stderr(reply.exit);
            listener.closed(2);
          } else for (const chunk of reply) listener.stdout(chunk);
        });
      },
      end: () => {
        log.push('end');
        listener.closed(0);
      },
      kill: () => {
        log.push('kill');
        listener.closed(undefined);
      },
    };
  };
  return { start, log, listeners };
}

const echo = (input: string): string[] => (input.match(/^#.*\n/gm) ?? []).map(String);

function channelWith(options: Partial<RestoreChannelOptions>): { channel: RestoreChannel; runs: string[] } {
  const runs: string[] = [];
  const run: CommandRunner = async (command, args, input = '') => {
    runs.push(`${[command, ...args].join(' ')}: ${input}`);
    return { status: 0, stdout: 'ran', stderr: '' };
  };
  const fixed = { family: 'ipv6', backend: 'nft', run, lockWaitSec: 0 } as const;
  return { channel: new RestoreChannel({ ...fixed, ...options }), runs };
}

describe('restore channel', () => {
  it('asks one process one thing after the other, whatever pieces the answers come in', async () => {
    const inputs: string[] = [];
    const { start, log } = scripted((input) => {
      inputs.push(input);
      return [`said ${inputs.length - 1}\n#oci`, echo(input).join('').slice(4)];
    });
    const { channel, runs } = channelWith({ start });
    const outcomes = await Promise.all([1, 2, 3].map((i) => channel.restore(['*raw', `:c${i}`, 'COMMIT'])));
    assert.deepEqual(
      outcomes.map(({ status, stdout, linesBefore }) => [status, stdout, linesBefore]),
      [
        [0, 'said 1\n', 2],
        [0, 'said 2\n', 7],
        [0, 'said 3\n', 12],
      ],
    );
    assert.equal(inputs[1], '*raw\n:c1\nCOMMIT\n#ocicat done 2\n\n');
    assert.deepEqual(runs, []);
    await channel.close();
    assert.deepEqual(log, ['start ip6tables-nft-restore --noflush --verbose --wait 0', 'end']);
    assert.equal((await channel.restore(['*raw', 'COMMIT'])).status, undefined, 'closed');
  });

  it('a refused line ends the process, is counted within its own input, and the next gets a new one', async () => {
    const { start, log } = scripted((input) =>
      input.includes('bad') ? { exit: 'x-restore: line 9 failed: No chain' } : echo(input),
    );
    const { channel } = channelWith({ start });
    assert.equal((await channel.restore(['*raw', ':a', 'COMMIT'])).status, 0);
    const refused = await channel.restore(['*raw', 'bad', 'COMMIT']);
    assert.equal(refused.status, 2);
    assert.equal(failedLineNumber(refused), 2);
    const next = await channel.restore(['*raw', ':a', 'COMMIT']);
    assert.deepEqual([next.status, next.linesBefore], [0, 2]);
    assert.equal(log.length, 2);
  });

  it('what gets no answer in time is killed and not known, and the next gets a new process', async () => {
    const { start, log } = scripted((input, tool) => (tool === 1 && input.includes('*') ? [] : echo(input)));
    const { channel } = channelWith({ start, timeoutMs: 20 });
    const outcome = await channel.restore(['*raw', 'COMMIT']);
    assert.equal(outcome.status, undefined);
    assert.match(outcome.stderr, /no answer within 0.02 s/);
    assert.equal((await channel.restore(['*raw', 'COMMIT'])).status, 0);
    assert.equal(log.filter((entry) => entry === 'kill').length, 1);
  });

  it('a process that ends by itself is not known to have done anything, and one that ended unasked is replaced', async () => {
    const { start, listeners } = scripted((input) => (input.includes('last') ? [] : echo(input)));
    const { channel } = channelWith({ start });
    await channel.restore(['*raw', 'COMMIT']);
    listeners[0]?.closed(0);
    assert.equal((await channel.restore(['*raw', 'COMMIT'])).status, 0);
    assert.equal(listeners.length, 2);
    const last = channel.restore(['last']);
    await new Promise((resolve) => setImmediate(resolve));
    listeners[1]?.closed(0);
    assert.equal((await last).status, undefined);
  });

  it('where none answers each is a process of its own, which is said, and the other way is not tried each time', async () => {
    const { start, log } = scripted(() => ({ exit: "unrecognized option '--verbose'" }));
    const { channel, runs } = channelWith({ start });
    const outcome = await channel.restore(['*raw', 'COMMIT']);
    assert.deepEqual([outcome.status, outcome.stdout, outcome.linesBefore], [0, 'ran', 0]);
    await channel.restore(['*nat', 'COMMIT']);
    assert.equal(log.length, 1);
    assert.deepEqual(runs, [
      'ip6tables-nft-restore --noflush --wait 0: *raw\nCOMMIT\n',
      'ip6tables-nft-restore --noflush --wait 0: *nat\nCOMMIT\n',
    ]);
    assert.match(channel.problem ?? '', /ip6tables-nft-restore --noflush .*unrecognized option/);
  });

  it('ends its process when nothing happens for a while', async () => {
    const ended = Promise.withResolvers<void>();
    const { start, log } = scripted(echo);
    const { channel } = channelWith({
      idleMs: 5,
      start: (command, args, listener) =>
        start(command, args, {
          ...listener,
          closed: (status) => {
            listener.closed(status);
            ended.resolve();
          },
        }),
    });
    await channel.restore(['*raw', 'COMMIT']);
    const keepRunning = setTimeout(() => ended.reject(new Error('it still runs')), 20_000);
    await ended.promise;
    clearTimeout(keepRunning);
    assert.equal((await channel.restore(['*raw', 'COMMIT'])).status, 0);
    assert.equal(log.filter((entry) => entry.startsWith('start')).length, 2);
    await channel.close();
  });
});
