// Amounts and counts as the screens write them.

import { exactNumber, formatNumber } from '$lib/domain/number';
import { language } from '$messages';

/** An amount of an order, with all its digits: what somebody has entered is what is read. */
export const exact = (n: number): string => exactNumber(n, language.tag);
/** What was reckoned: whole where it is whole; else with as many digits as mean something. */
export const count = (n: number | null): string => formatNumber(n, null, language.tag);
