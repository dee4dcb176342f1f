/** What goes wrong with an endpoint, as told to whoever asked for it. */

/** Why an endpoint cannot be attached. */
export type EndpointErrorCode =
  | 'invalid'
  | 'no-netns'
  | 'name-taken'
  | 'interface-exists'
  | 'default-route-exists'
  | 'kernel';

/** An attachment that failed; the text names the endpoint, what was tried and what to do. */
export class EndpointError extends Error {
  readonly code: EndpointErrorCode;

  constructor(code: EndpointErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'EndpointError';
    this.code = code;
  }
}
