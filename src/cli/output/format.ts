/** Small formats that tables share. */

/** A span in milliseconds as routers print it: `00:01:02`, `3d04h05m`, `2w03d04h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days >= 7) return `${Math.floor(days / 7)}w${two(days % 7)}d${two(hours % 24)}h`;
  if (days >= 1) return `${days}d${two(hours % 24)}h${two(minutes % 60)}m`;
  return `${two(hours)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** Epoch milliseconds as a span up to `now`, or `never`. */
export function formatSince(at: number | undefined, now: number): string {
  return at === undefined ? 'never' : formatDuration(now - at);
}
