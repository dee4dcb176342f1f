/** A row of a table of expected verdicts. */

/** `ctx` of an input line of `ocicat bgp decode --jsonl`. */
export type LineContext = Readonly<Record<string, unknown>>;

/**
 * What is looked at, the message in hexadecimal, the verdict; context where it is not the default one. A verdict is one line:
 * `valid +203.0.113.0/24@192.0.2.1 -198.51.100.0/24`, `reset 3/2 406300`: announced routes with `+`, withdrawn ones with `-`, path identifiers
 * after `#`, a NOTIFICATION's data after its numbers.
 */
export type Row = readonly [name: string, hex: string, expected: string, ctx?: LineContext];
