// What screens reckon of energy: in which steps a window is shown, and what months there are.

import { STEPS, type EnergySlot, type EnergyStep } from '$lib/api/parseEnergy';
import { DAY, HOUR, MINUTE } from './time';

/** Shorter steps than so many make no picture; the server tells at most 1,000. */
const MOST_SLOTS = 400;
/** How long a step is at least. */
const LENGTH: Record<EnergyStep, number> = { quarter: 15 * MINUTE, hour: HOUR, shift: 4 * HOUR, day: DAY };

/** Steps that make a picture of a window. */
export const stepsFor = (span: number): EnergyStep[] => STEPS.filter((step) => span / LENGTH[step] <= MOST_SLOTS && (span >= LENGTH[step] || step === 'quarter'));
/** The step a window is shown in when nobody has chosen: quarters up to half a day, hours up to four days, then days. */
export const usualStep = (span: number): EnergyStep => (span <= 12 * HOUR ? 'quarter' : span <= 4 * DAY ? 'hour' : 'day');

/** All of a slot; null: nothing was heard of any carrier. */
export function slotSum(slot: Pick<EnergySlot, 'kwh'>): number | null {
  const heard = slot.kwh.filter((one) => one !== null);
  return heard.length ? heard.reduce((sum, one) => sum + one, 0) : null;
}

/** The month of a time, as 2026-06, in the viewer's zone; `more` months later. */
export function monthOf(at: number, more = 0): string {
  const day = new Date(at);
  const month = new Date(day.getFullYear(), day.getMonth() + more, 1);
  return `${month.getFullYear()}-${String(month.getMonth() + 1).padStart(2, '0')}`;
}
