/** Why a capture or dump cannot be read. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  /** octets into the file, where that is known */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} (at octet ${offset})`);
    this.offset = offset;
  }
}
