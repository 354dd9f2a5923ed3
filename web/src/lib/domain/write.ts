// May this number be written? Says which limit stands in the way; it never clips.

import type { Scalar } from '$lib/api/types';
import type { Parsed } from './number';

export type Judged =
  | { ok: true; value: Scalar }
  | { ok: false; why: 'empty' | 'not-a-number' | 'ambiguous' | 'whole' | 'over' | 'under' | 'choose' };

export function judge(parsed: Parsed, whole: boolean, min: number | null, max: number | null): Judged {
  if (!parsed.ok) return parsed;
  if (whole && !Number.isSafeInteger(parsed.value)) return { ok: false, why: 'whole' };
  if (max !== null && parsed.value > max) return { ok: false, why: 'over' };
  if (min !== null && parsed.value < min) return { ok: false, why: 'under' };
  return { ok: true, value: parsed.value };
}
