/**
 * A hook before each step that changes the disk. Tests inject a function that kills the process or throws at a chosen step; in the
 * product it does nothing.
 */

/** Called with the name of the step that comes next, `block/10.0.0.0/26:exchange`. May throw: the step then has failed. */
export type FaultPoint = (step: string) => void;

/** The hook of the product. */
export const noFault: FaultPoint = () => {};
