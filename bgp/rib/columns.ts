/** Longer copies of columns. What a column has too much of costs no memory until something is written there. */

/** A longer copy of a column; new entries hold `fill`. */
export function grownInt32(column: Int32Array, capacity: number, fill = 0): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(capacity);
  if (fill !== 0) grown.fill(fill, column.length);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownUint8(column: Uint8Array, capacity: number): Uint8Array<ArrayBuffer> {
  const grown = new Uint8Array(capacity);
  grown.set(column);
  return grown;
}
