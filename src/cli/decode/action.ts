/** `ocicat bgp decode`: which of hexadecimal text, capture and dump it was given, and in which context. */
import { existsSync } from 'node:fs';
import { captureFormat } from '../../../bgp/capture/read.ts';
import type { VerdictContext } from '../../../bgp/wire/verdict.ts';
import { contextOf, contextSchema, parseHex, runDecode } from '../bgp-decode.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import type { DecodeOptions } from './command.ts';
import { type FileForm, readBinary, runDecodeFile, unpacked } from './file.ts';

/** Runs the command. Rejects with a CommandFailure for what cannot be decoded. */
export async function decode(
  context: CommandContext,
  words: readonly string[],
  options: DecodeOptions,
): Promise<void> {
  const { terminal } = context;
  const [only] = words;
  const isFileName =
    words.length === 1 && only !== undefined && parseHex(only) === undefined && existsSync(only);
  const path = options.file ?? (isFileName ? only : undefined);
  if (path === undefined && only !== undefined && words.length === 1 && parseHex(only) === undefined) {
    throw new CommandFailure(
      `"${only}" is neither hexadecimal text nor the name of a file that is there`,
      EXIT.usage,
    );
  }
  if (path === undefined && (options.jsonl === true || words.length > 0)) {
    await runDecode(
      terminal,
      words,
      options.jsonl === true,
      process.stdin,
      contextFrom(options),
      options.output,
    );
    return;
  }
  const name = path === undefined || path === '-' ? 'standard input' : path;
  const packed = name === 'standard input' ? await readStandardInput() : readBinary(name);
  const octets = unpacked(packed, name);
  if (captureFormat(octets) === undefined) {
    const text = new TextDecoder().decode(octets.subarray(0, TEXT_OCTETS_MAX));
    if (parseHex(text) === undefined && name !== 'standard input') {
      throw new CommandFailure(
        `${name} is neither a packet capture, nor an MRT file, nor hexadecimal text`,
        EXIT.usage,
      );
    }
    await runDecode(terminal, [text], false, process.stdin, contextFrom(options), options.output);
    return;
  }
  await runDecodeFile(terminal, octets, name, formOf(options), {
    port: options.port,
    otherwise: contextFrom(options),
  });
}

/** More than any message in hexadecimal, white space included. */
const TEXT_OCTETS_MAX = 1 << 20;

function formOf({ jsonl, brief, output }: DecodeOptions): FileForm {
  if (jsonl === true) return 'lines';
  return brief === true && output === 'table' ? 'brief' : output;
}

function contextFrom(options: DecodeOptions): VerdictContext {
  const { phase, peer, localAs, peerAs, as4, extmsg, extnh, addpath, families } = options;
  const given = { phase, peer, localAs, peerAs, as4, extmsg, extnh, addpath, families };
  const parsed = contextSchema.safeParse({
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    // An internal peer has our own AS.
    ...(peer === 'ibgp' && { localAs: localAs ?? peerAs ?? 65000, peerAs: peerAs ?? localAs ?? 65000 }),
    enforceFirstAs: options.enforceFirstAs === true,
    rejectAsSets: options.rejectAsSets === true,
  });
  if (parsed.success) return contextOf(parsed.data);
  const [issue] = parsed.error.issues;
  throw new CommandFailure(
    `${issue?.path.join('.') ?? 'options'}: ${issue?.message ?? 'not valid'}`,
    EXIT.usage,
  );
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
