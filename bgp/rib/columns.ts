/** Longer copies of columns. What a column has too much of costs no memory until something is written there. */

/** A longer copy of a column; new entries hold `fill`. */
export function grownInt32(column: Int32Array, capacity: number, fill = 0): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(capacity);
  if (fill !== 0) grown.fill(fill, column.length);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownUint32(column: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(capacity);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownUint16(column: Uint16Array, capacity: number): Uint16Array<ArrayBuffer> {
  const grown = new Uint16Array(capacity);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownUint8(column: Uint8Array, capacity: number): Uint8Array<ArrayBuffer> {
  const grown = new Uint8Array(capacity);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownFloat32(column: Float32Array, capacity: number): Float32Array<ArrayBuffer> {
  const grown = new Float32Array(capacity);
  grown.set(column);
  return grown;
}

/** A longer copy of a column. */
export function grownFloat64(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(capacity);
  grown.set(column);
  return grown;
}
