/** Classic BPF programs for sockets, as `attachFilter` takes them (Linux: struct sock_filter). */

/** Jumps count the instructions that are passed over; loads read big-endian. */
export type FilterInstruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

/** The octets of a program, 8 an instruction. */
export function filterProgram(instructions: readonly FilterInstruction[]): Uint8Array {
  const program = new Uint8Array(instructions.length * 8);
  const view = new DataView(program.buffer);
  for (const [index, [code, ifTrue, ifFalse, k]] of instructions.entries()) {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, k, true);
  }
  return program;
}
