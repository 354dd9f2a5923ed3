// What a connector hears and has found by itself (`/api/connectors/found`): raw JSON in, checked words out.

import { flag, list, num, numOr, numOrNull, object, oneOf, text, textOr, textOrNull } from './parse';
import type { Scalar } from './types';

/** An edge node, or a device of it. */
export interface FoundNode {
  node: string;
  device: string | null;
  online: boolean;
  sinceMs: number;
  metrics: number;
  /** How often it was asked for a birth; 0 for a device. */
  birthsAsked: number;
  /** The last thing that was odd about it; kept after it is over. */
  trouble: { atMs: number; text: string } | null;
}

/** What becomes of a value: the document takes it, another proposal takes the same one, a tag has it, or why not. */
export type FoundState = 'proposed' | 'same' | 'mapped' | 'refused' | 'not_understood' | 'gone';

export interface FoundValue {
  /** In the protocol's words. */
  place: string;
  dataType: string;
  /** What a tag must be to take it; null: no tag can. */
  tagType: string | null;
  state: FoundState;
  /** The path of the tag that takes it, or that the document would make. */
  tag: string | null;
  /** Why it is as it is; empty where there is no more to say. */
  why: string;
  value: Scalar | null;
  severity: 'good' | 'uncertain' | 'bad';
  /** The status code's name. */
  quality: string;
  atMs: number;
}

export interface Found {
  nodes: FoundNode[];
  moreNodes: number;
  values: FoundValue[];
  more: number;
  /** Makes tags of what none takes; null: the connector knows no place for them. */
  document: string | null;
}

function node(raw: unknown): FoundNode {
  const o = object(raw, 'node');
  const at = numOrNull(o['trouble_at_ms']);
  const trouble = textOrNull(o['trouble']);
  return {
    node: text(o['node'], 'node.node'),
    device: textOrNull(o['device']),
    online: flag(o['online']),
    sinceMs: num(o['since_ms'], 'node.since_ms'),
    metrics: numOr(o['metrics'], 0),
    birthsAsked: numOr(o['births_asked'], 0),
    trouble: at !== null && trouble !== null ? { atMs: at, text: trouble } : null,
  };
}

const STATES = ['proposed', 'same', 'mapped', 'refused', 'not understood', 'gone'] as const;

function value(raw: unknown): FoundValue {
  const o = object(raw, 'value');
  const state = oneOf(o['state'], STATES, 'value.state');
  const quality = textOr(o['quality'], '');
  const known = o['value'];
  const isScalar = (typeof known === 'number' && Number.isFinite(known)) || typeof known === 'boolean' || typeof known === 'string';
  return {
    place: text(o['place'], 'value.place'),
    dataType: textOr(o['data_type'], ''),
    tagType: textOrNull(o['tag_type']),
    state: state === 'not understood' ? 'not_understood' : state,
    tag: textOrNull(o['tag']),
    why: textOr(o['why'], ''),
    value: isScalar ? known : null,
    severity: quality.startsWith('Good') ? 'good' : quality.startsWith('Uncertain') ? 'uncertain' : 'bad',
    quality,
    atMs: num(o['at_ms'], 'value.at_ms'),
  };
}

export function found(raw: unknown): Found {
  const o = object(raw, 'found');
  return {
    nodes: list(o['nodes'], 'found.nodes').map(node),
    moreNodes: numOr(o['more_nodes'], 0),
    values: list(o['values'], 'found.values').map(value),
    more: numOr(o['more'], 0),
    document: textOrNull(o['document']),
  };
}
