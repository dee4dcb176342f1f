/** Long answers made piece by piece, so that no answer holds up the event loop: see `jsonPieces` of an `ApiReply`. */

/** Work on an answer, of which nothing can be said before its end. After each step the event loop may turn. */
export type Steps<T> = Generator<'', T, void>;

/** Work that gives the event loop back at any of its yields. */
export function* withoutText<T>(work: Generator<unknown, T, void>): Steps<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    yield '';
  }
}

/** The result of some steps as JSON. */
export function* jsonOfSteps(steps: Steps<unknown>): Generator<string, void, void> {
  yield JSON.stringify(yield* steps);
}

/** A list of values that are JSON texts already. */
export function* jsonList(items: Iterable<string>): Generator<string, void, void> {
  let lead = '[';
  for (const item of items) {
    yield lead + item;
    lead = ',';
  }
  yield lead === '[' ? '[]' : ']';
}

/** The JSON text of each value. */
export function* jsonTexts(values: Iterable<unknown>): Generator<string, void, void> {
  for (const value of values) yield JSON.stringify(value);
}
