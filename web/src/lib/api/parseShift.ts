// The border for the logbook, hand-overs and labour: raw JSON in, checked words out. As `parse.ts`, apart from it so that other pages need
// not load it. Times in ms since 1970 UTC, spans in ms.

import { each, flag, list, num, numOr, numOrNull, object, oneOf, orNull, spanOf, text, textOr, textOrNull, type Raw } from './parse';

/** What people write; a hand-over is made by handing over. */
export const WRITTEN = ['note', 'safety', 'quality', 'production', 'material', 'maintenance'] as const;
export type Written = (typeof WRITTEN)[number];
export const ENTRY_KINDS = [...WRITTEN, 'handover'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export interface Shift {
  name: string;
  from: number;
  to: number;
}

/** What an entry is about; '' where it is about none. */
export interface Links {
  order: string;
  job: string;
  alarm: string;
  maintenance: string;
  machine: string;
}

export interface Entry {
  number: number;
  path: string;
  kind: EntryKind;
  text: string;
  at: number;
  by: string;
  /** Null: the person is known no more. */
  byName: string | null;
  /** Null: no calendar there, or off shift. */
  shift: Shift | null;
  pinned: boolean;
  open: boolean;
  corrects: number | null;
  correctedBy: number | null;
  links: Links;
}

/** The newest first; `next`: asks for those before, null: there are none. */
export interface Entries {
  entries: Entry[];
  next: number | null;
}

export const ITEM_KINDS = ['job', 'alarm', 'stop', 'entry', 'handover'] as const;
export type ItemKind = (typeof ITEM_KINDS)[number];

/** Something that is open. */
export interface Item {
  kind: ItemKind;
  path: string;
  /** In the server's words. */
  title: string;
  since: number;
  /** `Interrupted (Held)`, `unacknowledged`; null of what has none. */
  state: string | null;
  job: string | null;
  order: string | null;
  alarm: string | null;
  /** The number of an entry or of a hand-over. */
  entry: number | null;
}

export interface Proposal {
  path: string;
  now: number;
  shift: Shift | null;
  /** Stops are looked at from then on. */
  from: number;
  items: Item[];
  truncated: boolean;
}

export interface Handover {
  number: number;
  path: string;
  shift: Shift | null;
  summary: string;
  at: number;
  by: string;
  byName: string | null;
  items: Item[];
  truncated: boolean;
  /** Entries that stay open after it is confirmed. */
  kept: number[];
  /** Null: it waits. */
  confirmed: { at: number; by: string; byName: string | null; note: string } | null;
}

export interface Handovers {
  handovers: Handover[];
  next: number | null;
}

const ENDED = ['self', 'elsewhere', 'rule', 'supervisor'] as const;

/** What stood there before a supervisor put it right. */
export interface SpanChange {
  at: number;
  byName: string | null;
  wasFrom: number;
  /** Null: it lasted. */
  wasTo: number | null;
  reason: string;
}

/** A time in which somebody was signed on. */
export interface Span {
  number: number;
  person: string;
  name: string | null;
  path: string;
  from: number;
  /** Null: it lasts. */
  to: number | null;
  ended: (typeof ENDED)[number] | null;
  /** When it ends by itself. */
  endsBy: number;
  changes: SpanChange[];
}

export interface Present {
  now: number;
  /** `persons`: those of `people` whom one sees. */
  places: { path: string; people: number; persons: { person: string; name: string | null; since: number }[] }[];
  me: Span | null;
}

/** `efficiency`: worked of attended, 0 to 1; null: nobody attended. */
interface Hours {
  attendance: number;
  working: number;
  efficiency: number | null;
}
export interface PlaceHours extends Hours {
  path: string;
  people: number;
}
export interface PersonHours extends Hours {
  person: string;
  name: string | null;
}
export interface Labour extends PlaceHours {
  from: number;
  to: number;
  now: number;
  places: PlaceHours[];
  persons: PersonHours[];
  truncated: boolean;
}

const shift = (raw: unknown): Shift | null =>
  orNull(raw, (one) => {
    const o = object(one, 'shift');
    return { name: text(o['name'], 'shift.name'), ...spanOf(o, 'shift') };
  });

function links(raw: unknown): Links {
  const o = object(raw ?? {}, 'links');
  return { order: textOr(o['order'], ''), job: textOr(o['job'], ''), alarm: textOr(o['alarm'], ''), maintenance: textOr(o['maintenance'], ''), machine: textOr(o['machine'], '') };
}

export function entry(raw: unknown): Entry {
  const o = object(raw, 'entry');
  return {
    number: num(o['number'], 'entry.number'),
    path: text(o['path'], 'entry.path'),
    kind: oneOf(o['kind'], ENTRY_KINDS, 'entry.kind'),
    text: text(o['text'], 'entry.text'),
    at: num(o['at_ms'], 'entry.at_ms'),
    by: text(o['by'], 'entry.by'),
    byName: textOrNull(o['by_name']),
    shift: shift(o['shift']),
    pinned: flag(o['pinned']),
    open: flag(o['open']),
    corrects: numOrNull(o['corrects']),
    correctedBy: numOrNull(o['corrected_by']),
    links: links(o['links']),
  };
}

export function entries(raw: unknown): Entries {
  const o = object(raw, 'logbook');
  return { entries: list(o['entries'], 'logbook.entries').map(entry), next: numOrNull(o['next']) };
}

function item(raw: unknown): Item {
  const o = object(raw, 'item');
  return {
    kind: oneOf(o['kind'], ITEM_KINDS, 'item.kind'),
    path: text(o['path'], 'item.path'),
    title: text(o['title'], 'item.title'),
    since: num(o['since_ms'], 'item.since_ms'),
    state: textOrNull(o['state']),
    job: textOrNull(o['job']),
    order: textOrNull(o['order']),
    alarm: textOrNull(o['alarm']),
    entry: numOrNull(o['entry']),
  };
}

export function proposal(raw: unknown): Proposal {
  const o = object(raw, 'proposal');
  return {
    path: text(o['path'], 'proposal.path'),
    now: num(o['now_ms'], 'proposal.now_ms'),
    shift: shift(o['shift']),
    from: num(o['from_ms'], 'proposal.from_ms'),
    items: list(o['items'], 'proposal.items').map(item),
    truncated: flag(o['truncated']),
  };
}

export function handover(raw: unknown): Handover {
  const o = object(raw, 'handover');
  const done = oneOf(o['state'], ['waiting', 'confirmed'], 'handover.state') === 'confirmed';
  return {
    number: num(o['number'], 'handover.number'),
    path: text(o['path'], 'handover.path'),
    shift: shift(o['shift']),
    summary: text(o['summary'], 'handover.summary'),
    at: num(o['at_ms'], 'handover.at_ms'),
    by: text(o['by'], 'handover.by'),
    byName: textOrNull(o['by_name']),
    items: each(o['items'], 'handover.items', item),
    truncated: flag(o['truncated']),
    kept: each(o['kept'], 'handover.kept', (number) => num(number, 'handover.kept[]')),
    confirmed: done ? { at: num(o['confirmed_at_ms'], 'handover.confirmed_at_ms'), by: textOr(o['confirmed_by'], ''), byName: textOrNull(o['confirmed_by_name']), note: textOr(o['note'], '') } : null,
  };
}

export function handovers(raw: unknown): Handovers {
  const o = object(raw, 'handovers');
  return { handovers: list(o['handovers'], 'handovers').map(handover), next: numOrNull(o['next']) };
}

export function span(raw: unknown): Span {
  const o = object(raw, 'span');
  return {
    number: num(o['number'], 'span.number'),
    person: text(o['person'], 'span.person'),
    name: textOrNull(o['name']),
    path: text(o['path'], 'span.path'),
    from: num(o['from_ms'], 'span.from_ms'),
    to: numOrNull(o['to_ms']),
    ended: orNull(o['ended'], (word) => oneOf(word, ENDED, 'span.ended')),
    endsBy: num(o['ends_by_ms'], 'span.ends_by_ms'),
    changes: each(o['corrections'], 'span.corrections', (raw) => {
      const c = object(raw, 'span.corrections[]');
      return { at: num(c['at_ms'], 'correction.at_ms'), byName: textOrNull(c['by_name']), wasFrom: num(c['was_from_ms'], 'correction.was_from_ms'), wasTo: numOrNull(c['was_to_ms']), reason: textOr(c['reason'], '') };
    }),
  };
}

export function spans(raw: unknown): { spans: Span[]; truncated: boolean } {
  const o = object(raw, 'spans');
  return { spans: list(o['spans'], 'spans').map(span), truncated: flag(o['truncated']) };
}

export function present(raw: unknown): Present {
  const o = object(raw, 'present');
  return {
    now: num(o['now_ms'], 'present.now_ms'),
    places: list(o['places'], 'present.places').map((raw) => {
      const p = object(raw, 'present.places[]');
      const persons = each(p['persons'], 'persons', (raw) => {
        const one = object(raw, 'persons[]');
        return { person: text(one['person'], 'persons[].person'), name: textOrNull(one['name']), since: num(one['since_ms'], 'persons[].since_ms') };
      });
      return { path: text(p['path'], 'present.places[].path'), people: num(p['people'], 'present.places[].people'), persons };
    }),
    me: orNull(o['me'], span),
  };
}

const hours = (o: Raw, where: string): Hours => ({ attendance: num(o['attendance_ms'], `${where}.attendance_ms`), working: num(o['working_ms'], `${where}.working_ms`), efficiency: numOrNull(o['worker_efficiency']) });
const placeHours = (raw: unknown): PlaceHours => {
  const o = object(raw, 'labour.place');
  return { path: text(o['path'], 'labour.place.path'), people: numOr(o['people'], 0), ...hours(o, 'labour.place') };
};

export function labour(raw: unknown): Labour {
  const o = object(raw, 'labour');
  return {
    ...placeHours(raw),
    ...spanOf(o, 'labour'),
    now: num(o['now_ms'], 'labour.now_ms'),
    places: each(o['places'], 'labour.places', placeHours),
    persons: each(o['persons'], 'labour.persons', (raw) => {
      const p = object(raw, 'labour.persons[]');
      return { person: text(p['person'], 'labour.persons[].person'), name: textOrNull(p['name']), ...hours(p, 'labour.persons[]') };
    }),
    truncated: flag(o['truncated']),
  };
}
