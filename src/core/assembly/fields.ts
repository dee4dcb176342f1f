/** Access to the fields of a table's block (layout.ts) and to the entries of columns. */

/** A field. */
export function get(block: usize, field: usize): i32 {
  return load<i32>(block + (field << 2));
}

/** A field that holds an address. */
export function pointer(block: usize, field: usize): usize {
  return load<usize>(block + (field << 2));
}

/** Sets a field. */
export function set(block: usize, field: usize, value: i32): void {
  store<i32>(block + (field << 2), value);
}

/** Sets a field that holds an address. */
export function setPointer(block: usize, field: usize, address: usize): void {
  store<usize>(block + (field << 2), address);
}

/** Entry `index` of a column of 32-bit numbers. */
export function at(column: usize, index: i32): i32 {
  return load<i32>(column + ((<usize>index) << 2));
}

/** Sets entry `index` of a column of 32-bit numbers. */
export function put(column: usize, index: i32, value: i32): void {
  store<i32>(column + ((<usize>index) << 2), value);
}

/** octets of a page of the kernel's, at least */
const KERNEL_PAGE: usize = 4096;

/**
 * Has the kernel give memory that was never written to its pages; it holds zeros before and after. A page that is read before it is written to costs two
 * faults, and an interruption of the other processors.
 */
export function touch(address: usize, octets: usize): void {
  for (let page: usize = 0; page < octets; page += KERNEL_PAGE) store<i32>(address + page, 0);
}
