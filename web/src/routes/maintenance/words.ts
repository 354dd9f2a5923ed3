// What the page says about maintenance orders and plans.

import type { Figure, Plan, Work } from '$lib/api/parseMaintenance';
import type { Tool } from '$lib/api/parseTools';
import { clock } from '$lib/api/clock.svelte';
import { isFailure, isLate } from '$lib/domain/maintenance';
import { formatNumber, MISSING, THIN } from '$lib/domain/number';
import { calmSpan, spanText } from '$lib/domain/time';
import { jobState, planTime } from '$lib/features/orders/words';
import { share } from '$lib/features/oee/words';
import { count } from '$lib/features/value/count';
import { language, t } from '$messages';

export const stateOf = (order: Work): string => jobState(order);

/** Since when it stands, or when it is due, and whether that deserves attention. */
export function urgency(order: Work, now: number): { text: string; strong: boolean } {
  if (isFailure(order)) return { text: t('maintenance.down_since', { span: calmSpan(now - (order.failed ?? now)) }), strong: true };
  if (order.due === null) return { text: t('orders.no_due'), strong: false };
  return isLate(order, now) ? { text: t('orders.late_by', { span: spanText(now - order.due) }), strong: true } : { text: t('orders.due_at', { time: planTime(order.due) }), strong: false };
}

/** `31 d of 30 d`, `1,893,000 of 2,000,000`. */
export function usedText(m: Plan['measures'][number]): string {
  const amount = (n: number | null): string => (n === null ? MISSING : m.by === 'cycles' ? count(n) : spanText(n * 1000));
  return t('maintenance.used', { used: amount(m.used), every: amount(m.every), share: m.share === null ? MISSING : share(m.share) });
}

export function figureText(figure: Figure): string {
  if (figure.value === null) return t(`maintenance.no_value.${figure.id}`);
  return figure.unit === 's' ? spanText(figure.value * 1000) : share(figure.value);
}
/** What stands above and below the line. Times in hours, which a failure count divides. */
export function figureParts(figure: Figure): string {
  const hours = (seconds: number): string => `${formatNumber(seconds / 3600, 2, language.tag)}${THIN}h`;
  return `${hours(figure.numerator)} / ${figure.id === 'corrective_maintenance_ratio' ? hours(figure.denominator) : count(figure.denominator)}`;
}
/** `451,200 of 500,000 cycles`; without a life what it has done so far. */
export function lifeText(tool: Tool): string {
  const cycles = (n: number): string => count(Math.round(n));
  if (tool.life.cycles !== null) return t('tools.cycles_of', { used: cycles(tool.used.cycles), life: cycles(tool.life.cycles) });
  if (tool.life.runTime !== null) return t('tools.hours_of', { used: spanText(tool.used.runTime), life: spanText(tool.life.runTime) });
  return t('tools.no_life', { cycles: cycles(tool.used.cycles), time: tool.used.runTime > 0 ? spanText(tool.used.runTime) : MISSING });
}
export const nowMinute = (): number => Math.floor(clock.now / 10_000) * 10_000;
