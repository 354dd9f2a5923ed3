// How much of a stretch is known to be good.

/**
 * The share of good time in percent. The server's own share is of the time up to where data ends; here the time behind that counts
 * as not known, once it is longer than a reading may be waited for.
 *
 * `good` in ms, `percent` as the server says it, `span` in ms up to the end of the stretch or of what has been counted,
 * `patience` in ms. Null where nothing is known of it.
 */
export function goodShare(good: number | null, percent: number | null, span: number, patience: number): number | null {
  if (good === null || percent === null) return null;
  if (percent <= 0 || span <= 0) return 0;
  const known = (good * 100) / percent;
  return span - known > patience ? Math.min(percent, (good / span) * 100) : percent;
}
