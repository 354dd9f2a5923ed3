// What the screens say about machines and their times.

import type { Change, Did, Element, LossId, ReasonTime } from '$lib/api/parseOee';
import { reasonWords, type Fall } from '$lib/domain/oee';
import { formatNumber, MISSING, THIN } from '$lib/domain/number';
import { spanText } from '$lib/domain/time';
import { language, t, tMaybe } from '$messages';

export const elementWord = (element: Element | LossId): string => t(`oee.element.${element}`);

/** A PackML state in the viewer's language; one that is none stays as it came. */
export const stateWord = (state: string | null): string => (state === null ? t('oee.state_unknown') : (tMaybe(`packml.${state.toLowerCase()}`) ?? state));

export const reasonWord = (reason: string | null): string => (reason === null ? t('oee.no_reason') : reasonWords(reason));

/** What somebody said a stretch was. */
export function changeWord(change: Change | null): string {
  if (change === null) return MISSING;
  if ('reason' in change) return reasonWords(change.reason);
  return 'state' in change ? stateWord(change.state) : t('oee.as_recorded');
}

/** State and reason, as far as they are known. */
export function didWord(did: Did): string {
  const what = did.state === null ? elementWord(did.element) : stateWord(did.state);
  return did.reason === null ? what : `${what}, ${reasonWords(did.reason)}`;
}

/** A share as a percentage with one digit; never cut off at 100. */
export const percent = (share: number | null, digits = 1): string => (share === null ? MISSING : formatNumber(share * 100, digits, language.tag));

export const share = (part: number): string => `${percent(part)}${THIN}%`;

const TOTALS = ['calendar', 'planned_busy', 'production', 'good'] as const;
/** What a bar of the waterfall is. */
export function fallWord(id: Fall['id']): string {
  const total = TOTALS.find((one) => one === id);
  return total ? t(`oee.total.${total}`) : elementWord(id as LossId);
}
/** How long; what is lost with a minus, what is gained with a plus. */
export const fallSpan = (fall: Fall): string => (fall.kind === 'total' ? spanText(fall.ms) : `${fall.ms < 0 ? '+' : '\u2212'}${spanText(Math.abs(fall.ms))}`);
/** A reason holds for a stop and for minor stops: those have their own row, and say so. */
export const reasonName = (row: ReasonTime): string =>
  row.reason === null ? `${elementWord(row.element)}, ${t('oee.without_reason')}` : row.element === 'minor_stop' ? `${reasonWord(row.reason)}, ${elementWord(row.element)}` : reasonWord(row.reason);
