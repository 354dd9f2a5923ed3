// The border for tools and moulds (`/api/mes/tools`): raw JSON in, checked words out. Times and durations in ms.

import { each, flag, list, num, numOrNull, object, oneOf, text, textOr, textOrNull, texts, type Raw } from './parse';

export const TOOL_STATES = ['ok', 'warn', 'end', 'no_life'] as const;
export type ToolState = (typeof TOOL_STATES)[number];

export interface Tool {
  name: string;
  title: string;
  /** A free word: mould, die, tool. */
  kind: string;
  /** False: it was taken out of the documents and stays with what it did. */
  inDocuments: boolean;
  /** Where it may be mounted; empty: anywhere. */
  machines: string[];
  cavities: number;
  /** Where it is mounted; null: nowhere. */
  machine: string | null;
  mounted: number | null;
  /** One of them, or neither. */
  life: { cycles: number | null; runTime: number | null };
  /** The share of its life from which it is told. */
  warn: number;
  /** Of this life. */
  used: { cycles: number; runTime: number };
  /** Used of life; null: it has no life. */
  share: number | null;
  state: ToolState;
  renewals: number;
  renewed: number | null;
  told: { level: 'warn' | 'end'; at: number }[];
  /** What cannot be told of it, in the server's words. */
  warning: string | null;
}

export interface ToolsPage {
  tools: Tool[];
  /** Send it as `after`; a page may be short and still have one. */
  next: string | null;
}

export interface ToolSpan {
  number: number;
  machine: string;
  from: number;
  /** Null: it is there now. */
  to: number | null;
  byName: string | null;
  reason: string;
  corrections: { at: number; byName: string | null; wasFrom: number; wasTo: number | null; reason: string }[];
}

export interface ToolDetail extends Tool {
  /** The newest first. */
  spans: ToolSpan[];
  renewalsDone: { number: number; at: number; byName: string | null; reason: string }[];
  changes: { number: number; kind: string; at: number; byName: string | null; reason: string; machine: string | null; cycles: number | null; runTime: number | null }[];
}

function toolOf(o: Raw): Tool {
  const life = object(o['life'], 'tool.life');
  const used = object(o['used'], 'tool.used');
  const name = text(o['name'], 'tool.name');
  return {
    name,
    title: textOr(o['title'], '') || name,
    kind: textOr(o['kind'], ''),
    inDocuments: flag(o['in_documents']),
    machines: texts(o['machines']),
    cavities: num(o['cavities'], 'tool.cavities'),
    machine: textOrNull(o['machine']),
    mounted: numOrNull(o['mounted_ms']),
    life: { cycles: numOrNull(life['cycles']), runTime: numOrNull(life['run_time_ms']) },
    warn: num(o['warn'], 'tool.warn'),
    used: { cycles: num(used['cycles'], 'tool.used.cycles'), runTime: num(used['run_time_ms'], 'tool.used.run_time_ms') },
    share: numOrNull(o['share']),
    state: oneOf(o['state'], TOOL_STATES, 'tool.state'),
    renewals: num(o['renewals'], 'tool.renewals'),
    renewed: numOrNull(o['renewed_ms']),
    told: each(o['told'], 'tool.told', (raw) => {
      const one = object(raw, 'told');
      return { level: oneOf(one['level'], ['warn', 'end'] as const, 'told.level'), at: num(one['at_ms'], 'told.at_ms') };
    }),
    warning: textOrNull(o['warning']),
  };
}

export function toolsPage(raw: unknown): ToolsPage {
  const o = object(raw, 'tools');
  return { tools: list(o['tools'], 'tools').map((one) => toolOf(object(one, 'tool'))), next: textOrNull(o['next']) };
}

function span(raw: unknown): ToolSpan {
  const o = object(raw, 'span');
  return {
    number: num(o['number'], 'span.number'),
    machine: text(o['machine'], 'span.machine'),
    from: num(o['from_ms'], 'span.from_ms'),
    to: numOrNull(o['to_ms']),
    byName: textOrNull(o['by_name']),
    reason: textOr(o['reason'], ''),
    corrections: each(o['corrections'], 'span.corrections', (raw) => {
      const c = object(raw, 'correction');
      return { at: num(c['at_ms'], 'correction.at_ms'), byName: textOrNull(c['by_name']), wasFrom: num(c['was_from_ms'], 'correction.was_from_ms'), wasTo: numOrNull(c['was_to_ms']), reason: textOr(c['reason'], '') };
    }),
  };
}

export function toolDetail(raw: unknown): ToolDetail {
  const o = object(raw, 'tool');
  return {
    ...toolOf(o),
    spans: list(o['spans'], 'tool.spans').map(span),
    renewalsDone: list(o['renewals_done'], 'tool.renewals_done').map((raw) => {
      const r = object(raw, 'renewal');
      return { number: num(r['number'], 'renewal.number'), at: num(r['at_ms'], 'renewal.at_ms'), byName: textOrNull(r['by_name']), reason: textOr(r['reason'], '') };
    }),
    changes: list(o['changes'], 'tool.changes').map((raw) => {
      const c = object(raw, 'change');
      return { number: num(c['number'], 'change.number'), kind: text(c['kind'], 'change.kind'), at: num(c['at_ms'], 'change.at_ms'), byName: textOrNull(c['by_name']), reason: textOr(c['reason'], ''), machine: textOrNull(c['machine']), cycles: numOrNull(c['cycles']), runTime: numOrNull(c['run_time_ms']) };
    }),
  };
}
