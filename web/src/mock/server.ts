// The mock's server side: answers the agreed HTTP interface from the made-up plant. Knows nothing of fetch or sockets.

import { aggregate, csv, sql, type Point } from './history';
import { MockBroker } from './mqtt';
import { MockEnergy } from './energy';
import { MockMaintenance } from './maintenance';
import { MockOee } from './oee';
import { MockOrders } from './orders';
import { MockReports } from './reports';
import { MockShift } from './shift';
import { MockStock } from './stock';
import { MockTools } from './tools';
import { MockVessels } from './vessels';
import { MockTrace } from './trace';
import { alarmDefs, equipment, levelWord, noise, tags, type MockAlarm, type MockTag } from './plant';

type Json = Record<string, unknown>;
export interface Answer {
  status: number;
  body?: unknown;
  delay?: number;
  /** Not JSON. */
  text?: { type: string; content: string };
}

const GOOD = 0;
const NO_COMMUNICATION = 0x80310000;
const UNITS_EXCEEDED = 0x40940000;
const MIN = 60_000;

const FOUND_DOCUMENT = `[[equipment]]
path = "works/nord/line3/filler/plc1/Motor"
level = "work_unit"

[[tag]]
path = "works/nord/line3/filler/plc1/Motor/speed"
type = "double"
description = "Sparkplug line3/filler/plc1/Motor/speed"

[[tag]]
path = "works/nord/line3/filler/plc1/Motor/on"
type = "boolean"
description = "Sparkplug line3/filler/plc1/Motor/on"

[[connector]]
name = "floor"
type = "sparkplug_host"
host_id = "andon"
groups = ["line3"]
place = "works/nord/line3"

[[connector.metric]]
tag = "works/nord/line3/filler/plc1/Motor/speed"
node = "line3/filler"
device = "plc1"
metric = "Motor/speed"

[[connector.metric]]
tag = "works/nord/line3/filler/plc1/Motor/on"
node = "line3/filler"
device = "plc1"
metric = "Motor/on"
`;

/** Tags that show what a bad, an uncertain and a silent value look like. */
const BAD_SINCE = 23 * MIN;
const badTag = 'works/nord/bottling/line2/labeller/glue_temperature';
const badTag2 = 'works/nord/bottling/line2/labeller/web_speed';
const silentTag = 'works/nord/utilities/energy/chiller/return_temperature';
const uncertainTag = 'works/nord/bottling/line1/filler/temperature';
/** Written days ago, and still good. */
const oldTag = 'works/nord/bottling/line1/filler/pressure_sp';
/** Bad for a second in fifty, where the plant is flaky. */
const flakyTag = 'works/nord/bottling/line1/filler/flow';
const gapTag = 'works/nord/bottling/line1/filler/pressure';

interface AlarmStatus {
  def: MockAlarm;
  occurrence: string;
  state: 'normal' | 'unacknowledged' | 'acknowledged' | 'returned_to_normal_unacknowledged';
  value: unknown;
  raised: number;
  changed: number;
  by: string | null;
}

export interface MockUser {
  id: string;
  name: string;
  enabled: boolean;
  grants: { role: string; branch: string }[];
  last_login_ms: number | null;
}

/** A value in the line of an event, as the server writes it: a word of the tag, or all digits with the unit. */
function written(path: string, value: unknown): string {
  const tag = tags.find((t) => t.path === path);
  return tag?.states[String(Number(value))] ?? `${String(value)}${tag?.symbol ? `\u202f${tag.symbol}` : ''}`;
}

/** A command that fits the tag: switched over, or a step up or down within what may be written. */
export function madeUp(tag: MockTag, i: number): { value: number | boolean; before: number | boolean } {
  const now = tag.value(0);
  if (typeof now !== 'number') return { value: i % 2 === 0, before: i % 2 !== 0 };
  const [min, max] = [tag.write?.min ?? tag.range?.[0] ?? 0, tag.write?.max ?? tag.range?.[1] ?? 100];
  const at = (step: number): number => Number(Math.min(max, Math.max(min, now + ((step % 3) - 1) * (max - min) / 8)).toFixed(tag.digits ?? 0));
  return { value: at(i), before: at(i + 2) };
}

const ROLES = ['viewer', 'operator', 'engineer', 'administrator'];
export const PASSWORD = 'lantern-light';

export class MockServer {
  readonly start: number;
  readonly listeners = new Set<(message: Json) => void>();
  user: MockUser | null = null;
  setupNeeded = false;
  empty = false;
  /** Its history begins half a minute before the page was opened, as after a first start. */
  young = false;
  /** A device loses a reading now and then, and another has been silent for half an hour. */
  flaky = false;
  /** Andon was started a moment ago, and no source has brought anything since. */
  restarted = false;
  /** Nothing new happens. */
  calm = false;
  /** A device sent late what it had measured in the middle of the gap. */
  late = false;
  /** Every name has 60 characters. */
  long = false;
  #titled(title: string): string {
    return this.long ? `${title}, north hall, upper gallery, second bay, beside the crane`.padEnd(60, ' II').slice(0, 60) : title;
  }
  #overrides = new Map<string, { at: number; value: unknown }[]>();
  #alarms: AlarmStatus[] = [];
  #extra: Json[] = [];
  #events: Json[] = [];
  #deleted: { tag: string; from: number; to: number }[] = [];
  /** The disk is full and a file is damaged. */
  sick = false;
  /** That file was given up. */
  givenUp = false;
  #seq = 4000;
  #ids = 0;
  readonly broker: MockBroker;
  readonly oee: MockOee;
  readonly orders: MockOrders;
  readonly trace: MockTrace;
  readonly stock: MockStock;
  readonly tools: MockTools;
  readonly vessels: MockVessels;
  readonly energy: MockEnergy;
  readonly reports: MockReports;
  readonly maintenance: MockMaintenance;
  readonly shift: MockShift;
  readonly users: MockUser[];
  readonly tokens: Json[];
  readonly devices: Json[];
  /** Whether the settings name who issues certificates. */
  certificatesAskedFor = true;

  /** `start`: when the plant began; a page that is loaded again finds the same plant. */
  constructor(
    readonly now: () => number,
    start: number = now(),
    manyOrders = 0,
  ) {
    this.start = start;
    this.broker = new MockBroker(start, now);
    this.orders = new MockOrders(start, now, () => this.user?.name ?? '', (action, path) => this.#may(action, path), manyOrders);
    this.trace = new MockTrace(start, now, () => this.user?.id ?? '', (action, path) => this.#may(action, path));
    this.stock = new MockStock(this.trace, () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }));
    this.energy = new MockEnergy(start, now, (action, path) => this.#may(action, path));
    this.reports = new MockReports(start, now, () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }), (action, path) => this.#may(action, path), (path, query) => {
      const told = this.#inside('GET', path, new URLSearchParams(query), {});
      return told.status === 200 ? told.body : undefined;
    });
    this.vessels = new MockVessels(this.trace, () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }));
    this.tools = new MockTools(start, now, () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }), (action, path) => this.#may(action, path));
    this.maintenance = new MockMaintenance(start, now, () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }), (action, path) => this.#may(action, path), (name, occurrence) => this.#standing(name, occurrence));
    this.oee = new MockOee(start, now, { on: (path) => this.orders.on(path), counts: (path) => this.orders.counts(path) });
    // As on a node: a topic is seen by whoever sees everything, or all the tags that it becomes.
    this.broker.sees = (tags) => this.#may('view') || (tags.length > 0 && tags.every((tag) => this.#may('view', tag)));
    this.users = [
      { id: 'u1', name: 'admin', enabled: true, grants: [{ role: 'administrator', branch: '' }], last_login_ms: this.start - 3 * MIN },
      { id: 'u2', name: 'operator', enabled: true, grants: [{ role: 'operator', branch: 'works/nord/bottling' }, { role: 'viewer', branch: '' }], last_login_ms: this.start - 90 * MIN },
      { id: 'u3', name: 'viewer', enabled: true, grants: [{ role: 'viewer', branch: '' }], last_login_ms: null },
      { id: 'u4', name: 'k.brandt', enabled: false, grants: [{ role: 'engineer', branch: 'works' }], last_login_ms: this.start - 40 * 24 * 60 * MIN },
      { id: 'u5', name: 'line1', enabled: true, grants: [{ role: 'engineer', branch: 'works/nord/bottling/line1' }], last_login_ms: null },
    ];
    this.tokens = [{ id: 't1', name: 'grafana', grants: [{ role: 'viewer', branch: '' }], created_ms: this.start - 9 * 24 * 60 * MIN }];
    this.devices = [
      { id: 'd1', user: 'kitchen-sensor', client_id: 'kitchen-sensor', certificate: null, scram: true, publish: ['linde/kitchen/#'], subscribe: [], operate: null, created_ms: this.start - 30 * 24 * 60 * MIN },
      { id: 'd3', user: 'filler-gateway', client_id: null, certificate: String(this.certificate('filler-gateway', 12)['sha256']), certificate_entered: this.certificate('filler-gateway', 12), scram: true, publish: ['works/bottling/filler/#'], subscribe: [], operate: null, created_ms: this.start - 200 * 24 * 60 * MIN },
      { id: 'd2', user: 'buffer-valve', client_id: null, certificate: 'buffer-valve.works.example', certificate_entered: this.certificate('buffer-valve.works.example', 300), scram: true, publish: ['works/buffer/#'], subscribe: ['works/buffer/valve/set'], operate: 'works/nord/utilities/energy/buffer', created_ms: this.start - 3 * 24 * 60 * MIN },
    ];
    this.#history();
    this.shift = new MockShift(start, now, {
      may: (action, path) => this.#may(action, path),
      me: () => ({ id: this.user?.id ?? '', name: this.user?.name ?? '' }),
      nameOf: (id) => this.users.find((user) => user.id === id)?.name ?? null,
      jobs: () => (this.orders.empty ? [] : this.orders.jobs),
      alarms: () => this.alarmList(),
    });
  }

  /** What a certificate says that was issued half a year ago and ends in so many days. */
  certificate(name: string, days: number): Json {
    const sha256 = [...name].reduce((hex, c) => hex + c.charCodeAt(0).toString(16), '').padEnd(64, '9c').slice(0, 64);
    const day = 24 * 60 * MIN;
    return { common_name: name, subject: `CN=${name}, O=Linde works`, issuer: 'CN=Linde works devices, O=Linde works, C=DE', sha256, not_before_ms: this.start - 180 * day, not_after_ms: this.start + days * day };
  }

  /** As the server looks at one, by what stands in the text. */
  #checkCertificate(pem: string): Answer {
    const bad = (detail: string, remedy?: string): Answer => problem(400, 'this is no certificate for a device', detail, remedy);
    if (!this.certificatesAskedFor) return problem(409, 'MQTT clients are asked for no certificate here', 'a device that is bound to one could not come', 'name the file with the certificates of those who issue your devices\', as [mqtt] client_ca in the settings, and start again');
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) return bad('there is no certificate in it: one in PEM form begins with -----BEGIN CERTIFICATE-----');
    if (pem.includes('STRANGER')) return bad('nobody whose certificates count here has issued it: it is from CN=Elsewhere', '[mqtt] client_ca in the settings says whose count; certificates between may be entered below it');
    const name = /CN=(\S+)/.exec(pem)?.[1] ?? 'filler-7.works.example';
    const device = this.devices.find((d) => d['certificate'] === name)?.['user'] ?? null;
    return ok({ certificate: this.certificate(name, 365), device });
  }

  id(): string {
    this.#ids += 1;
    return `0192f0c0-0000-7000-8000-${String(this.#ids).padStart(12, '0')}`;
  }

  // Values

  valueAt(tag: MockTag, t: number): unknown {
    const writes = this.#overrides.get(tag.path);
    const last = writes?.findLast((w) => w.at <= t);
    return last ? last.value : tag.value(t);
  }

  get #silentSince(): number {
    return this.start - (this.flaky ? 30 : 4) * MIN;
  }

  codeAt(path: string, t: number): number {
    if ((path === badTag || path === badTag2) && t > this.start - BAD_SINCE) return NO_COMMUNICATION;
    if (this.flaky && path === flakyTag && Math.floor(t / 1000) % 50 === 7) return NO_COMMUNICATION;
    if (path === uncertainTag && noise(t / (7 * MIN), 3) > 0.7) return UNITS_EXCEEDED;
    return GOOD;
  }

  live(tag: MockTag, now: number): unknown[] {
    let t = Math.floor(now / tag.period) * tag.period;
    if (tag.path === oldTag) t = this.#overrides.get(tag.path)?.at(-1)?.at ?? this.start - 75 * 60 * MIN;
    if (tag.path === silentTag) t = this.#silentSince;
    const code = this.codeAt(tag.path, t);
    if (code === NO_COMMUNICATION) return [tag.path, null, code, this.start - BAD_SINCE, t];
    const value = this.valueAt(tag, t);
    return [tag.path, typeof value === 'number' ? Math.round(value * 1e4) / 1e4 : value, code, t, t];
  }

  // Alarms

  #active(def: MockAlarm, value: unknown): boolean {
    const n = typeof value === 'boolean' ? Number(value) : value;
    if (typeof n !== 'number') return false;
    if (def.condition === 'high') return n >= (def.limit ?? Infinity);
    if (def.condition === 'low') return n <= (def.limit ?? -Infinity);
    return n === def.equals;
  }

  #history(): void {
    const now = this.start;
    const connection = (at: number, name: string, connected: boolean, reason: string): void =>
      this.#note(at, 'connection', '', { id: '', kind: 'system', name: null }, connected ? `${name} connected` : `${name} lost: ${reason}`, connected ? 0 : 3, { protocol: 'modbus', name, connected, reason });
    this.#note(now - 170 * MIN, 'system', '', { id: '', kind: 'system', name: null }, 'Andon started', 0, { action: 'started', text: 'Version 0.1.0. The log was read to its end; nothing was lost.' });
    connection(now - 170 * MIN + 800, 'Line 1 PLC', true, '');
    connection(now - 170 * MIN + 1200, 'Line 2 labeller', true, '');
    this.#note(now - 160 * MIN, 'configuration', '', { id: 'u1', kind: 'person', name: 'admin' }, 'Plant model version 12 applied', 0, { version: 12, changes: ['~ alarm buffer/level:high', '+ tag chiller/return_temperature'], reason: 'Glycol circuit' });
    for (let i = 0; i < 60; i += 1) {
      const at = now - 150 * MIN + i * 110_000;
      const tag = tags.filter((t) => t.write && t.press === undefined)[i % 6];
      if (!tag) continue;
      const who = i % 3 ? 'operator' : 'admin';
      const failed = i % 7 === 3;
      const { value, before } = madeUp(tag, Math.floor(i / 6));
      this.#note(at, 'command', tag.path, { id: 'u2', kind: 'person', name: who }, `${tag.title} → ${written(tag.path, value)}, ${failed ? 'failed: no answer' : 'confirmed'}`, failed ? 3 : 0, { step: failed ? 'failed' : 'confirmed', value, before, reason: tag.write?.needs_reason ? 'Change of product' : null, via: 'ui' });
    }
    this.#note(now - 45 * MIN, 'user', '', { id: 'u1', kind: 'person', name: 'admin' }, 'Logged in', 0, { action: 'logged_in', from: '127.0.0.1' });
    connection(now - BAD_SINCE, 'Line 2 labeller', false, 'no answer for 3 s');
    for (const def of alarmDefs) {
      const tag = tags.find((t) => t.path === def.tag);
      if (!tag) continue;
      if (!this.#active(def, this.valueAt(tag, now))) continue;
      let raised = now;
      while (raised > now - 100 * MIN && this.#active(def, this.valueAt(tag, raised - 5000))) raised -= 5000;
      if (raised <= now - 100 * MIN) raised = now - (10 + noise(alarmDefs.indexOf(def), 5) * 80) * MIN;
      this.#raise(def, raised, this.valueAt(tag, raised), true);
    }
    const compressor = this.#alarms.find((a) => a.def.tag.endsWith('oil_temperature'));
    if (compressor) Object.assign(compressor, { state: 'acknowledged', by: 'operator', changed: compressor.raised + 64_000 });
    this.#events.sort((a, b) => Number(a['at_ms']) - Number(b['at_ms']));
    this.#events.forEach((e, i) => (e['seq'] = 1000 + i));
    this.#seq = 1000 + this.#events.length;
  }

  #raise(def: MockAlarm, at: number, value: unknown, silent = false): void {
    const known = this.#alarms.find((a) => a.def === def);
    const status: AlarmStatus = { def, occurrence: this.id(), state: 'unacknowledged', value, raised: at, changed: at, by: null };
    if (known) Object.assign(known, status);
    else this.#alarms.push(status);
    this.#alarmEvent(status, 'normal', at, silent);
  }

  #alarmEvent(a: AlarmStatus, from: string, at: number, silent = false, by: Json = { id: '', kind: 'system', name: null }): void {
    const acknowledged = `acknowledged${from === 'unacknowledged' ? '' : '; it was back to normal'}`;
    const words = {
      unacknowledged: `: ${written(a.def.tag, a.value)}`, acknowledged: ` ${acknowledged}`, returned_to_normal_unacknowledged: ' returned to normal, not yet acknowledged',
      normal: from === 'acknowledged' ? ' back to normal' : ` ${acknowledged}`,
    }[a.state];
    this.#note(at, 'alarm', a.def.tag, by, a.def.message + words, a.state === 'unacknowledged' ? a.def.priority : 0, { alarm: a.def.name, occurrence: a.occurrence, from, to: a.state, priority: a.def.priority, condition: a.def.condition, message: a.def.message, value: a.value, limit: a.def.limit }, silent);
  }

  #note(at: number, kind: string, path: string, by: Json, summary: string, severity: number, detail: Json, silent = true, about: number | null = null): void {
    this.#seq += 1;
    const event = { seq: this.#seq, id: this.id(), at_ms: Math.round(at), source_ms: about, kind, path, by, summary, severity, detail };
    this.#events.push(event);
    if (!silent) this.#tell({ t: 'event', event });
  }

  #tell(message: Json): void {
    for (const listener of this.listeners) listener(message);
  }

  #standing(name: string, occurrence: string): { equipment: string; message: string; raised: number } | null {
    const found = this.#alarms.find((a) => a.def.name === name && a.occurrence === occurrence && a.state !== 'normal');
    return found ? { equipment: found.def.tag.slice(0, found.def.tag.lastIndexOf('/')), message: found.def.message, raised: found.raised } : null;
  }

  alarmList(): Json[] {
    if (this.empty) return [];
    const shown = this.#alarms.filter((a) => a.state !== 'normal').map((a) => ({
      name: a.def.name, occurrence: a.occurrence, state: a.state, priority: a.def.priority, condition: a.def.condition, message: a.def.message,
      cause: a.def.cause, consequence: a.def.consequence, action: a.def.action, tag: a.def.tag, equipment: a.def.tag.slice(0, a.def.tag.lastIndexOf('/')),
      value: a.value, quality: 0, limit: a.def.limit, raised_ms: a.raised, changed_ms: a.changed, acknowledged_by: a.by,
    }));
    return [...shown, ...this.#extra];
  }

  /** Each second: new alarms, returned alarms. */
  tick(): void {
    if (this.calm) return;
    const now = this.now();
    let changed = false;
    for (const def of alarmDefs) {
      const tag = tags.find((t) => t.path === def.tag);
      if (!tag) continue;
      const value = this.valueAt(tag, now);
      const active = this.#active(def, value);
      const known = this.#alarms.find((a) => a.def === def);
      if (active && (!known || known.state === 'normal')) {
        this.#raise(def, now, value);
        changed = true;
      } else if (known && !active && (known.state === 'unacknowledged' || known.state === 'acknowledged')) {
        const from = known.state;
        known.state = from === 'acknowledged' ? 'normal' : 'returned_to_normal_unacknowledged';
        known.changed = now;
        known.value = value;
        this.#alarmEvent(known, from, now);
        changed = true;
      } else if (known && active && known.state === 'returned_to_normal_unacknowledged') {
        known.state = 'unacknowledged';
        known.occurrence = this.id();
        known.raised = known.changed = now;
        this.#alarmEvent(known, 'returned_to_normal_unacknowledged', now);
        changed = true;
      }
    }
    if (changed) this.#tell({ t: 'alarms', alarms: this.alarmList() });
  }

  /** Many events of one and the same millisecond, told in an order that the wire may bring. */
  burst(count: number): void {
    const at = this.now();
    const told: Json[] = [];
    for (let i = 1; i <= count; i += 1) {
      this.#note(at, 'system', '', { id: '', kind: 'system', name: null }, `Step ${i} of ${count}`, 0, { action: 'step' });
      const event = this.#events.at(-1);
      if (event) told.push(event);
    }
    for (const event of told.reverse()) this.#tell({ t: 'event', event });
  }

  /** Many alarms at once, for the windowed list. */
  flood(count: number): void {
    const now = this.now();
    this.#extra = Array.from({ length: count }, (_, i) => {
      const tag = tags[i % tags.length];
      return {
        name: `flood-${i}:high`, occurrence: `flood-${i}`, state: ['unacknowledged', 'acknowledged', 'returned_to_normal_unacknowledged'][i % 3], priority: (i % 4) + 1,
        condition: 'high', message: `Simulated alarm ${i} with a rather long text that has to be cut off somewhere`, cause: '', consequence: '', action: '',
        tag: tag?.path ?? '', equipment: '', value: i / 10, quality: 0, limit: 5, raised_ms: now - i * 7_000, changed_ms: now - i * 7_000, acknowledged_by: i % 3 === 1 ? 'operator' : null,
      };
    });
    this.#tell({ t: 'alarms', alarms: this.alarmList() });
  }

  #ack(body: Json, by: string): Json {
    const results: Json[] = [];
    for (const wish of (body['alarms'] as Json[] | undefined) ?? []) {
      const extra = this.#extra.find((a) => a['name'] === wish['name']);
      const a = this.#alarms.find((one) => one.def.name === wish['name'] && one.occurrence === wish['occurrence']);
      if (extra) {
        if (extra['state'] === 'returned_to_normal_unacknowledged') this.#extra = this.#extra.filter((a) => a !== extra);
        else Object.assign(extra, { state: 'acknowledged', acknowledged_by: by });
        results.push({ name: wish['name'], ok: true });
      } else if (!a || a.state === 'normal' || a.state === 'acknowledged') {
        results.push({ name: wish['name'], ok: false, detail: 'this occurrence is already acknowledged or gone' });
      } else {
        const from = a.state;
        a.state = from === 'unacknowledged' ? 'acknowledged' : 'normal';
        a.by = by;
        a.changed = this.now();
        this.#alarmEvent(a, from, a.changed, false, { id: this.user?.id, kind: 'person', name: by });
        results.push({ name: wish['name'], ok: true });
      }
    }
    this.#tell({ t: 'alarms', alarms: this.alarmList() });
    return { results };
  }

  // Connectors

  connectors(): Json[] {
    const now = this.now();
    const of = (name: string, title: string, state: string, since: number, more: Json): Json => ({
      name, title, kind: 'modbus', enabled: state !== 'disabled', state, since_ms: since, latency_ms: null, samples_per_s: 0, requests: 0, errors: 0, last_error: null, endpoint: '', tags: 0, ...more,
    });
    const requests = Math.floor((now - this.start) / 250) + 40_000;
    return [
      of('line1-plc', 'Line 1 PLC', 'connected', this.start - 170 * MIN, { latency_ms: 3.2 + noise(now / 1000, 4), samples_per_s: 14.2, requests, errors: 0, endpoint: 'tcp://10.20.1.11:502', tags: 15 }),
      of('line2-plc', 'Line 2 PLC', 'connected', this.start - 170 * MIN, { latency_ms: 4.1 + noise(now / 1000, 9), samples_per_s: 11.9, requests: requests - 800, errors: 2, endpoint: 'tcp://10.20.1.12:502', tags: 12, last_error: { at_ms: this.start - 61 * MIN, text: 'no answer to "holding registers 100 to 111" within 500 ms', remedy: 'check unit_id (gateways answer only for the units behind them), or raise timeout if the device is slow' } }),
      of('line2-labeller', 'Line 2 labeller', 'failed', this.start - BAD_SINCE, { requests: 9100, errors: 460, endpoint: 'tcp://10.20.1.31:502', tags: 2, last_error: { at_ms: now - (now % 3000), text: 'no connection to 10.20.1.31:502: the host cannot be reached', remedy: 'check that the device is on and on the network, that its Modbus TCP server is enabled, and that endpoint is its address and port' } }),
      of('energy', 'Energy and media', 'connecting', now - (now % 9000), { requests: 300, errors: 1, endpoint: 'tcp://10.20.2.5:502', tags: 13, latency_ms: null, samples_per_s: 0 }),
      of('packer', 'Packer', 'connected', this.start - 170 * MIN, { latency_ms: 5.5 + noise(now / 1000, 6), samples_per_s: 2, requests: requests - 30_000, errors: 1, endpoint: 'tcp://10.20.1.33:502', tags: 4, refused: 1, last_error: { at_ms: this.start - 9 * MIN, text: 'the device refused "read holding 12": exception 0x02 illegal data address', remedy: 'check `table` and `address` against the device\'s register map; addresses here count from zero' } }),
      of('floor', 'Line 3, Sparkplug', 'connected', this.start - 170 * MIN, { kind: 'sparkplug_host', samples_per_s: 6.4, endpoint: '1 of 2 edge nodes of line3', tags: 3 }),
      of('devices', 'Devices that announce themselves', 'connected', this.start - 170 * MIN, { kind: 'mqtt_discovery', endpoint: '4 devices under homeassistant: 1 value mapped, 2 proposed', tags: 1 }),
      of('to-head-office', 'To head office', 'failed', this.start - 42 * MIN, { kind: 'mqtt_bridge', errors: 44, endpoint: 'mqtts://broker.example.com:8883', last_error: { at_ms: now - (now % 60_000), text: 'broker.example.com:8883 cannot be reached: connection timed out', remedy: 'look whether the other side is running, at `endpoint`, and at the network in between' }, bridge: { waiting_messages: 48_210 + Math.floor((now - this.start) / 50), waiting_bytes: 6_310_000, oldest_ms: this.start - 42 * MIN, behind: true, sent: 1_204_000, received: 312, sent_per_s: 0, received_per_s: 0, last_success_ms: this.start - 42 * MIN, lost_messages: 0, not_sent: 96, looped: 0 } }),
      of('maintenance', 'Maintenance firm', 'connected', this.start - 170 * MIN, { kind: 'mqtt_bridge', latency_ms: 18.4, endpoint: 'mqtts://mqtt.service.example:8883', bridge: { waiting_messages: 1, waiting_bytes: 64, oldest_ms: now - 20, behind: false, sent: 20_411, received: 12, sent_per_s: 2 + noise(now / 1000, 5), received_per_s: 0, last_success_ms: now - 300, lost_messages: 0, not_sent: 0, looped: 0 } }),
      of('old-scale', 'Old scale', 'disabled', this.start - 9 * 24 * 60 * MIN, { endpoint: '/dev/ttyUSB0, 9600 8N1', tags: 1 }),
    ];
  }

  /** What devices announced: one of each state, two of them of one name. */
  announced(): Json {
    const one = (place: string, kind: string, type: string | null, state: string, more: Json): Json => ({
      place, data_type: kind, tag_type: type, state, tag: null, why: '', transient: false, value: null, quality: 'BadWaitingForInitialData', at_ms: 0, ...more,
    });
    const pump = 'homeassistant/sensor/pump/temperature/config: Cellar pump / Temperature';
    return {
      nodes: [],
      more_nodes: 0,
      more: 12,
      document: FOUND_DOCUMENT.slice(0, FOUND_DOCUMENT.indexOf('[[connector]]')) + '[[topic]]\nfilter = "pump/temperature"\nformat = "template"\nfields = [{ template = "{{ value }}", tag = "home/cellar/pump/temperature", optional = true }]\n',
      values: [
        one(pump, 'sensor temperature', 'double', 'proposed', { tag: 'home/cellar/pump/temperature' }),
        one(pump, 'sensor temperature', 'double', 'same', { tag: 'home/cellar/pump/temperature', why: 'the same value is proposed as homeassistant/sensor/pump/temperature/config announced it' }),
        one('homeassistant/switch/valve/config: Valve / Valve', 'switch', 'boolean', 'proposed', { tag: 'home/cellar/valve/valve', why: 'not writable: the topic boiler/relay/command commands the tag home/cellar/boiler/relay already' }),
        one('homeassistant/switch/boiler/relay/config: Boiler room / Relay', 'switch', 'boolean', 'refused', { why: 'homeassistant/switch/boiler/relay/config and homeassistant/switch/guest/config both report the topic boiler/relay and want it commanded differently: whose it is cannot be told, so map it by hand, or remove one of the two' }),
        one('homeassistant/binary_sensor/stairs/config: Stairs / Motion', 'binary_sensor motion', null, 'not understood', { why: 'that it goes off by itself after `off_delay` cannot be mapped: it would stay on for ever' }),
        one('zigbee2mqtt/Living room/Lamp: Lamp / State', 'light binary', 'boolean', 'mapped', { tag: 'home/living_room/lamp/state', value: true, quality: 'Good', at_ms: this.start - 3 * MIN }),
        one('homeassistant/sensor/old/config: Old meter / Power', 'sensor power', 'double', 'gone', { tag: 'home/cellar/meter/power', why: 'it was taken back' }),
      ],
    };
  }

  /** What the Sparkplug host hears: an edge node that is well, one that is gone, and metrics of every sort. */
  found(): Json {
    const now = this.now();
    const node = (device: string | null, online: boolean, since_ms: number, metrics: number, more: Json = {}): Json => ({ node: 'line3/filler', device, online, since_ms, metrics, births_asked: 0, trouble_at_ms: null, trouble: null, ...more });
    const value = (place: string, data_type: string, tag_type: string | null, value: unknown, more: Json = {}): Json => ({ place: `line3/${place}`, data_type, tag_type, state: tag_type === null ? 'not understood' : 'proposed', tag: null, why: tag_type === null ? 'no tag can have this type' : '', transient: false, value, quality: 'Good', at_ms: now - 4000, ...more });
    const gap = 'Messages of the Sparkplug edge node line3/palletiser are missing from number 117 on; it is asked to send everything again.';
    const many = Array.from({ length: 240 }, (_, i) => value(`filler/plc1/Valves/V${String(i + 1).padStart(3, '0')}/opened`, 'UInt32', 'int64', 4_000_000_000 - i * 7));
    return {
      nodes: [
        node(null, false, now - 44 * MIN, 6, { node: 'line3/palletiser', births_asked: 3, trouble_at_ms: now - 52 * MIN, trouble: gap }),
        node('robot', false, now - 44 * MIN, 31, { node: 'line3/palletiser' }),
        node(null, true, this.start - 120 * MIN, 4),
        node('plc1', true, this.start - 120 * MIN, 262),
        node('scale', true, this.start - 120 * MIN, 3),
      ],
      more_nodes: 0,
      values: [
        value('filler/bdSeq', 'UInt64', 'int64', 7),
        value('filler/plc1/Motor/speed', 'Double', 'double', 1480.25 + noise(now / 1000, 3)),
        value('filler/plc1/Motor/on', 'Boolean', 'boolean', true),
        value('filler/plc1/Recipe/name', 'String', 'string', 'Pils 0,5 l, 20er Kasten'),
        value('filler/plc1/Recipe/table', 'DataSet', null, null),
        value('palletiser/robot/Arm/torque', 'Float', 'double', null, { quality: 'BadNoCommunication', at_ms: now - 44 * MIN }),
        ...many,
        value('filler/scale/weight', 'Double', 'double', 12.5, { state: 'mapped' }),
      ],
      more: 0,
      document: FOUND_DOCUMENT,
    };
  }

  mqttClients(): Json[] {
    const t = Math.floor((this.now() - this.start) / 1000);
    const of = (client_id: string, user: string, connected: boolean, more: Json): Json => ({
      client_id, user, address: '10.20.3.7:49152', protocol: '5.0', connected, since_ms: this.start - 55 * MIN, subscriptions: 1, received: 0, sent: 0, queued: 0, dropped: 0, ...more,
    });
    return [
      of('kitchen-sensor', 'kitchen-sensor', true, { received: 12_400 + t, sent: 3 }),
      of('buffer-valve', 'buffer-valve', true, { protocol: '3.1.1', received: 4_100 + t, sent: 61, subscriptions: 2 }),
      of('historian-export', 'grafana', false, { queued: 1_240, sent: 80_221, subscriptions: 4, dropped: 0 }),
    ];
  }

  // HTTP

  #may(action: string, path = ''): boolean {
    const needed = { view: 0, acknowledge: 1, operate: 1, configure: 2, administer: 3 }[action] ?? 3;
    return (this.user?.grants ?? []).some((g) => ROLES.indexOf(g.role) >= needed && (g.branch === '' || path === g.branch || path.startsWith(`${g.branch}/`)));
  }

  #mayAnywhere(action: string): boolean {
    const needed = { acknowledge: 1, operate: 1, configure: 2, administer: 3 }[action] ?? 3;
    return (this.user?.grants ?? []).some((g) => ROLES.indexOf(g.role) >= needed);
  }

  plant(): Json {
    if (this.empty) return { version: 0, equipment: [], tags: [], alarms: [] };
    return {
      version: 12,
      equipment: equipment.map((e) => ({ ...e, title: this.#titled(e.title), level_word: levelWord(e.level, e.profile), parent: e.path.includes('/') ? e.path.slice(0, e.path.lastIndexOf('/')) : null })),
      tags: tags.map((t) => ({
        id: t.path, path: t.path, equipment: t.path.slice(0, t.path.lastIndexOf('/')), title: this.#titled(t.title), description: '', data_type: t.data_type, unit: t.unit, symbol: t.symbol, range: t.range,
        digits: t.digits, states: t.states, interpolation: t.interpolation, deviation: t.path.endsWith('line1/filler/flow') ? 0.5 : null, keep_days: t.path.includes('/line1/') ? 90 : t.path.endsWith('/energy') ? 0 : null, stale_after_ms: t.stale_after_ms, write: t.write, press: t.press ?? null, origin: 'waves and noise, made in the browser', source: { protocol: t.protocol, name: t.protocol === 'mqtt' ? 'house broker' : 'line1-plc' },
      })),
      alarms: alarmDefs.map((a) => ({ name: a.name, tag: a.tag, condition: a.condition, limit: a.limit, priority: a.priority, message: a.message })),
    };
  }

  history(path: string, from: number, to: number, maxPoints: number): Answer {
    const tag = tags.find((t) => t.path === path);
    if (!tag) return problem(404, 'No such tag', `There is no tag “${path}”.`);
    const now = this.now();
    const end = Math.min(to, tag.path === silentTag ? this.#silentSince : now);
    const born = this.young ? this.start - 30_000 : -Infinity;
    const step = Math.max(tag.period, Math.ceil((to - Math.max(from, born)) / Math.max(maxPoints, 2) / tag.period) * tag.period);
    const gap = tag.path === gapTag ? { from_ms: this.start - 41 * MIN, to_ms: this.start - 37 * MIN, reason: 'Line 1 PLC was not connected' } : null;
    const points: Point[] = [];
    let last: unknown = undefined;
    for (let t = Math.ceil(Math.max(from, born) / step) * step; t <= end; t += step) {
      const late = this.late && t >= this.start - 39.5 * MIN && t <= this.start - 38.5 * MIN;
      if ((gap && t > gap.from_ms && t < gap.to_ms && !late) || this.#gone(path, t)) continue;
      const code = this.codeAt(path, t);
      const raw = code === NO_COMMUNICATION ? null : this.valueAt(tag, t);
      const value = typeof raw === 'number' ? Math.round(raw * 1e4) / 1e4 : raw;
      // A stepped tag reports by exception: only changes are stored.
      if (tag.interpolation === 'stepped' && code === GOOD && value === last) continue;
      last = value;
      points.push([t, value, code]);
      // As the server does: a bad reading is never thinned away.
      const lost = this.#badWithin(tag, t + tag.period, Math.min(t + step, end))[0];
      if (lost !== undefined) points.push([lost, null, NO_COMMUNICATION]);
    }
    const beforeAt = Math.ceil(from / step) * step - step;
    return ok({ tag: path, from_ms: from, to_ms: to, points, before: beforeAt < born || this.#gone(path, beforeAt) || (gap && beforeAt > gap.from_ms && beforeAt < gap.to_ms) ? null : [beforeAt, this.valueAt(tag, beforeAt), this.codeAt(path, beforeAt)], thinned: step > tag.period, complete_to_ms: end, gaps: gap && gap.to_ms > from && gap.from_ms < to ? [gap] : [] });
  }

  /** The times of bad readings from `from` to `to`, which is not one of them. */
  #badWithin(tag: MockTag, from: number, to: number): number[] {
    const found: number[] = [];
    if (this.flaky && tag.path === flakyTag) for (let t = Math.ceil(from / tag.period) * tag.period; t < to; t += tag.period) if (this.codeAt(tag.path, t) === NO_COMMUNICATION) found.push(t);
    return found;
  }

  #gone(path: string, at: number): boolean {
    return this.#deleted.some((d) => d.tag === path && at >= d.from && at < d.to);
  }

  /** What history has of a tag, the value before it first. */
  points(path: string, from: number, to: number, most: number): Point[] {
    const answer = this.history(path, from, to, most).body as { points: Point[]; before: Point | null; gaps: { from_ms: number; to_ms: number }[] };
    const gap = answer.gaps.map((g): Point => [g.from_ms, null, 0x80ae0000]);
    return [...(answer.before ? [answer.before] : []), ...answer.points, ...gap].sort((a, b) => a[0] - b[0]);
  }

  #aggregate(query: URLSearchParams): Answer {
    const path = query.get('tag') ?? '';
    const tag = tags.find((t) => t.path === path);
    if (!tag) return problem(404, 'No such tag', `There is no tag “${path}”.`);
    const [from, to] = [Number(query.get('from_ms')), Number(query.get('to_ms'))];
    if (!(to > from)) return problem(400, 'Not understood', 'the range runs backwards');
    const stepped = query.has('stepped') ? query.get('stepped') === 'true' : tag.data_type !== 'double';
    const interval = Number(query.get('interval_ms') ?? 0);
    if (interval > 0) {
      const values: unknown[] = [];
      for (let at = from; at < to; at += interval) values.push([at, this.#badWithin(tag, at, Math.min(at + interval, to)).length * tag.period, 0x401]);
      return { ...ok({ tag: path, aggregate: query.get('aggregate'), from_ms: from, to_ms: to, interval_ms: interval, stepped, values, complete_to_ms: this.now() - 900, gaps: [] }), delay: 30 };
    }
    const value = aggregate(query.get('aggregate') ?? '', this.points(path, from, to, 4000), from, Math.min(to, this.now(), path === silentTag ? this.#silentSince + 1 : Infinity), stepped);
    return { ...ok({ tag: path, aggregate: query.get('aggregate'), from_ms: from, to_ms: to, interval_ms: 0, stepped, values: [value], complete_to_ms: this.now() - 900, gaps: [] }), delay: 30 };
  }

  #deleteHistory(body: Json): Answer {
    const path = String(body['tag']);
    if (!this.#may('configure', path)) return problem(403, 'Not allowed', 'Deleting history needs the role engineer there.');
    if (!String(body['reason'] ?? '').trim()) return problem(400, 'Not understood', '"reason" is empty: say why this history has to go');
    const [from, to] = [Number(body['from_ms']), Number(body['to_ms'])];
    this.#deleted.push({ tag: path, from, to });
    const text = `history of ${path} from ${new Date(from).toISOString()} to ${new Date(to).toISOString()} deleted: ${String(body['reason'])}`;
    this.#note(this.now(), 'system', path, { id: this.user?.id, kind: 'person', name: this.user?.name }, text, 0, { action: 'history_deleted', text }, false);
    return { status: 204, delay: 300 };
  }

  #storage(): Json {
    const age = this.now() - this.start;
    const fresh = this.empty || this.young;
    return {
      points: fresh ? 0 : 184_203_911 + Math.floor(age / 30_000) * 4_200, file_bytes: fresh ? 0 : 287_358_100, rollup_bytes: fresh ? 0 : 21_004_800, files: fresh ? 0 : 96, bytes_per_point: fresh ? null : 1.56,
      buffered_points: 3_100 + (Math.floor(age / 1000) % 30) * 140, buffered_bytes: 74_400 + (Math.floor(age / 1000) % 30) * 3_360, frames_behind: this.sick ? 8_214 : 0, complete_to_ms: this.sick ? this.start - 19 * MIN : this.now() - 800,
      points_per_s_now: 140.2, points_per_s_minute: 139.6, points_per_s_hour: fresh ? 141 : 118.4, merges_waiting: this.sick ? 4 : 0, tidied_ms: this.sick ? this.start - 21 * MIN : fresh ? null : this.now() - (age % (5 * MIN)) - 20_000,
      points_taken: 2_611_090 + Math.floor(age / 1000) * 140, points_left_out: fresh ? 0 : 401_300, bytes_written: fresh ? 0 : 11_400_200, write_amplification: fresh ? null : this.sick ? 5.2 : 1.83, flushes: fresh ? 0 : 41, merges: fresh ? 0 : 6, deletes: this.#deleted.length,
      damage: this.sick && !this.givenUp ? this.#damage() : [], given_up: this.givenUp ? this.#damage() : [], last_error: this.sick ? 'could not write history/2026-11-25/00000000000004c8.parquet: no space left on device' : null,
      retention: this.#retention(fresh), sources: this.#sources(),
    };
  }

  #damage(): Json[] {
    const day = this.start - (this.start % (24 * 60 * MIN)) - 4 * 24 * 60 * MIN;
    return [{ file: 'history/2026-11-21/00000000000004a1.parquet', holds: 'readings', from_ms: day, to_ms: day + 24 * 60 * MIN - 1000, readings: 2_419_200, what: 'the history file history/2026-11-21/00000000000004a1.parquet is damaged: row group 3 does not fit its checksum' }];
  }

  #retention(fresh: boolean): Json[] {
    const past = (points: number): number | null => (fresh ? null : points);
    const line1 = tags.filter((t) => t.path.includes('/line1/')).length;
    const rest = { keep_days: 730, default: true, branches: [], branches_left_off: 0, tags: this.empty ? 0 : tags.length - line1, points_past: past(0) };
    if (this.empty) return [rest];
    return [
      { keep_days: 90, default: false, branches: ['works/nord/bottling/line1'], branches_left_off: 0, tags: line1, points_past: past(41_300) },
      { ...rest, tags: rest.tags - 3 },
      { keep_days: 0, default: false, branches: ['works/nord/utilities/energy/meter/total', 'works/nord/utilities/energy/meter/gas', 'home/energy/total'], branches_left_off: 0, tags: 3, points_past: 0 },
    ];
  }

  #sources(): Json[] {
    if (this.empty || this.restarted) return [];
    const now = this.now();
    const source = (kind: string, name: string, title: string, behind: number, stored = 300): Json => ({ kind, name, title, came_to_ms: now - behind, durable_to_ms: now - behind - stored, received_ms: now - behind, behind_ms: behind });
    const import_ms = this.start - 40 * 24 * 60 * MIN;
    return [
      source('modbus', 'line1-plc', 'Line 1 PLC', 200),
      source('modbus', 'line2-plc', 'Line 2 PLC', now - (this.start - 31 * MIN), 0),
      { kind: 'modbus', name: 'chiller', title: 'Chiller on the roof', came_to_ms: null, durable_to_ms: null, received_ms: null, behind_ms: null },
      source('mqtt', '', '', 1_400),
      source('http', '', '', 64_000, 0),
      { kind: 'import', name: '', title: '', came_to_ms: import_ms, durable_to_ms: import_ms, received_ms: this.start - 50 * MIN, behind_ms: null },
    ];
  }

  /** What the page of reports asks: alarms raised at or below a path, by priority, or by alarm. */
  #alarmCounts(query: string): Answer | null {
    const asked = /^SELECT severity, (.*?)FROM events WHERE kind = 'alarm' AND severity > 0 AND at >= '(.*?)' AND at < '(.*?)'(?: AND \(path = '(.*?)')?/.exec(query);
    if (!asked) return null;
    const [from, to, path] = [Date.parse(asked[2] ?? ''), Date.parse(asked[3] ?? ''), asked[4] ?? ''];
    const each = (asked[1] ?? '').includes('message');
    const counts = new Map<string, [...(string | number)[], number]>();
    for (const event of this.empty ? [] : this.#events) {
      const [at, where] = [Number(event['at_ms']), String(event['path'])];
      if (event['kind'] !== 'alarm' || Number(event['severity']) === 0 || at < from || at >= to || (path !== '' && where !== path && !where.startsWith(`${path}/`))) continue;
      const key = each ? [Number(event['severity']), String((event['detail'] as Json)['message']), where] : [Number(event['severity'])];
      const known = counts.get(key.join()) ?? [...key, 0];
      counts.set(key.join(), [...known.slice(0, -1), Number(known.at(-1)) + 1] as [...(string | number)[], number]);
    }
    const names = each ? ['severity', 'message', 'path', 'raised'] : ['severity', 'raised'];
    const rows = [...counts.values()].sort((a, b) => Number(a[0]) - Number(b[0]) || Number(b.at(-1)) - Number(a.at(-1)));
    return ok({ columns: names.map((name) => ({ name, type: name === 'message' || name === 'path' ? 'text' : 'bigint' })), rows });
  }

  #sql(body: Json): Answer {
    const counted = this.#alarmCounts(String(body['query'] ?? ''));
    if (counted) return counted;
    const now = this.now();
    const answer = sql(String(body['query'] ?? ''), {
      now,
      paths: this.empty ? [] : tags.map((t) => t.path),
      unitOf: (path) => tags.find((t) => t.path === path)?.symbol ?? null,
      points: (path, from, to) => this.points(path, from, to, 4000).map(([at, value, code]) => [at, typeof value === 'number' ? Math.round(value * 1e4) / 1e4 : value, code]),
    });
    if ('refused' in answer) return problem(400, 'the statement has no answer', answer.refused);
    if (body['format'] === 'csv') return { status: 200, delay: answer.delay, text: { type: 'text/csv', content: csv(answer.ok) } };
    return { ...ok(answer.ok), delay: answer.delay };
  }

  #timeline(query: URLSearchParams): Answer {
    const from = Number(query.get('from_ms') ?? 0);
    const to = Number(query.get('to_ms') ?? Infinity);
    const kinds = query.get('kind')?.split(',') ?? null;
    const path = query.get('path') ?? '';
    const before = Number(query.get('before') ?? Infinity);
    const limit = Number(query.get('limit') ?? 100);
    const found = (this.empty ? [] : this.#events)
      .filter((e) => [e['at_ms'], ...(e['kind'] === 'note' ? [e['source_ms']] : [])].some((at) => Number(at) >= from && Number(at) <= to) && Number(e['seq']) < before)
      .filter((e) => !kinds || kinds.includes(String(e['kind'])))
      .filter((e) => !path || e['path'] === path || String(e['path']).startsWith(`${path}/`))
      .sort((a, b) => Number(b['seq']) - Number(a['seq']));
    const page = found.slice(0, limit);
    return ok({ events: page, next: found.length > limit ? page.at(-1)?.['seq'] : null });
  }

  #writeNote(body: Json): Answer {
    const path = String(body['path'] ?? '');
    if (!this.#may('acknowledge', path)) return problem(403, 'Not allowed', 'Writing a note needs the role operator there.');
    const text = String(body['text'] ?? '').trim();
    if (!text || text.length > 2000) return problem(400, 'Bad request', `"text" has ${text.length} characters; write 1 to 2000`);
    const until = body['until_ms'];
    this.#note(this.now(), 'note', path, { id: this.user?.id, kind: 'person', name: this.user?.name }, text, 0, { text, until: typeof until === 'number' ? until * 1000 : null }, false, Number(body['at_ms'] ?? this.now()));
    return { status: 201, body: this.#events.at(-1) };
  }

  #command(body: Json): Answer {
    const tag = tags.find((t) => t.path === body['tag']);
    if (!tag?.write) return problem(404, 'Not writable', 'This tag cannot be written.');
    if (!this.#may('operate', tag.path)) return { status: 200, body: { id: this.id(), outcome: 'refused', read_back: null, detail: 'not allowed: operate needs the role operator there' } };
    const value = body['value'];
    const by = { id: this.user?.id, kind: 'person', name: this.user?.name };
    const before = this.valueAt(tag, this.now());
    const outcome = tag.outcome ?? 'confirmed';
    const detail = { failed: 'the device kept its old value: local control is switched on at the panel', unknown: 'no answer within 3 s', refused: 'interlock: the guard is open', expired: null, confirmed: null }[outcome];
    if (outcome === 'confirmed') {
      const writes = this.#overrides.get(tag.path) ?? [];
      writes.push({ at: this.now() + 500, value });
      this.#overrides.set(tag.path, writes);
    }
    setTimeout(() => this.#note(this.now(), 'command', tag.path, by, `${tag.title} → ${written(tag.path, value)}, ${outcome}${detail === null ? '' : `: ${detail}`}`, { confirmed: 0, failed: 3, unknown: 3, refused: 4, expired: 4 }[outcome], { step: outcome, value, before, reason: body['reason'] ?? null, via: 'ui', detail }, false), 900);
    return { status: 200, delay: 1000, body: { id: this.id(), outcome, read_back: outcome === 'confirmed' ? value : outcome === 'failed' ? before : null, detail } };
  }

  #session(): Json {
    const user = this.user;
    const may = (action: string): boolean => this.#mayAnywhere(action);
    return { user: { id: user?.id, name: user?.name, kind: 'person' }, grants: user?.grants, may: { acknowledge: may('acknowledge'), operate: may('operate'), configure: may('configure'), administer: may('administer') }, expires_ms: this.now() + 8 * 60 * MIN };
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json): Answer {
    if (path === '/api/status') {
      return ok({ name: 'Andon', version: '0.1.0', setup_needed: this.setupNeeded, demo: true, demo_text: 'Everything here is simulated in this browser: a bottling plant and a house, with waves and noise for values. Commands reach no device.', warnings: [] });
    }
    if (path === '/api/login') {
      const user = this.users.find((u) => u.name === body['name'] && u.enabled);
      if (!user || body['password'] !== PASSWORD) return problem(401, 'Log-in refused', 'Name or password is wrong.');
      return this.#in(user);
    }
    if (path === '/api/login-link') return body['code'] === 'once' ? this.#in(this.users[0]) : problem(401, 'Link refused', 'The link is used up or too old.');
    if (path === '/api/setup') {
      if (body['code'] !== 'AND-ON1') return problem(403, 'Wrong code', 'The set-up code is wrong or older than 15 minutes.', 'Start Andon again; it prints a new code.');
      this.setupNeeded = false;
      return this.#in(this.users[0]);
    }
    if (!this.user) return problem(401, 'Not logged in', 'Log in first.');
    return this.#inside(method, path, query, body);
  }

  #in(user: MockUser | undefined): Answer {
    this.user = user ?? null;
    return { status: 204 };
  }

  #inside(method: string, path: string, query: URLSearchParams, body: Json): Answer {
    const now = this.now();
    this.oee.empty = this.empty;
    const told = this.oee.handle(method, path, query, body, (deed, branch) => this.#may(deed, branch), this.user?.name ?? '');
    if (told) return told;
    const made = path.startsWith('/api/mes/') ? (this.vessels.handle(method, path, query, body) ?? this.reports.handle(method, path, query, body) ?? this.energy.handle(method, path, query) ?? this.maintenance.handle(method, path, query, body) ?? this.tools.handle(method, path, query, body) ?? this.stock.handle(method, path, query, body) ?? this.trace.handle(method, path, query, body) ?? this.shift.handle(method, path, query, body) ?? this.orders.handle(method, path, query, body)) : null;
    if (made) return made;
    switch (`${method} ${path}`) {
      case 'POST /api/logout':
        this.user = null;
        return { status: 204 };
      case 'POST /api/password':
        return body['current'] === PASSWORD ? { status: 204 } : problem(403, 'Not changed', 'The current password is wrong.');
      case 'GET /api/session':
        return ok(this.#session());
      case 'GET /api/plant':
        return ok(this.plant());
      case 'GET /api/values': {
        const wanted = query.getAll('tag');
        return ok({ values: tags.filter((t) => !wanted.length || wanted.includes(t.path)).map((t) => this.live(t, now)) });
      }
      case 'GET /api/history':
        return this.history(query.get('tag') ?? '', Number(query.get('from_ms')), Number(query.get('to_ms')), Number(query.get('max_points') ?? 2000));
      case 'GET /api/aggregate':
        return this.#aggregate(query);
      case 'POST /api/history/delete':
        return this.#deleteHistory(body);
      case 'POST /api/history/give-up':
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        this.givenUp = true;
        return ok(this.#damage()[0]);
      case 'POST /api/notes':
        return this.#writeNote(body);
      case 'GET /api/storage':
        return this.#may('configure') ? ok(this.#storage()) : problem(403, 'Not allowed', 'This needs the role engineer.');
      case 'POST /api/sql':
        return this.#sql(body);
      case 'GET /api/alarms':
        return ok({ alarms: this.alarmList() });
      case 'POST /api/alarms/ack':
        return this.#mayAnywhere('acknowledge') ? ok(this.#ack(body, this.user?.name ?? '')) : problem(403, 'Not allowed', 'Acknowledging needs the role operator.');
      case 'GET /api/timeline':
        return this.#timeline(query);
      case 'POST /api/commands':
        return this.#command(body);
      case 'GET /api/mqtt/topics':
        return ok(this.empty ? { rows: [], total: 0, catalogue: null } : this.broker.level(query.get('under'), Number(query.get('skip') ?? 0), Number(query.get('limit') ?? 200)));
      case 'GET /api/mqtt/topics/search':
        return ok(this.broker.search(query.get('text') ?? '', Number(query.get('limit') ?? 100)));
      case 'GET /api/mqtt/topic': {
        const found = this.broker.topic(query.get('topic') ?? '');
        return found ? ok(found) : problem(404, 'There is no such thing', 'this topic is not known here', 'nothing was published there since the start');
      }
      case 'GET /api/mqtt/history':
        return ok({ messages: this.broker.kept(query.get('topic') ?? '', Number(query.get('last') ?? 20)), missing: [], next: null });
      case 'GET /api/mqtt/clients': {
        if (!this.#may('view')) return problem(403, 'Not allowed', 'This needs the right to see the whole node.');
        const text = (query.get('text') ?? '').toLowerCase();
        const state = query.get('state');
        const found = (this.empty ? [] : this.broker.clients()).filter((c) => [c['client_id'], c['user'], c['address']].some((word) => String(word).toLowerCase().includes(text)) && (state === null || c['connected'] === (state === 'connected')));
        return ok({ clients: found, total: found.length, connected: found.filter((c) => c['connected']).length, next: null });
      }
      case 'GET /api/mqtt/client': {
        if (!this.#may('view')) return problem(403, 'Not allowed', 'This needs the right to see the whole node.');
        const found = this.broker.client(query.get('client') ?? '');
        return found ? ok(found) : problem(404, 'There is no such thing', 'this MQTT client is not known here');
      }
      case 'GET /api/mqtt/subscriptions': {
        if (!this.#may('view')) return problem(403, 'Not allowed', 'This needs the right to see the whole node.');
        const topic = query.get('topic');
        const text = query.get('text') ?? '';
        const all = topic === null ? this.broker.subscriptions().filter((s) => `${String(s['client_id'])} ${String(s['filter'])}`.includes(text)) : this.broker.subscribersOf(topic);
        return ok({ subscriptions: this.empty ? [] : all.slice(0, Number(query.get('limit') ?? 200)), total: this.empty ? 0 : all.length });
      }
      case 'POST /api/mqtt/disconnect':
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        this.broker.disconnect(String(body['client_id']));
        return { status: 204, delay: 200 };
      case 'GET /api/mqtt/violations':
        if (!this.#may('view')) return problem(403, 'Not allowed', 'This needs the right to see the whole node.');
        return ok(this.empty ? { rules: [], in_quarantine: 0, pushed_out: 0 } : this.broker.violations());
      case 'GET /api/mqtt/quarantine':
        if (!this.#may('view')) return problem(403, 'Not allowed', 'This needs the right to see the whole node.');
        return ok(this.broker.quarantine(query.get('rule')));
      case 'POST /api/mqtt/quarantine/release':
      case 'POST /api/mqtt/quarantine/discard': {
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        if (!this.broker.decide(Number(body['number']))) return problem(404, 'There is no such thing', 'this message in quarantine is not known here');
        return path.endsWith('release') ? { ...ok({ reached: 2 }), delay: 200 } : { status: 204, delay: 200 };
      }
      case 'POST /api/mqtt/quarantine/discard-all': {
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        const discarded = this.broker.discardAll((body['rule'] as string | undefined) ?? null, (body['like'] as number | undefined) ?? null, Number(body['up_to']));
        return discarded ? { ...ok({ discarded }), delay: 200 } : problem(404, 'There is no such thing', 'messages in quarantine that are meant are not known here');
      }
      case 'POST /api/mqtt/permission': {
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        const verdict = this.broker.permission(body, this.devices);
        return verdict ? ok(verdict) : problem(404, 'There is no such thing', 'an MQTT device of this user name is not known here');
      }
      case 'POST /api/mqtt/publish':
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        if (String(body['topic']).endsWith('/set')) return problem(409, 'this topic commands a tag', 'a message there writes works/nord/utilities/energy/buffer/valve', 'write the tag instead: then its limits hold and the outcome is known');
        this.broker.publish(body, this.user?.name ?? '');
        return { ...ok({ reached: this.broker.subscribersOf(String(body['topic'])).length, durable: body['retain'] === true || Number(body['qos'] ?? 0) > 0 }), delay: 150 };
      case 'GET /api/connectors':
        return ok(this.empty ? { connectors: [], mqtt: { clients: [] } } : { connectors: this.connectors(), mqtt: { clients: this.mqttClients() } });
      case 'GET /api/connectors/found':
        if (!this.#may('configure')) return problem(403, 'Not allowed', 'This needs the role engineer.');
        if (query.get('name') === 'devices' && !this.empty) return ok(this.announced());
        return query.get('name') === 'floor' ? ok(this.empty ? { nodes: [], more_nodes: 0, values: [], more: 0, document: null } : this.found()) : problem(404, 'There is no such thing', 'There is no connector of this name that looks for values by itself.');
      case 'POST /api/connectors/test':
        return { ...ok(String(body['name']).includes('labeller') ? { ok: false, detail: 'no route to host' } : { ok: true, detail: '4 registers read in 3 ms' }), delay: 700 };
      default:
        return this.#administer(method, path, body);
    }
  }

  #administer(method: string, path: string, body: Json): Answer {
    if (!this.#may('administer')) return problem(403, 'Not allowed', 'This needs the role administrator.');
    const [, , what, id] = path.split('/');
    if (what === 'audit') return { ...ok({ ok: true, events: this.#seq, head: '9f2c4be1a07d53c8e6f01b7d24a9583c61fe0d7b92c4a8356e1f07bd9c2a4e81', first_bad: null, detail: 'every fingerprint fits' }), delay: 600 };
    const lists: Record<string, Json[]> = { users: this.users as unknown as Json[], tokens: this.tokens, devices: this.devices };
    const list = what ? lists[what] : undefined;
    if (!what || !list) return problem(404, 'Not found', `There is no ${path}.`);
    if (method === 'GET') return ok({ [what]: list, ...(what === 'devices' ? { certificates_asked_for: this.certificatesAskedFor } : {}) });
    if (what === 'devices' && path.endsWith('/certificate')) {
      if (method === 'DELETE') {
        Object.assign(list.find((entry) => entry['id'] === id) ?? {}, { certificate: null, certificate_entered: null });
        return { status: 204 };
      }
      const answer = this.#checkCertificate(String(body['pem']));
      if (method === 'POST' || answer.status !== 200) return answer;
      const entered = (answer.body as { certificate: Json }).certificate;
      Object.assign(list.find((entry) => entry['id'] === id) ?? {}, { certificate: body['by'] === 'sha256' ? entered['sha256'] : entered['common_name'], certificate_entered: entered });
      return ok(entered);
    }
    if (method === 'DELETE') {
      list.splice(list.findIndex((entry) => entry['id'] === id), 1);
      return { status: 204 };
    }
    if (method === 'PATCH') {
      const { password: _password, ...rest } = body;
      Object.assign(list.find((entry) => entry['id'] === id) ?? {}, rest);
      return { status: 204 };
    }
    const fresh = this.id();
    if (what === 'users') list.push({ id: fresh, name: body['name'], enabled: true, grants: body['grants'], last_login_ms: null });
    if (what === 'tokens') list.push({ id: fresh, name: body['name'], grants: body['grants'], created_ms: this.now() });
    if (what === 'devices') list.push({ id: fresh, user: body['name'], client_id: body['client_id'] ?? null, certificate: null, scram: true, publish: body['publish'] ?? ['#'], subscribe: body['subscribe'] ?? ['#'], operate: body['operate'] ?? null, created_ms: this.now() });
    return ok({ id: fresh, token: 'andon_7Kq2mZxR9tVbN4cW8yLpQ3', user: body['name'], password: 'q8Xr-2mVt-9KzL-4bNc' });
  }
}

const ok = (body: unknown): Answer => ({ status: 200, body });

function problem(status: number, title: string, detail: string, remedy?: string): Answer {
  return { status, body: { type: 'about:blank', title, status, detail, remedy } };
}
