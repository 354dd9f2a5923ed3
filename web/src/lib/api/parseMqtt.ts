// The border for what MQTT pages show: raw JSON in, checked words out. As `parse.ts`, apart from it so that other pages need not load it.

import { flag, list, num, numOr, numOrNull, object, oneOf, orNull, text, textOr, textOrNull, texts } from './parse';

export const KINDS = ['empty', 'number', 'json', 'text', 'sparkplug', 'binary'] as const;
export type PayloadKind = (typeof KINDS)[number];

/** A message as a list shows it. */
export interface Shown {
  topic: string;
  receivedMs: number;
  qos: number;
  retain: boolean;
  /** The client; null: Andon itself, or a person (`user`). */
  publisher: string | null;
  user: string | null;
  contentType: string | null;
  size: number;
  kind: PayloadKind;
  /** Null: there was no room to keep it. */
  preview: string | null;
}

export interface Topic extends Shown {
  count: number;
  firstMs: number;
  retained: boolean;
  perSecond: number | null;
  bytesPerSecond: number | null;
  usualMs: number | null;
  silentSinceMs: number | null;
}

/** A name in a level: a topic, a branch with topics below it, or both. */
export interface TopicRow {
  name: string;
  path: string;
  below: number;
  overdue: number;
  perSecond: number;
  receivedMs: number;
  own: Topic | null;
}

export interface Catalogue {
  topics: number;
  topicsMost: number;
  notListed: number;
  leftOut: number;
}

export interface TopicLevel {
  rows: TopicRow[];
  total: number;
  catalogue: Catalogue | null;
}

export interface TopicDetail {
  topic: Topic;
  text: string | null;
  base64: string | null;
  kept: number;
  tags: string[];
  moreTags: boolean;
  commands: string | null;
}

export interface Departure {
  clientId: string;
  user: string | null;
  address: string;
  atMs: number;
  by: 'client' | 'server' | 'lost';
  reason: string;
}

export interface Client {
  clientId: string;
  user: string | null;
  kind: 'device' | 'anonymous' | null;
  address: string | null;
  protocol: string;
  connected: boolean;
  sinceMs: number;
  keepAliveS: number | null;
  /** Null: for ever. */
  expiryS: number | null;
  subscriptions: number;
  received: number;
  sent: number;
  receivedPerS: number | null;
  sentPerS: number | null;
  inFlight: number;
  window: number;
  queued: number;
  dropped: number;
  will: boolean;
  left: Departure | null;
}

export interface Subscription {
  clientId: string;
  user: string | null;
  connected: boolean;
  filter: string;
  qos: number;
  noLocal: boolean;
  retainAsPublished: boolean;
  retained: 'send' | 'if_new' | 'none';
  id: number | null;
  origin: boolean;
  deliver: string;
  leftOut: number;
}

/** A message that a topic rule keeps. */
export interface KeptMessage {
  no: number;
  receivedMs: number;
  publisher: string | null;
  user: string | null;
  /** Null: it is no text. */
  text: string | null;
}

export interface Verdict {
  allowed: boolean;
  reason: string;
  checks: { ok: boolean; text: string }[];
}

const MODES = ['observe', 'warn', 'reject', 'quarantine'] as const;

/** Somebody who broke a topic rule on a topic. */
export interface Offender {
  /** The client; null: a person. */
  publisher: string | null;
  user: string | null;
  topic: string;
  count: number;
  lastMs: number;
  words: string;
  payload: string;
}

export interface TopicRule {
  name: string;
  filter: string;
  description: string;
  volatile: boolean;
  /** Null: it asks nothing of messages. */
  mode: (typeof MODES)[number] | null;
  wishes: string[];
  /** How long, and how much at most, messages are kept to be read later; null: not. */
  keep: { ms: number; bytes: number } | null;
  sinceMs: number;
  matched: number;
  broke: number;
  inQuarantine: number;
  offenders: Offender[];
  others: number;
}

/** A message in quarantine. */
export interface Withheld {
  number: number;
  /** How many there are of this rule and publisher, this one included. */
  alike: number;
  words: string;
  topic: string;
  publisher: string | null;
  user: string | null;
  receivedMs: number;
  qos: number;
  retain: boolean;
  /** When the newer message came that is retained there, and that a release would replace. */
  newerRetainedMs: number | null;
  preview: string;
  size: number;
}

function shown(o: Readonly<Record<string, unknown>>): Shown {
  return {
    topic: text(o['topic'], 'topic.topic'),
    receivedMs: num(o['received_ms'], 'topic.received_ms'),
    qos: numOr(o['qos'], 0),
    retain: flag(o['retain']),
    publisher: textOrNull(o['publisher']),
    user: textOrNull(o['user']),
    contentType: textOrNull(o['content_type']),
    size: numOr(o['size'], 0),
    kind: oneOf(o['kind'], KINDS, 'topic.kind'),
    preview: textOrNull(o['preview']),
  };
}

export function topic(raw: unknown): Topic {
  const o = object(raw, 'topic');
  return {
    ...shown(o),
    count: numOr(o['count'], 0),
    firstMs: numOr(o['first_ms'], 0),
    retained: flag(o['retained']),
    perSecond: numOrNull(o['per_second']),
    bytesPerSecond: numOrNull(o['bytes_per_second']),
    usualMs: numOrNull(o['usual_interval_ms']),
    silentSinceMs: numOrNull(o['silent_since_ms']),
  };
}

function topicRow(raw: unknown): TopicRow {
  const o = object(raw, 'row');
  return {
    name: text(o['name'], 'row.name'),
    path: text(o['path'], 'row.path'),
    below: numOr(o['below'], 0),
    overdue: numOr(o['overdue'], 0),
    perSecond: numOr(o['per_second'], 0),
    receivedMs: numOr(o['received_ms'], 0),
    own: orNull(o['own'], topic),
  };
}

function catalogue(raw: unknown): Catalogue {
  const o = object(raw, 'catalogue');
  return { topics: numOr(o['topics'], 0), topicsMost: numOr(o['topics_most'], 0), notListed: numOr(o['not_listed'], 0), leftOut: numOr(o['left_out'], 0) };
}

export function topicLevel(raw: unknown): TopicLevel {
  const o = object(raw, 'topics');
  return { rows: list(o['rows'], 'topics.rows').map(topicRow), total: num(o['total'], 'topics.total'), catalogue: orNull(o['catalogue'], catalogue) };
}

export function foundTopics(raw: unknown): { topics: Topic[]; total: number } {
  const o = object(raw, 'topics');
  return { topics: list(o['topics'], 'topics.topics').map(topic), total: num(o['total'], 'topics.total') };
}

export function topicDetail(raw: unknown): TopicDetail {
  const o = object(raw, 'topic');
  return {
    topic: topic(o['topic']),
    text: textOrNull(o['text']),
    base64: textOrNull(o['base64']),
    kept: numOr(o['kept'], 0),
    tags: texts(o['tags']),
    moreTags: flag(o['more_tags']),
    commands: textOrNull(o['commands']),
  };
}

/** Topics that changed, told by the live link. */
export const changedTopics = (raw: unknown): Topic[] => list(object(raw, 'topics')['topics'], 'topics').map(topic);

/** Messages that somebody looks at, told by the live link. */
export function messages(raw: unknown): { messages: Shown[]; skipped: number } {
  const o = object(raw, 'messages');
  return { messages: list(o['messages'], 'messages').map((m) => shown(object(m, 'message'))), skipped: numOr(o['skipped'], 0) };
}

export function watching(raw: unknown): { filter: string | null; error: string | null } {
  const o = object(raw, 'watching');
  return { filter: textOrNull(o['filter']), error: textOrNull(o['error']) };
}

function departure(raw: unknown): Departure {
  const o = object(raw, 'departure');
  return {
    clientId: text(o['client_id'], 'departure.client_id'),
    user: textOrNull(o['user']),
    address: textOr(o['address'], ''),
    atMs: num(o['at_ms'], 'departure.at_ms'),
    by: oneOf(o['by'], ['client', 'server', 'lost'], 'departure.by'),
    reason: textOr(o['reason'], ''),
  };
}

function client(raw: unknown): Client {
  const o = object(raw, 'client');
  const kind = textOrNull(o['kind']);
  return {
    clientId: text(o['client_id'], 'client.client_id'),
    user: textOrNull(o['user']),
    kind: kind === 'device' || kind === 'anonymous' ? kind : null,
    address: textOrNull(o['address']),
    protocol: textOr(o['protocol'], ''),
    connected: flag(o['connected']),
    sinceMs: numOr(o['since_ms'], 0),
    keepAliveS: numOrNull(o['keep_alive_s']),
    expiryS: numOrNull(o['expiry_s']),
    subscriptions: numOr(o['subscriptions'], 0),
    received: numOr(o['received'], 0),
    sent: numOr(o['sent'], 0),
    receivedPerS: numOrNull(o['received_per_s']),
    sentPerS: numOrNull(o['sent_per_s']),
    inFlight: numOr(o['in_flight'], 0),
    window: numOr(o['window'], 0),
    queued: numOr(o['queued'], 0),
    dropped: numOr(o['dropped'], 0),
    will: flag(o['will']),
    left: orNull(o['left'], departure),
  };
}

function subscription(raw: unknown): Subscription {
  const o = object(raw, 'subscription');
  return {
    clientId: text(o['client_id'], 'subscription.client_id'),
    user: textOrNull(o['user']),
    connected: flag(o['connected']),
    filter: text(o['filter'], 'subscription.filter'),
    qos: numOr(o['qos'], 0),
    noLocal: flag(o['no_local']),
    retainAsPublished: flag(o['retain_as_published']),
    retained: oneOf(o['retained'], ['send', 'if_new', 'none'], 'subscription.retained'),
    id: numOrNull(o['id']),
    origin: flag(o['origin']),
    deliver: text(o['deliver'], 'subscription.deliver'),
    leftOut: numOr(o['left_out'], 0),
  };
}

export function clients(raw: unknown): { clients: Client[]; total: number; connected: number; next: string | null } {
  const o = object(raw, 'clients');
  return { clients: list(o['clients'], 'clients.clients').map(client), total: num(o['total'], 'clients.total'), connected: numOr(o['connected'], 0), next: textOrNull(o['next']) };
}

export function clientDetail(raw: unknown): { client: Client; subscriptions: Subscription[]; departures: Departure[] } {
  const o = object(raw, 'client');
  return {
    client: client(o['client']),
    subscriptions: list(o['subscriptions'], 'client.subscriptions').map(subscription),
    departures: list(o['departures'], 'client.departures').map(departure),
  };
}

export function subscriptions(raw: unknown): { subscriptions: Subscription[]; total: number } {
  const o = object(raw, 'subscriptions');
  return { subscriptions: list(o['subscriptions'], 'subscriptions.subscriptions').map(subscription), total: num(o['total'], 'subscriptions.total') };
}

export function keptMessages(raw: unknown): KeptMessage[] {
  return list(object(raw, 'kept')['messages'], 'kept.messages').map((entry) => {
    const o = object(entry, 'kept message');
    return { no: num(o['no'], 'kept.no'), receivedMs: num(o['received_ms'], 'kept.received_ms'), publisher: textOrNull(o['publisher']), user: textOrNull(o['user']), text: textOrNull(o['text']) };
  });
}

export function permission(raw: unknown): { user: string | null; client: string | null; verdict: Verdict } {
  const o = object(raw, 'permission');
  const v = object(o['verdict'], 'permission.verdict');
  const checks = list(v['checks'], 'verdict.checks').map((entry) => {
    const c = object(entry, 'check');
    return { ok: flag(c['ok']), text: textOr(c['text'], '') };
  });
  return { user: textOrNull(o['user']), client: textOrNull(o['client']), verdict: { allowed: flag(v['allowed']), reason: textOr(v['reason'], ''), checks } };
}

export const published = (raw: unknown): { reached: number; durable: boolean } => {
  const o = object(raw, 'published');
  return { reached: numOr(o['reached'], 0), durable: flag(o['durable']) };
};

function offender(raw: unknown): Offender {
  const o = object(raw, 'offender');
  return {
    publisher: textOrNull(o['client']),
    user: textOrNull(o['user']),
    topic: text(o['topic'], 'offender.topic'),
    count: num(o['count'], 'offender.count'),
    lastMs: num(o['last_ms'], 'offender.last_ms'),
    words: textOr(o['words'], ''),
    payload: textOr(o['payload'], ''),
  };
}

function topicRule(raw: unknown): TopicRule {
  const o = object(raw, 'rule');
  return {
    name: text(o['name'], 'rule.name'),
    filter: text(o['filter'], 'rule.filter'),
    description: textOr(o['description'], ''),
    volatile: o['durability'] === 'volatile',
    mode: textOrNull(o['mode']) === null ? null : oneOf(o['mode'], MODES, 'rule.mode'),
    wishes: texts(o['wishes']),
    keep: numOrNull(o['keep_s']) === null ? null : { ms: num(o['keep_s'], 'rule.keep_s') * 1000, bytes: num(o['keep_bytes'], 'rule.keep_bytes') },
    sinceMs: num(o['since_ms'], 'rule.since_ms'),
    matched: num(o['matched'], 'rule.matched'),
    broke: num(o['broke'], 'rule.broke'),
    inQuarantine: numOr(o['in_quarantine'], 0),
    offenders: list(o['offenders'], 'rule.offenders').map(offender),
    others: numOr(o['others'], 0),
  };
}

export function violations(raw: unknown): { rules: TopicRule[]; inQuarantine: number; pushedOut: number } {
  const o = object(raw, 'violations');
  return { rules: list(o['rules'], 'violations.rules').map(topicRule), inQuarantine: numOr(o['in_quarantine'], 0), pushedOut: numOr(o['pushed_out'], 0) };
}

function withheld(raw: unknown): Withheld {
  const o = object(raw, 'withheld');
  return {
    number: num(o['number'], 'withheld.number'),
    alike: numOr(o['alike'], 1),
    words: textOr(o['words'], ''),
    topic: text(o['topic'], 'withheld.topic'),
    publisher: textOrNull(o['client']),
    user: textOrNull(o['user']),
    receivedMs: num(o['received_ms'], 'withheld.received_ms'),
    qos: num(o['qos'], 'withheld.qos'),
    retain: flag(o['retain']),
    newerRetainedMs: numOrNull(o['newer_retained_ms']),
    preview: textOr(o['preview'], ''),
    size: num(o['size'], 'withheld.size'),
  };
}

export function quarantined(raw: unknown): { messages: Withheld[]; total: number } {
  const o = object(raw, 'quarantine');
  return { messages: list(o['messages'], 'quarantine.messages').map(withheld), total: num(o['total'], 'quarantine.total') };
}

/** How many messages were thrown away. */
export const discarded = (raw: unknown): number => num(object(raw, 'discarded')['discarded'], 'discarded.discarded');
