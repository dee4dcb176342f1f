/** When to speak on a link. Pure: counts and chance in, milliseconds out. */

/** Of advertisements once both sides had time to hear them; FRR's for BGP over interfaces, RFC 4861 6.2.1 allows 4 s and more. */
const ADVERTISEMENT_INTERVAL_MS = 10_000;
/** RFC 4861 6.3.7 has 4 s; RFC 7559 2 lets the interval grow while nobody answers. */
const SOLICITATION_FIRST_MS = 1_000;
const SOLICITATION_MAX_MS = 60_000;
const ADVERTISEMENT_FIRST_MS = 1_000;

/**
 * Time from the `count`-th advertisement on a link (1 is the first) to the next: 1, 2, 4, 8 s and then always 10 s, shortened by up to a quarter so
 * that neighbours do not speak in step (RFC 4861 6.2.4). `chance` is 0 (inclusive) to 1 (exclusive).
 */
export function nextAdvertisementMs(count: number, chance: number): number {
  return jittered(
    Math.min(ADVERTISEMENT_INTERVAL_MS, ADVERTISEMENT_FIRST_MS * 2 ** Math.min(count - 1, 16)),
    chance,
  );
}

/** Time from the `count`-th solicitation without an answer to the next: 1, 2, 4 .. 60 s, shortened by up to a quarter. */
export function nextSolicitationMs(count: number, chance: number): number {
  return jittered(
    Math.min(SOLICITATION_MAX_MS, SOLICITATION_FIRST_MS * 2 ** Math.min(count - 1, 16)),
    chance,
  );
}

function jittered(ms: number, chance: number): number {
  return Math.round(ms * (1 - 0.25 * chance));
}
