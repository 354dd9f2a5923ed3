// What screens say about the logbook, hand-overs and labour, in the viewer's language.

import type { Entry, Item, Links, Shift, Span } from '$lib/api/parseShift';
import { clock } from '$lib/api/clock.svelte';
import { plant } from '$lib/api/plant.svelte';
import { access } from '$lib/api/session.svelte';
import { MISSING } from '$lib/domain/number';
import { jobStateKey } from '$lib/domain/shift';
import { parentPath } from '$lib/domain/tree';
import { share } from '$lib/features/oee/words';
import { planTime } from '$lib/features/orders/words';
import { router } from '$lib/router.svelte';
import { t, tMaybe } from '$messages';

export const personName = (name: string | null): string => name ?? t('word.somebody');
/** A place with what it is a part of: there is a filler on each line. */
export function placeName(path: string): string {
  const above = plant.equipment.get(parentPath(path));
  return above && plant.equipment.has(path) ? `${plant.title(path)}, ${above.title}` : plant.title(path);
}
export const shiftName = (shift: Shift | null): string => shift?.name ?? '';
export const shiftSpan = (shift: Shift): string => `${shift.name}, ${planTime(shift.from)} – ${planTime(shift.to)}`;

/** The places of the plant as they are offered, indented as in the tree. */
export const places = (may: (path: string) => boolean = () => true): { path: string; label: string }[] =>
  plant.model.equipment.filter((e) => e.profile === 'plant' && may(e.path)).map((e) => ({ path: e.path, label: '\u2003'.repeat(e.path.split('/').length - 1) + e.title }));
export const mayWrite = (path: string): boolean => access.may('operate', path);

export const entryLink = (number: number): string => router.link('/shift', { path: router.path === '/shift' ? router.get('path') : null, entry: String(number) });
export const handoverLink = (number: number): string => router.link('/shift', { view: 'handover', path: router.path === '/shift' ? router.get('path') : null, handover: String(number) });

/** What an entry is about, each with its page; null: it has none. */
export function linksOf(links: Links): { text: string; href: string | null }[] {
  const found: { text: string; href: string | null }[] = [];
  if (links.order) found.push({ text: t('shift.link.order', { number: links.order }), href: router.link('/orders', { order: links.order, job: links.job || null }) });
  if (links.machine) found.push({ text: placeName(links.machine), href: router.link('/plant', { path: links.machine }) });
  if (links.alarm) found.push({ text: t('shift.link.alarm', { alarm: alarmName(links.alarm) }), href: router.link('/alarms', { alarm: links.alarm }) });
  if (links.maintenance) found.push({ text: t('shift.link.maintenance', { number: links.maintenance }), href: null });
  return found;
}
function alarmName(name: string): string {
  return plant.model.alarms.find((one) => one.name === name)?.message ?? name;
}

export function itemLink(item: Item): string {
  switch (item.kind) {
    case 'job':
      return router.link('/orders', { order: item.order, job: item.job });
    case 'alarm':
      return router.link('/alarms', { alarm: item.alarm });
    case 'stop':
      return router.link('/oee', { path: item.path });
    case 'entry':
      return entryLink(item.entry ?? 0);
    case 'handover':
      return handoverLink(item.entry ?? 0);
  }
}
export function itemState(item: Item): string | null {
  if (item.state === null) return null;
  return tMaybe(item.kind === 'job' ? jobStateKey(item.state) : `alarm_state.${item.state}`) ?? item.state;
}
/** A job that has not begun has no since. */
export const itemSince = (item: Item): string => (item.since > 0 ? planTime(item.since) : MISSING);

export const efficiency = (part: number | null): string => (part === null ? t('shift.no_value') : share(part));

/** How a sign-on stands: on, or how it ended. */
export function spanState(span: Span): string {
  if (span.to === null && span.endsBy > clock.now) return t('shift.span.on', { time: planTime(span.endsBy) });
  return t(`shift.span.${span.to === null ? 'rule' : (span.ended ?? 'self')}`);
}

/** What stands beside an entry: where it stands on its way to the next shift. */
export function pinWord(entry: Entry): string | null {
  if (entry.kind === 'handover') return t(entry.open ? 'shift.waits' : 'shift.confirmed');
  if (!entry.pinned || entry.correctedBy !== null) return null;
  return t(entry.open ? 'shift.pinned' : 'shift.handed_over');
}
