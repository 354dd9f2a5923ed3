// What the page says of energy.

import type { Cost } from '$lib/api/parseEnergy';
import { formatNumber, MISSING, THIN } from '$lib/domain/number';
import { language, t, tMaybe } from '$messages';

/** Digits of an amount, so that small ones are not zero and large ones are no row of digits. */
const digits = (n: number): number => (Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : Math.abs(n) >= 1 ? 2 : 3);
export const kwh = (n: number | null): string => (n === null ? MISSING : `${formatNumber(n, digits(n), language.tag)}${THIN}kWh`);
export const kw = (n: number | null): string => (n === null ? MISSING : `${formatNumber(n, 1, language.tag)}${THIN}kW`);
export function money(cost: Cost | null): string {
  if (cost === null) return MISSING;
  try {
    return new Intl.NumberFormat(language.tag, { style: 'currency', currency: cost.currency }).format(cost.cost);
  } catch {
    // A currency that is no code of ISO 4217 is written behind.
    return `${formatNumber(cost.cost, 2, language.tag)}${THIN}${cost.currency}`;
  }
}
export const costsText = (costs: readonly Cost[]): string => costs.map(money).join(' + ') || MISSING;
export const carrierWord = (name: string): string => tMaybe(`energy.carrier.${name}`) ?? name;
/** The fills of carriers, in their order: told apart by pattern. */
export const FILLS = ['production', 'delay', 'setup', 'idle', 'speed', 'planned_down'] as const;
export const fillFor = (i: number): string => FILLS[i % FILLS.length] ?? 'production';
/** How much is estimated; '': nothing is, or nothing was counted. */
export const estimatedText = (share: number | null): string => (share === null || share <= 0 ? '' : t('energy.estimated', { share: `${formatNumber(share * 100, 1, language.tag)}${THIN}%` }));
