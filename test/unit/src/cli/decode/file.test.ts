/** `ocicat bgp decode` of files: the forms, compression, errors. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { PcapPackets, pcapHeader } from '../../../../../bgp/capture/pcap-writer.ts';
import { DEFAULT_VERDICT_CONTEXT } from '../../../../../bgp/wire/verdict.ts';
import { CommandFailure } from '../../../../../src/cli/context.ts';
import { type FileForm, runDecodeFile, unpacked } from '../../../../../src/cli/decode/file.ts';
import { concat, endpoint } from '../../../bgp/capture/build.ts';
import { MANDATORY, NLRI, octets, update } from '../../../bgp/wire/support.ts';

const OPTIONS = { port: 179, otherwise: DEFAULT_VERDICT_CONTEXT };
const FILE = concat(
  pcapHeader(),
  new PcapPackets().records(
    1_700_000_000_000.5,
    endpoint('2001:db8::1', 179),
    endpoint('2001:db8::2', 40_000),
    octets(update({ attributes: MANDATORY, nlri: NLRI })),
  ),
);

async function decode(form: FileForm, file = FILE): Promise<string> {
  let out = '';
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: () => undefined,
    colour: false,
    now: () => 0,
  };
  await runDecodeFile(terminal, unpacked(file, 'x'), 'x', form, OPTIONS);
  return out;
}

describe('src/cli/decode/file', () => {
  it('prints messages in full and in brief', async () => {
    const head =
      '2023-11-14T22:13:20.000500Z [2001:db8::1]:179 > [2001:db8::2]:40000 UPDATE, 47 octets: valid, 1 announced, 0 withdrawn\n';
    assert.equal(await decode('brief'), head);
    const full = await decode('table');
    assert.ok(full.startsWith(head), full);
    assert.match(full, /prefix 203\.0\.113\.0\/24, family ipv4-unicast, nextHop 192\.0\.2\.1/);
  });

  it('answers in lines, JSON and YAML, unpacking gzip', async () => {
    const packed = new Uint8Array(gzipSync(FILE));
    const line: Record<string, unknown> = JSON.parse(await decode('lines', packed));
    assert.deepEqual(
      [line['id'], line['at'], line['from'], line['octets'], line['verdict']],
      [1, 1_700_000_000_000.5, '[2001:db8::1]:179', 47, 'valid'],
    );
    assert.deepEqual(JSON.parse(await decode('json', packed)), [line]);
    assert.match(await decode('yaml', packed), /^- id: 1\n/);
  });

  it('says what to do with what it does not unpack, and what is damaged or empty', async () => {
    assert.throws(
      () => unpacked(Uint8Array.of(0x42, 0x5a, 0x68, 0x39), 'x.bz2'),
      (error) =>
        error instanceof CommandFailure &&
        error.exitCode === 2 &&
        /compressed with bzip2/.test(error.message) &&
        /bunzip2 < x\.bz2/.test(error.hint ?? ''),
    );
    assert.throws(() => unpacked(gzipSync(FILE).subarray(0, 30), 'x.gz'), /x\.gz cannot be unpacked/);
    await assert.rejects(decode('table', FILE.subarray(0, -1)), /x: the pcap file ends within a packet/);
    await assert.rejects(decode('json', pcapHeader()), /x holds no BGP message/);
  });
});
