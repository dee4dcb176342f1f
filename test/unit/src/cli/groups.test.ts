import assert from 'node:assert/strict';
import { Command } from 'commander';
import { makeContext } from '../../../../src/cli/context.ts';
import { registerCommands } from '../../../../src/cli/groups.ts';

async function commandsFor(word: string | undefined): Promise<string[]> {
  const program = new Command();
  const terminal = { out: () => {}, err: () => {}, colour: false, now: () => 0 };
  await registerCommands(
    program,
    makeContext(terminal, () => undefined),
    word,
  );
  return program.commands.flatMap((command) => [command.name(), ...command.aliases()]);
}

describe('groups of commands', () => {
  it('any word of any command leads to a group that has it', async () => {
    const all = await commandsFor(undefined);
    assert.ok(all.length > 10, all.join(' '));
    for (const word of all) {
      const group = await commandsFor(word);
      assert.ok(group.includes(word), `${word}: ${group.join(' ')}`);
      assert.ok(group.length < all.length, `${word} is in no group's list of words`);
    }
  });

  it('a word of none and an option lead to all', async () => {
    const all = await commandsFor(undefined);
    for (const word of ['agnet', '--help', 'help', '']) assert.deepEqual(await commandsFor(word), all);
  });
});
