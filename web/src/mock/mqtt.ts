// The mock's broker: topics that flow, clients, subscriptions, and what may be done there.

import { noise } from './plant';

type Json = Record<string, unknown>;

const MIN = 60_000;
/** A client that brings no identifier gets one. */
const AUTO = 'auto-019f3c1a-52b7-7d20-9a41-6f0c2b8e77d3';

interface MockTopic {
  topic: string;
  /** Milliseconds between two messages. */
  every: number;
  /** It fell silent so long before the start; never: 0. */
  silent?: number;
  publisher: string | null;
  user: string | null;
  qos?: number;
  retain?: boolean;
  kind: string;
  contentType?: string;
  tags?: string[];
  payload: (slot: number) => string;
}

const LINE1 = 'works/nord/bottling/line1/filler';
const round = (value: number, digits: number): string => value.toFixed(digits);

const TOPICS: MockTopic[] = [
  { topic: 'plant/line1/filler/pressure', every: 1000, publisher: 'line1-gateway', user: 'line1-gateway', qos: 1, kind: 'number', tags: [`${LINE1}/pressure`], payload: (s) => round(3 + noise(s, 1) * 0.4, 2) },
  { topic: 'plant/line1/filler/flow', every: 1000, publisher: 'line1-gateway', user: 'line1-gateway', qos: 1, kind: 'number', tags: [`${LINE1}/flow`], payload: (s) => round(2.3 + noise(s, 2) * 0.3, 2) },
  { topic: 'plant/line1/filler/state', every: 10_000, publisher: 'line1-gateway', user: 'line1-gateway', qos: 1, retain: true, kind: 'text', payload: () => 'running' },
  { topic: 'plant/line1/filler', every: 5000, publisher: 'line1-gateway', user: 'line1-gateway', qos: 1, kind: 'json', contentType: 'application/json', payload: (s) => JSON.stringify({ ts: 1_790_000_000 + s * 5, filler: { speed: Math.round(11_000 + noise(s, 3) * 900), bottles: 481_200 + s * 15, rejects: Math.floor(s / 40), mode: 'automatic' }, alarms: [] }) },
  { topic: 'plant/line1/press-7/temperature', every: 2000, publisher: 'press-7', user: 'press-7', qos: 1, kind: 'number', payload: (s) => round(41 + noise(s, 4) * 2, 1) },
  { topic: 'plant/line1/press-7/vibration', every: 500, publisher: 'press-7', user: 'press-7', kind: 'binary', payload: (s) => Array.from({ length: 40 }, (_, i) => Math.floor(noise(s + i, 9) * 256).toString(16).padStart(2, '0')).join(' ') },
  { topic: 'plant/line2/labeller/glue', every: 2000, silent: 23 * MIN, publisher: 'labeller-2', user: 'labeller-2', qos: 1, kind: 'json', payload: (s) => JSON.stringify({ temperature: Number(round(162 + noise(s, 5) * 4, 1)), level: 61 }) },
  { topic: 'plant/test', every: 45 * MIN, publisher: null, user: 'admin', kind: 'text', payload: () => 'hello' },
  { topic: 'zigbee2mqtt/kitchen/climate', every: 30_000, publisher: 'kitchen-sensor', user: 'kitchen-sensor', qos: 1, retain: true, kind: 'json', tags: ['home/linde/ground/kitchen/temperature'], payload: (s) => JSON.stringify({ battery: 87, humidity: Math.round(44 + noise(s, 6) * 6), linkquality: 120, temperature: Number(round(21 + noise(s, 7), 1)) }) },
  { topic: 'zigbee2mqtt/kitchen/window', every: 55 * MIN, publisher: 'kitchen-sensor', user: 'kitchen-sensor', qos: 1, retain: true, kind: 'json', payload: () => '{"contact":true}' },
  { topic: 'zigbee2mqtt/bridge/state', every: 12 * 60 * MIN, publisher: 'kitchen-sensor', user: 'kitchen-sensor', retain: true, kind: 'json', payload: () => '{"state":"online"}' },
  { topic: 'spBv1.0/nord/NDATA/edge-4', every: 5000, publisher: 'edge-4', user: 'edge-4', kind: 'sparkplug', payload: (s) => `08 d2 85 d8 ${(s % 256).toString(16).padStart(2, '0')} 31 12 1a 0a 05 73 70 65 65 64 18` },
  { topic: 'works/buffer/valve/state', every: 60_000, publisher: 'buffer-valve', user: 'buffer-valve', qos: 1, retain: true, kind: 'text', payload: () => 'open' },
];

const shownBytes = (topic: MockTopic, payload: string): number => (topic.kind === 'binary' || topic.kind === 'sparkplug' ? payload.split(' ').length : new TextEncoder().encode(payload).length);

/** The made-up broker. `many`: a gateway with 100,000 sensors, each with a topic of its own. */
export class MockBroker {
  many = 0;
  /** Whether whoever asks sees topics that become these tags; none: that become no tag. */
  sees: (tags: readonly string[]) => boolean = () => true;
  #extra: MockTopic[] = [];
  #gone = new Map<string, { at: number; reason: string }>();

  constructor(
    readonly start: number,
    readonly now: () => number,
  ) {}

  #sensor(n: number): MockTopic {
    return { topic: `field/sensor-${String(n).padStart(6, '0')}`, every: 10_000 + (n % 7) * 1000, publisher: 'field-gateway', user: 'field-gateway', kind: 'number', payload: (s) => round(20 + noise(s + n, 11) * 5, 2) };
  }

  #all(): MockTopic[] {
    return [...TOPICS, ...this.#extra].filter((t) => this.sees(t.tags ?? []));
  }

  #find(topic: string): MockTopic | undefined {
    const sensor = /^field\/sensor-(\d{6})$/.exec(topic);
    if (sensor && Number(sensor[1]) < this.many && this.sees([])) return this.#sensor(Number(sensor[1]));
    return this.#all().find((t) => t.topic === topic);
  }

  #lastOf(topic: MockTopic): number {
    const upTo = topic.silent ? this.start - topic.silent : this.now();
    return Math.floor(upTo / topic.every) * topic.every;
  }

  view(topic: MockTopic): Json {
    const at = this.#lastOf(topic);
    const slot = at / topic.every;
    const payload = topic.payload(slot % 100_000);
    const size = shownBytes(topic, payload);
    const known = topic.every < 10 * MIN;
    const silence = topic.silent ? this.now() - at : 0;
    const rate = known ? (silence > 0 ? 1000 / (topic.every + silence) : 1000 / topic.every) : null;
    return {
      topic: topic.topic, count: Math.max(1, Math.floor((at - this.start + 55 * MIN) / topic.every)), first_ms: this.start - 55 * MIN, received_ms: at, qos: topic.qos ?? 0, retain: topic.retain ?? false,
      retained: topic.retain ?? false, publisher: topic.publisher, user: topic.user, content_type: topic.contentType ?? null, size, kind: topic.kind, preview: payload.slice(0, 160),
      per_second: rate, bytes_per_second: rate === null ? null : rate * size, usual_interval_ms: known ? topic.every : null, silent_since_ms: topic.silent ? at : null,
    };
  }

  level(under: string | null, skip: number, limit: number): Json {
    const rows: Json[] = [];
    if (under === 'field' && this.many > 0 && this.sees([])) {
      for (let n = skip; n < Math.min(this.many, skip + limit); n += 1) rows.push(this.#row(null, `field/sensor-${String(n).padStart(6, '0')}`, [this.#sensor(n)]));
      return { rows, total: this.many, catalogue: this.#figures() };
    }
    const prefix = under === null ? '' : `${under}/`;
    const groups = new Map<string, MockTopic[]>();
    for (const topic of this.#all()) {
      if (!topic.topic.startsWith(prefix)) continue;
      const name = topic.topic.slice(prefix.length).split('/')[0] ?? '';
      groups.set(name, [...(groups.get(name) ?? []), topic]);
    }
    const names = [...groups.keys()].sort();
    if (under === null && this.many > 0 && this.sees([])) names.splice(0, 0, 'field');
    for (const name of names.slice(skip, skip + limit)) {
      if (name === 'field') rows.push({ name, path: name, below: this.many, overdue: 0, per_second: this.many / 13, received_ms: this.now(), own: null });
      else rows.push(this.#row(under, prefix + name, groups.get(name) ?? []));
    }
    return { rows, total: names.length, catalogue: this.#figures() };
  }

  #figures(): Json | null {
    if (!this.sees([])) return null;
    const topics = this.#all().length + this.many;
    return { topics, topics_most: 100_000, bytes: topics * 700, bytes_most: 150_000_000, not_listed: this.many > 100_000 ? 4_200 : 0, left_out: 0, forgotten: 0 };
  }

  #row(under: string | null, path: string, topics: MockTopic[]): Json {
    const views = topics.map((t) => this.view(t));
    const own = views.find((v) => v['topic'] === path) ?? null;
    void under;
    return {
      name: path.slice(path.lastIndexOf('/') + 1), path, below: topics.length - (own ? 1 : 0), overdue: views.filter((v) => v['silent_since_ms'] !== null).length,
      per_second: views.reduce((sum, v) => sum + Number(v['per_second'] ?? 0), 0), received_ms: Math.max(...views.map((v) => Number(v['received_ms']))), own,
    };
  }

  search(text: string, limit: number): Json {
    const found = this.#all().filter((t) => t.topic.toLowerCase().includes(text.toLowerCase()));
    return { topics: found.sort((a, b) => (a.topic < b.topic ? -1 : 1)).slice(0, limit).map((t) => this.view(t)), total: found.length };
  }

  topic(name: string): Json | null {
    const topic = this.#find(name);
    if (!topic) return null;
    const view = this.view(topic);
    const payload = topic.payload((Number(view['received_ms']) / topic.every) % 100_000);
    const bytes = topic.kind === 'binary' || topic.kind === 'sparkplug';
    return {
      topic: view, text: bytes ? null : payload, base64: bytes ? btoa(payload.split(' ').map((hex) => String.fromCharCode(parseInt(hex, 16))).join('')) : null, kept: view['size'],
      tags: topic.tags ?? [], more_tags: false, commands: null,
    };
  }

  /** The last messages of a topic of the line, whose rule keeps them. */
  kept(name: string, last: number): Json[] {
    const topic = this.#find(name);
    if (!topic?.topic.startsWith('plant/')) return [];
    const view = this.view(topic);
    const latest = Number(view['received_ms']);
    const count = Math.min(last, 20);
    return Array.from({ length: count }, (_, n) => {
      const at = latest - (count - 1 - n) * topic.every;
      return { no: Math.floor(at / topic.every), topic: name, received_ms: at, publisher: view['publisher'], user: view['user'], qos: view['qos'], retain: view['retain'], content_type: null, kind: view['kind'], text: topic.payload((at / topic.every) % 100_000), base64: null, user_properties: [] };
    });
  }

  changed(topics: readonly string[]): Json[] {
    return topics.map((name) => this.#find(name)).filter((t) => t !== undefined).map((t) => this.view(t));
  }

  /** What came under a filter within the last `span` ms. */
  came(filter: string, span: number): Json[] {
    const fits = new RegExp(`^${filter.split('/').map((level) => (level === '+' ? '[^/]*' : level === '#' ? '.*' : level.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))).join('/').replace(/\/\.\*$/, '(/.*)?')}$`);
    const now = this.now();
    return this.#all().filter((t) => !t.silent && fits.test(t.topic) && now - this.#lastOf(t) < span).map((t) => this.view(t));
  }

  publish(body: Json, user: string): void {
    const topic = String(body['topic']);
    this.#extra = this.#extra.filter((t) => t.topic !== topic);
    const payload = String(body['text'] ?? '');
    this.#extra.push({ topic, every: 1000 * 3600 * 24, publisher: null, user, qos: Number(body['qos'] ?? 0), retain: body['retain'] === true, kind: payload === '' ? 'empty' : 'text', payload: () => payload });
  }

  clients(): Json[] {
    const t = Math.floor((this.now() - this.start) / 1000);
    const of = (client_id: string, user: string | null, more: Json): Json => {
      const gone = this.#gone.get(client_id);
      const base: Json = {
        client_id, user, kind: user === null ? 'anonymous' : 'device', address: '10.20.3.7:49152', protocol: '5.0', connected: true, since_ms: this.start - 55 * MIN, keep_alive_s: 60, expiry_s: 3600, subscriptions: this.subscriptions().filter((s) => s['client_id'] === client_id).length,
        received: 0, sent: 0, received_per_s: 0, sent_per_s: 0, in_flight: 0, window: 1024, queued: 0, dropped: 0, will: false, left: null, ...more,
      };
      if (!gone) return base;
      return { ...base, connected: false, since_ms: gone.at, keep_alive_s: null, received_per_s: null, sent_per_s: null, left: this.#departure(client_id, user, gone.at, 'server', gone.reason) };
    };
    return [
      of(AUTO, 'press-9', { received: 41 + Math.floor(t / 10), sent: 2, received_per_s: 0.1, expiry_s: 0, address: '10.20.1.88:50991' }),
      of('buffer-valve', 'buffer-valve', { protocol: '3.1.1', received: 4_100 + t, sent: 61, received_per_s: 0.2, sent_per_s: 0.01, will: true, address: '10.20.3.9:50110', expiry_s: null }),
      of('edge-4', 'edge-4', { received: 11_020 + Math.floor(t / 5), received_per_s: 0.2, will: true, address: '10.20.3.44:40022' }),
      of('historian-export', 'grafana', { connected: false, since_ms: this.start - 12 * MIN, keep_alive_s: null, received_per_s: null, sent_per_s: null, queued: 1_240, sent: 80_221, left: this.#departure('historian-export', 'grafana', this.start - 12 * MIN, 'lost', 'connection lost: closed by the client') }),
      of('kitchen-sensor', 'kitchen-sensor', { received: 12_400 + t, sent: 3, received_per_s: 0.04 }),
      of('labeller-2', 'labeller-2', { connected: false, since_ms: this.start - 23 * MIN, keep_alive_s: null, received_per_s: null, sent_per_s: null, left: this.#departure('labeller-2', 'labeller-2', this.start - 23 * MIN, 'server', 'closed by the server: keep alive timeout') }),
      of('line1-gateway', 'line1-gateway', { received: 410_200 + t * 3, sent: 14, received_per_s: 2.3, address: '10.20.1.80:51002', in_flight: 2 }),
      of('press-7', 'press-7', { received: 88_120 + t * 3, received_per_s: 2.5, address: '10.20.1.87:49888' }),
      of('wallboard', 'wallboard', { sent: 702_113 + t * 9, sent_per_s: 9.1, dropped: 118, in_flight: 31, queued: 31, address: '10.20.9.2:41212' }),
    ];
  }

  #departure(client_id: string, user: string | null, at_ms: number, by: string, reason: string): Json {
    return { client_id, user, address: '10.20.3.7:49152', at_ms, by, reason };
  }

  client(id: string): Json | null {
    const client = this.clients().find((c) => c['client_id'] === id);
    if (!client) return null;
    const left = client['left'];
    return { client, subscriptions: this.subscriptions().filter((s) => s['client_id'] === id), departures: left ? [left] : [] };
  }

  disconnect(id: string): void {
    this.#gone.set(id, { at: this.now(), reason: 'closed by the server: administrative action' });
  }

  subscriptions(): Json[] {
    const of = (client_id: string, filter: string, qos: number, more: Json = {}): Json => ({ client_id, user: client_id === 'historian-export' ? 'grafana' : client_id, connected: client_id !== 'historian-export' && client_id !== 'labeller-2', filter, qos, no_local: false, retain_as_published: false, retained: 'send', id: null, origin: false, deliver: 'all', left_out: 0, ...more });
    return [
      of('buffer-valve', 'works/buffer/valve/get', 0, { retained: 'none' }),
      of('buffer-valve', 'works/buffer/valve/set', 1),
      of('historian-export', '$share/export/plant/#', 1),
      of('historian-export', 'plant/+/+/state', 1, { retain_as_published: true }),
      of('historian-export', 'zigbee2mqtt/#', 1, { no_local: true }),
      of('historian-export', 'spBv1.0/#', 0),
      of('wallboard', 'plant/#', 1, { id: 7, origin: true, deliver: 'latest', left_out: 1412 }),
    ];
  }

  subscribersOf(topic: string): Json[] {
    return this.subscriptions().filter((s) => {
      const filter = String(s['filter']).replace(/^\$share\/[^/]+\//, '').split('/');
      const levels = topic.split('/');
      return filter.every((level, i) => level === '#' || (i < levels.length && (level === '+' || level === levels[i]))) && (filter.at(-1) === '#' || filter.length === levels.length);
    });
  }

  /** Messages in quarantine that were decided on. */
  readonly #decided = new Set<number>();

  violations(): Json {
    const at = this.now();
    const rule = (name: string, filter: string, more: Json): Json => ({ name, filter, description: '', durability: 'durable', mode: null, wishes: [], keep_s: null, keep_bytes: null, since_ms: at - 26 * 60 * MIN, matched: 0, broke: 0, in_quarantine: 0, offenders: [], others: 0, ...more });
    const offender = (client: string, topic: string, count: number, words: string, payload: string, ago: number): Json => ({ client, user: client === AUTO ? 'press-9' : client, topic, count, first_ms: at - 20 * 60 * MIN, last_ms: at - ago, words, payload, size: payload.length });
    const kept = this.quarantine('labels')['total'];
    return {
      in_quarantine: kept,
      pushed_out: 0,
      rules: [
        rule('labels', 'plant/+/labeller/#', {
          description: 'The label printer of line 2 is old and sends what it likes; look at it before it counts.',
          mode: 'quarantine',
          wishes: ['the payload is JSON that fits the schema', 'the payload has at most 4096 bytes'],
          matched: 8214,
          broke: 3,
          in_quarantine: kept,
          offenders: [offender('labeller-2', 'plant/line2/labeller/count', 2, 'the payload at /count: "n/a" is not a whole number', '{"count":"n/a"}', 3 * MIN), offender(AUTO, 'plant/line1/labeller/count', 1, 'the payload at /count: "n/a" is not a whole number', '{"count":"n/a"}', 22 * MIN)],
        }),
        rule('names', 'plant/#', {
          keep_s: 7 * 24 * 3600,
          keep_bytes: 256 * 2 ** 20,
          mode: 'warn',
          wishes: ['the topic has the levels line, machine behind the first one', 'its levels match [a-z0-9_-]+'],
          matched: 1_204_331,
          broke: 41,
          offenders: [offender('packer-4', 'plant/line1/Packer 4/state', 40, 'level 3 (machine) "Packer 4" does not match [a-z0-9_-]+', '"running"', 40_000), offender('wallboard', 'plant/test', 1, 'the topic has 2 levels, and the level "machine" is missing', 'hello', 19 * 60 * MIN)],
        }),
        rule('vibration', 'plant/+/+/vibration', { durability: 'volatile', description: 'Fast and of no use an hour later.', matched: 4_880_112 }),
      ],
    };
  }

  quarantine(rule: string | null): { messages: Json[]; total: number } {
    const at = this.now();
    const message = (number: number, payload: string, ago: number): Json => ({ number, rule: 'labels', words: 'the payload at /count: "n/a" is not a whole number', topic: 'plant/line2/labeller/count', client: 'labeller-2', user: 'labeller-2', received_ms: at - ago, qos: 1, retain: number === 31_007, newer_retained_ms: number === 31_007 ? at - 4 * MIN : null, preview: payload, size: payload.length, alike: 0 });
    const all = [message(40_211, '{"count":"n/a"}', 3 * MIN), { ...message(39_880, '{"count":"n/a"}', 22 * MIN), topic: 'plant/line1/labeller/count', client: AUTO, user: 'press-9' }, message(31_007, '{"count":"n/a","batch":"B-1127"}', 19 * 60 * MIN)];
    const messages = rule === null || rule === 'labels' ? all.filter((m) => !this.#decided.has(Number(m['number']))) : [];
    for (const one of messages) one['alike'] = messages.filter((m) => m['user'] === one['user']).length;
    return { messages, total: messages.length };
  }

  /** Throws away all of a rule, or of the publisher of one, up to a number. */
  discardAll(rule: string | null, like: number | null, upTo: number): number | null {
    const { messages } = this.quarantine(rule);
    const one = messages.find((m) => m['number'] === like);
    if (like !== null && !one) return null;
    const meant = messages.filter((m) => Number(m['number']) <= upTo && (!one || m['user'] === one['user']));
    for (const m of meant) this.#decided.add(Number(m['number']));
    return meant.length;
  }

  decide(number: number): boolean {
    const there = this.quarantine(null).messages.some((m) => m['number'] === number);
    this.#decided.add(number);
    return there;
  }

  /** The words of the server's dry run, for a few cases. */
  permission(body: Json, devices: readonly Json[]): Json | null {
    const name = String(body['client'] ?? body['user'] ?? '');
    if (name === '') return { user: null, client: null, verdict: { allowed: false, reason: 'Clients without credentials are not let in', checks: [{ ok: false, text: 'Clients without credentials are not let in' }] } };
    const device = devices.find((d) => d['user'] === name);
    if (!device) return null;
    const wish = String(body['wish']);
    const topic = String(body['topic']);
    const filters = (wish === 'publish' ? device['publish'] : device['subscribe']) as string[];
    const covering = filters.find((f) => f === topic || (f.endsWith('/#') && topic.startsWith(f.slice(0, -1))) || f === '#');
    const checks = [{ ok: true, text: `"${name}" is a device with a credential` }];
    if (covering) checks.push({ ok: true, text: wish === 'publish' ? `Its topic filter "${covering}" lets it publish there` : `Its topic filter "${covering}" covers it` });
    else checks.push({ ok: false, text: `None of the topic filters that it may ${wish === 'publish' ? 'publish to matches' : 'subscribe to covers all of it'}: ${filters.map((f) => `"${f}"`).join(', ') || 'none'}` });
    return { user: name, client: name, verdict: { allowed: covering !== undefined, reason: checks.at(-1)?.text ?? '', checks } };
  }
}
