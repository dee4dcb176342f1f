/** The part of the WebAssembly JavaScript interface that the core uses; @types/node has none of it. */
declare namespace WebAssembly {
  class Module {
    constructor(octets: Uint8Array);
  }

  class Memory {
    /** Sizes in pages of 64 KiB. RangeError: there is not as much. */
    constructor(pages: { initial: number; maximum: number; shared: true });
    /** another one after each growth; the one before stays valid */
    readonly buffer: SharedArrayBuffer;
    /** Adds pages. RangeError: there is not as much. */
    grow(pages: number): number;
  }

  class Instance<Exports> {
    constructor(
      module: Module,
      imports: Record<string, Record<string, Memory | ((...values: number[]) => number | undefined)>>,
    );
    readonly exports: Exports;
  }
}
