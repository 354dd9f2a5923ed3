// What the screens say about machines and their times.

import type { Change, Did, Element, LossId } from '$lib/api/parseOee';
import { reasonWords } from '$lib/domain/oee';
import { formatNumber, MISSING } from '$lib/domain/number';
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
