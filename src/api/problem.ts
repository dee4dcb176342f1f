/** Errors as they cross the API: what went wrong, where, and what to do. */

/** Stable machine-readable codes; each has one HTTP status. */
export const PROBLEM_STATUS = {
  invalid: 400,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  unavailable: 503,
  internal: 500,
} as const;

export type ProblemCode = keyof typeof PROBLEM_STATUS;

/** One fault of one document, as `apply` and `validate` report it. */
export interface ProblemDetail {
  readonly file?: string;
  readonly document?: number;
  readonly kind?: string;
  readonly name?: string;
  readonly path?: string;
  readonly reason: string;
}

/** The body of an error answer. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
  /** what the reader can do about it */
  readonly hint?: string;
  readonly details?: readonly ProblemDetail[];
}

/** Thrown by API handlers; becomes the answer. On the client side, what a failed call rejects with. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

/** Shorthand for handlers. */
export function problem(
  code: ProblemCode,
  message: string,
  extra: Omit<Problem, 'code' | 'message'> = {},
): ApiError {
  return new ApiError({ code, message, ...extra });
}
