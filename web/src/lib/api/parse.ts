// The border: raw JSON (`unknown`) in, checked words out. What does not fit is refused with the place where it stands.

import { severityOf } from '$lib/domain/quality';
import type {
  Aggregate, Alarm, AlarmDef, AlarmState, Arrived, AuditReport, Bridge, Certificate, CommandResult, Connections, Connector, Damage, DataType, Device, Equipment, EventKind, GivenUp,
  Grant, History, HistoryPoint, Level, Live, MqttClient, Outcome, Plant, PlantEvent, Priority, Proof, Push, Retention, Role, Scalar, Session,
  Status, Storage, Tag, Token, User,
} from './types';
import { EVENT_KINDS, ROLES } from './types';

/** The server's answer does not have the agreed shape. */
export class ShapeError extends Error {
  constructor(where: string, wanted: string) {
    super(`${where} is not ${wanted}`);
  }
}

export type Raw = Readonly<Record<string, unknown>>;

export function object(raw: unknown, where: string): Raw {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new ShapeError(where, 'an object');
  return raw as Raw;
}
export function list(raw: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(raw)) throw new ShapeError(where, 'a list');
  return raw;
}
export function text(raw: unknown, where: string): string {
  if (typeof raw !== 'string') throw new ShapeError(where, 'a text');
  return raw;
}
export function num(raw: unknown, where: string): number {
  if (typeof raw !== 'number' || !Number.isFinite(raw)) throw new ShapeError(where, 'a number');
  return raw;
}
export const flag = (raw: unknown): boolean => raw === true;
export const textOr = (raw: unknown, other: string): string => (typeof raw === 'string' ? raw : other);
export const textOrNull = (raw: unknown): string | null => (typeof raw === 'string' ? raw : null);
export const numOr = (raw: unknown, other: number): number => (typeof raw === 'number' && Number.isFinite(raw) ? raw : other);
export const numOrNull = (raw: unknown): number | null => (typeof raw === 'number' && Number.isFinite(raw) ? raw : null);

/** A list of things that are read one by one; where it is missing, there are none. */
export const each = <T>(raw: unknown, where: string, read: (raw: unknown) => T): T[] => list(raw ?? [], where).map((one) => read(one));
/** What may be missing; null where it is. */
export const orNull = <T>(raw: unknown, read: (raw: unknown) => T): T | null => (raw === null || raw === undefined ? null : read(raw));
/** A stretch of time, as the server writes it. */
export const spanOf = (o: Raw, where: string): { from: number; to: number } => ({ from: num(o['from_ms'], `${where}.from_ms`), to: num(o['to_ms'], `${where}.to_ms`) });

export const texts = (raw: unknown): string[] => (Array.isArray(raw) ? raw : []).filter((w): w is string => typeof w === 'string');

export function oneOf<T extends string>(raw: unknown, choices: readonly T[], where: string): T {
  const found = choices.find((choice) => choice === raw);
  if (found === undefined) throw new ShapeError(where, choices.join(' | '));
  return found;
}

function scalar(raw: unknown): Scalar | null {
  if (typeof raw === 'number') return Number.isFinite(raw) ? raw : null;
  return typeof raw === 'boolean' || typeof raw === 'string' ? raw : null;
}

export function live(raw: unknown): [path: string, live: Live] {
  const [path, value, quality, source, received] = list(raw, 'value');
  const code = num(quality, 'value[2]') >>> 0;
  const at = num(source, 'value[3]');
  const seen = { code, at, received: numOr(received, at) };
  const known = scalar(value);
  const severity = severityOf(code);
  const name = text(path, 'value[0]');
  if (severity === 'bad') return [name, { state: 'bad', value: known, ...seen }];
  // Good or uncertain without a value says nothing: nothing is shown rather than a zero.
  if (known === null) return [name, { state: 'none' }];
  return [name, { state: severity, value: known, ...seen }];
}

export const values = (raw: unknown): [string, Live][] => list(object(raw, 'values')['values'], 'values').map(live);

const LEVELS: readonly Level[] = ['enterprise', 'site', 'area', 'work_center', 'work_unit'];

function equipment(raw: unknown): Equipment {
  const o = object(raw, 'equipment');
  const path = text(o['path'], 'equipment.path');
  return {
    path,
    level: oneOf(o['level'], LEVELS, 'equipment.level'),
    levelWord: textOr(o['level_word'], ''),
    profile: o['profile'] === 'home' ? 'home' : 'plant',
    title: textOr(o['title'], '') || path.slice(path.lastIndexOf('/') + 1),
    description: textOr(o['description'], ''),
    parent: textOrNull(o['parent']),
  };
}

const TYPES: readonly DataType[] = ['boolean', 'int64', 'double', 'string'];

function words(raw: unknown): Record<string, string> {
  if (typeof raw !== 'object' || raw === null) return {};
  return Object.fromEntries(Object.entries(raw).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function tag(raw: unknown): Tag {
  const o = object(raw, 'tag');
  const path = text(o['path'], 'tag.path');
  const range = Array.isArray(o['range']) ? o['range'] : null;
  const write = o['write'] ? object(o['write'], 'tag.write') : null;
  const source = o['source'] ? object(o['source'], 'tag.source') : null;
  return {
    id: textOr(o['id'], path),
    path,
    equipment: textOr(o['equipment'], path.slice(0, Math.max(0, path.lastIndexOf('/')))),
    title: textOr(o['title'], '') || path.slice(path.lastIndexOf('/') + 1),
    description: textOr(o['description'], ''),
    dataType: oneOf(o['data_type'], TYPES, 'tag.data_type'),
    unit: textOrNull(o['unit']),
    symbol: textOrNull(o['symbol']),
    range: range && range.length === 2 ? [num(range[0], 'tag.range'), num(range[1], 'tag.range')] : null,
    digits: numOrNull(o['digits']),
    states: words(o['states']),
    interpolation: o['interpolation'] === 'stepped' ? 'stepped' : 'sloped',
    deviation: numOrNull(o['deviation']),
    keepDays: numOrNull(o['keep_days']),
    staleAfterMs: numOrNull(o['stale_after_ms']),
    write: write && {
      min: numOrNull(write['min']),
      max: numOrNull(write['max']),
      needsReason: flag(write['needs_reason']),
      lifeMs: numOr(write['life_ms'], 0),
      confirmWithinMs: numOr(write['confirm_within_ms'], 0),
    },
    press: numOrNull(o['press']),
    origin: textOrNull(o['origin']),
    source: source && { protocol: textOr(source['protocol'], ''), name: textOr(source['name'], '') },
  };
}

function priority(raw: unknown): Priority {
  return raw === 1 || raw === 2 || raw === 3 ? raw : 4;
}

function alarmDef(raw: unknown): AlarmDef {
  const o = object(raw, 'alarm definition');
  return {
    name: text(o['name'], 'alarm.name'),
    tag: textOr(o['tag'], ''),
    condition: textOr(o['condition'], ''),
    limit: numOrNull(o['limit']),
    priority: priority(o['priority']),
    message: textOr(o['message'], ''),
  };
}

export function plant(raw: unknown): Plant {
  const o = object(raw, 'plant');
  return {
    version: numOr(o['version'], 0),
    equipment: list(o['equipment'], 'plant.equipment').map(equipment),
    tags: list(o['tags'], 'plant.tags').map(tag),
    alarms: each(o['alarms'], 'plant.alarms', alarmDef),
  };
}

const ALARM_STATES: readonly AlarmState[] = ['unacknowledged', 'acknowledged', 'returned_to_normal_unacknowledged'];

function alarm(raw: unknown): Alarm {
  const o = object(raw, 'alarm');
  return {
    name: text(o['name'], 'alarm.name'),
    occurrence: textOr(o['occurrence'], ''),
    state: oneOf(o['state'], ALARM_STATES, 'alarm.state'),
    priority: priority(o['priority']),
    condition: textOr(o['condition'], ''),
    message: textOr(o['message'], ''),
    cause: textOr(o['cause'], ''),
    consequence: textOr(o['consequence'], ''),
    action: textOr(o['action'], ''),
    tag: textOr(o['tag'], ''),
    equipment: textOr(o['equipment'], ''),
    value: scalar(o['value']),
    quality: numOr(o['quality'], 0) >>> 0,
    limit: numOrNull(o['limit']),
    raisedMs: num(o['raised_ms'], 'alarm.raised_ms'),
    changedMs: numOr(o['changed_ms'], num(o['raised_ms'], 'alarm.raised_ms')),
    acknowledgedBy: textOrNull(o['acknowledged_by']),
  };
}

export const alarms = (raw: unknown): Alarm[] => list(object(raw, 'alarms')['alarms'], 'alarms').map(alarm);

export interface AckResult {
  name: string;
  ok: boolean;
  detail: string | null;
}
export const ackResults = (raw: unknown): AckResult[] =>
  list(object(raw, 'answer')['results'], 'results').map((entry) => {
    const o = object(entry, 'result');
    return { name: textOr(o['name'], ''), ok: flag(o['ok']), detail: textOrNull(o['detail']) };
  });

export function event(raw: unknown): PlantEvent {
  const o = object(raw, 'event');
  const by = object(o['by'] ?? {}, 'event.by');
  return {
    seq: num(o['seq'], 'event.seq'),
    id: textOr(o['id'], String(o['seq'])),
    atMs: num(o['at_ms'], 'event.at_ms'),
    sourceMs: numOrNull(o['source_ms']),
    kind: oneOf<EventKind>(o['kind'], EVENT_KINDS, 'event.kind'),
    path: textOr(o['path'], ''),
    by: { id: textOr(by['id'], ''), kind: textOr(by['kind'], ''), name: textOrNull(by['name']) },
    summary: textOr(o['summary'], ''),
    severity: numOr(o['severity'], 0),
    detail: typeof o['detail'] === 'object' && o['detail'] !== null ? (o['detail'] as Raw) : {},
  };
}

export function timeline(raw: unknown): { events: PlantEvent[]; next: number | null } {
  const o = object(raw, 'timeline');
  return { events: list(o['events'], 'events').map(event), next: numOrNull(o['next']) };
}

function point(raw: unknown): HistoryPoint {
  const [at, value, code] = list(raw, 'point');
  return { at: num(at, 'point[0]'), value: scalar(value), code: numOr(code, 0) >>> 0 };
}

export function history(raw: unknown): History {
  const o = object(raw, 'history');
  return {
    tag: textOr(o['tag'], ''),
    from: numOr(o['from_ms'], 0),
    to: numOr(o['to_ms'], 0),
    points: list(o['points'], 'history.points').map(point),
    before: o['before'] ? point(o['before']) : null,
    thinned: flag(o['thinned']),
    completeTo: numOr(o['complete_to_ms'], 0),
    gaps: each(o['gaps'], 'history.gaps', (entry) => {
      const gap = object(entry, 'gap');
      return { ...spanOf(gap, 'gap'), reason: textOr(gap['reason'], '') };
    }),
  };
}

/** The answer for one interval; no interval at all is no value. */
export function aggregate(raw: unknown): Aggregate {
  const o = object(raw, 'aggregate');
  const first = list(o['values'], 'aggregate.values')[0];
  const [, value, code] = first === undefined ? [] : list(first, 'aggregate.values[0]');
  const known = scalar(value);
  return { value: typeof known === 'number' ? known : null, code: numOr(code, NO_DATA) >>> 0, completeTo: numOrNull(o['complete_to_ms']) };
}
const NO_DATA = 0x809b0000;

/** The answer for many intervals: when each begins, and its number. */
export function intervals(raw: unknown): { at: number; value: number }[] {
  return list(object(raw, 'aggregate')['values'], 'aggregate.values').flatMap((entry) => {
    const [at, value] = list(entry, 'aggregate.values[]');
    return typeof value === 'number' ? [{ at: num(at, 'aggregate.values[].at'), value }] : [];
  });
}

export function storage(raw: unknown): Storage {
  const o = object(raw, 'storage');
  return {
    points: num(o['points'], 'storage.points'),
    fileBytes: num(o['file_bytes'], 'storage.file_bytes'),
    rollupBytes: numOr(o['rollup_bytes'], 0),
    files: numOr(o['files'], 0),
    bytesPerPoint: numOrNull(o['bytes_per_point']),
    bufferedPoints: numOr(o['buffered_points'], 0),
    bufferedBytes: numOr(o['buffered_bytes'], 0),
    framesBehind: numOr(o['frames_behind'], 0),
    completeTo: numOrNull(o['complete_to_ms']),
    rate: { now: numOrNull(o['points_per_s_now']), minute: numOrNull(o['points_per_s_minute']), hour: numOrNull(o['points_per_s_hour']) },
    pointsTaken: numOr(o['points_taken'], 0),
    pointsLeftOut: numOr(o['points_left_out'], 0),
    bytesWritten: numOr(o['bytes_written'], 0),
    writeAmplification: numOrNull(o['write_amplification']),
    flushes: numOr(o['flushes'], 0),
    merges: numOr(o['merges'], 0),
    mergesWaiting: numOr(o['merges_waiting'], 0),
    tidied: numOrNull(o['tidied_ms']),
    deletes: numOr(o['deletes'], 0),
    damage: each(o['damage'], 'storage.damage', damage),
    givenUp: each(o['given_up'], 'storage.given_up', givenUp),
    lastError: textOrNull(o['last_error']),
    retention: each(o['retention'], 'storage.retention', retention),
    sources: each(o['sources'], 'storage.sources', arrived),
  };
}

function givenUp(raw: unknown): GivenUp {
  const d = object(raw, 'given_up');
  return {
    file: text(d['file'], 'given_up.file'),
    ...spanOf(d, 'given_up'),
    readings: num(d['readings'], 'given_up.readings'),
  };
}

function damage(raw: unknown): Damage {
  const d = object(raw, 'damage');
  return {
    file: text(d['file'], 'damage.file'),
    rollups: d['holds'] === 'rollups',
    ...spanOf(d, 'damage'),
    readings: num(d['readings'], 'damage.readings'),
    problem: text(d['what'], 'damage.what'),
  };
}

function retention(raw: unknown): Retention {
  const o = object(raw, 'retention');
  return {
    keepDays: num(o['keep_days'], 'retention.keep_days'),
    isDefault: flag(o['default']),
    branches: texts(o['branches']),
    branchesLeftOff: numOr(o['branches_left_off'], 0),
    tags: numOr(o['tags'], 0),
    pointsPast: numOrNull(o['points_past']),
  };
}

function arrived(raw: unknown): Arrived {
  const o = object(raw, 'source');
  return {
    kind: text(o['kind'], 'source.kind'),
    name: textOr(o['name'], ''),
    title: textOr(o['title'], ''),
    cameTo: numOrNull(o['came_to_ms']),
    durableTo: numOrNull(o['durable_to_ms']),
    behindMs: numOrNull(o['behind_ms']),
  };
}

const OUTCOMES: readonly Outcome[] = ['confirmed', 'failed', 'expired', 'unknown', 'refused'];

export function commandResult(raw: unknown): CommandResult {
  const o = object(raw, 'answer');
  const back = o['read_back'];
  return {
    id: textOr(o['id'], ''),
    outcome: oneOf(o['outcome'], OUTCOMES, 'outcome'),
    // Either the bare value, or a sample that carries it.
    readBack: Array.isArray(back) ? scalar(back[1]) : typeof back === 'object' && back !== null ? scalar((back as Raw)['value']) : scalar(back),
    detail: textOrNull(o['detail']),
  };
}

function grants(raw: unknown): Grant[] {
  return (Array.isArray(raw) ? raw : []).map((entry) => {
    const o = object(entry, 'grant');
    return { role: oneOf<Role>(o['role'], ROLES, 'grant.role'), branch: textOr(o['branch'], '') };
  });
}

export function session(raw: unknown): Session {
  const o = object(raw, 'session');
  const user = object(o['user'], 'session.user');
  const may = object(o['may'] ?? {}, 'session.may');
  return {
    user: { id: textOr(user['id'], ''), name: textOr(user['name'], ''), kind: textOr(user['kind'], '') },
    grants: grants(o['grants']),
    may: {
      acknowledge: flag(may['acknowledge']),
      operate: flag(may['operate']),
      configure: flag(may['configure']),
      administer: flag(may['administer']),
    },
    expiresMs: numOrNull(o['expires_ms']),
  };
}

export function status(raw: unknown): Status {
  const o = object(raw, 'status');
  return {
    name: textOr(o['name'], 'Andon'),
    version: textOr(o['version'], ''),
    setupNeeded: flag(o['setup_needed']),
    demo: flag(o['demo']),
    demoText: textOrNull(o['demo_text']),
    warnings: texts(o['warnings']),
  };
}

const CONNECTOR_STATES = ['connected', 'connecting', 'failed', 'disabled'] as const;

function connector(raw: unknown): Connector {
  const o = object(raw, 'connector');
  const last = o['last_error'] ? object(o['last_error'], 'connector.last_error') : null;
  return {
    name: text(o['name'], 'connector.name'),
    kind: textOr(o['kind'], ''),
    title: textOr(o['title'], '') || text(o['name'], 'connector.name'),
    enabled: o['enabled'] !== false,
    state: oneOf(o['state'], CONNECTOR_STATES, 'connector.state'),
    sinceMs: numOr(o['since_ms'], 0),
    latencyMs: numOrNull(o['latency_ms']),
    samplesPerS: numOr(o['samples_per_s'], 0),
    requests: numOr(o['requests'], 0),
    errors: numOr(o['errors'], 0),
    lastError: last && { atMs: numOr(last['at_ms'], 0), text: textOr(last['text'], ''), remedy: textOr(last['remedy'], '') },
    refused: numOr(o['refused'], 0),
    endpoint: textOr(o['endpoint'], ''),
    tags: numOr(o['tags'], 0),
    bridge: o['bridge'] ? bridge(o['bridge']) : null,
  };
}

function bridge(raw: unknown): Bridge {
  const o = object(raw, 'connector.bridge');
  return {
    waitingMessages: numOr(o['waiting_messages'], 0),
    waitingBytes: numOr(o['waiting_bytes'], 0),
    oldestMs: numOrNull(o['oldest_ms']),
    behind: flag(o['behind']),
    sent: numOr(o['sent'], 0),
    received: numOr(o['received'], 0),
    sentPerS: numOr(o['sent_per_s'], 0),
    receivedPerS: numOr(o['received_per_s'], 0),
    lastSuccessMs: numOrNull(o['last_success_ms']),
    lostMessages: numOr(o['lost_messages'], 0),
    notSent: numOr(o['not_sent'], 0),
  };
}

function mqttClient(raw: unknown): MqttClient {
  const o = object(raw, 'client');
  return {
    clientId: textOr(o['client_id'], ''),
    user: textOrNull(o['user']),
    address: textOr(o['address'], ''),
    protocol: textOr(o['protocol'], ''),
    connected: flag(o['connected']),
    sinceMs: numOr(o['since_ms'], 0),
    subscriptions: numOr(o['subscriptions'], 0),
    received: numOr(o['received'], 0),
    sent: numOr(o['sent'], 0),
    queued: numOr(o['queued'], 0),
    dropped: numOr(o['dropped'], 0),
  };
}

export function connections(raw: unknown): Connections {
  const o = object(raw, 'connectors');
  const mqtt = object(o['mqtt'] ?? {}, 'mqtt');
  return {
    connectors: list(o['connectors'], 'connectors').map(connector),
    clients: each(mqtt['clients'], 'mqtt.clients', mqttClient),
  };
}

export const testResult = (raw: unknown): { ok: boolean; detail: string } => {
  const o = object(raw, 'answer');
  return { ok: flag(o['ok']), detail: textOr(o['detail'], '') };
};

export const users = (raw: unknown): User[] =>
  list(object(raw, 'users')['users'], 'users').map((entry) => {
    const o = object(entry, 'user');
    return {
      id: text(o['id'], 'user.id'),
      name: textOr(o['name'], ''),
      enabled: o['enabled'] !== false,
      grants: grants(o['grants']),
      lastLoginMs: numOrNull(o['last_login_ms']),
    };
  });

export const tokens = (raw: unknown): Token[] =>
  list(object(raw, 'tokens')['tokens'], 'tokens').map((entry) => {
    const o = object(entry, 'token');
    return {
      id: text(o['id'], 'token.id'),
      name: textOr(o['name'], ''),
      grants: grants(o['grants']),
      createdMs: numOrNull(o['created_ms']),
    };
  });

const certificate = (raw: unknown): Certificate => {
  const o = object(raw, 'certificate');
  return {
    commonName: textOrNull(o['common_name']),
    subject: textOr(o['subject'], ''),
    issuer: textOr(o['issuer'], ''),
    sha256: text(o['sha256'], 'certificate.sha256'),
    notBeforeMs: num(o['not_before_ms'], 'certificate.not_before_ms'),
    notAfterMs: num(o['not_after_ms'], 'certificate.not_after_ms'),
  };
};

/** A certificate that was looked at, and the device that comes with it already. */
export const checkedCertificate = (raw: unknown): { certificate: Certificate; device: string | null } => {
  const o = object(raw, 'answer');
  return { certificate: certificate(o['certificate']), device: textOrNull(o['device']) };
};

function proof(o: Raw): Proof {
  const name = textOrNull(o['certificate']);
  if (name === null) return { by: 'password', scram: flag(o['scram']) };
  const entered = o['certificate_entered'];
  return { by: 'certificate', name, entered: entered === null || entered === undefined ? null : certificate(entered) };
}

/** Whether devices are asked for certificates at all. */
export const certificatesAskedFor = (raw: unknown): boolean => flag(object(raw, 'devices')['certificates_asked_for']);

export const devices = (raw: unknown): Device[] =>
  list(object(raw, 'devices')['devices'], 'devices').map((entry) => {
    const o = object(entry, 'device');
    return {
      id: text(o['id'], 'device.id'),
      user: textOr(o['user'], ''),
      clientId: textOrNull(o['client_id']),
      proof: proof(o),
      publish: texts(o['publish']),
      subscribe: texts(o['subscribe']),
      operate: textOrNull(o['operate']),
      createdMs: numOrNull(o['created_ms']),
    };
  });

export const newToken = (raw: unknown): string => text(object(raw, 'answer')['token'], 'token');
export const newDevice = (raw: unknown): { user: string; password: string } => {
  const o = object(raw, 'answer');
  return { user: text(o['user'], 'user'), password: text(o['password'], 'password') };
};

export function auditReport(raw: unknown): AuditReport {
  const o = object(raw, 'report');
  return {
    ok: flag(o['ok']),
    events: numOr(o['events'], 0),
    head: textOr(o['head'], ''),
    firstBad: numOrNull(o['first_bad']),
    detail: textOr(o['detail'], ''),
  };
}

/** A message of the WebSocket; `null` for one that a newer server knows and we do not. */
export function push(raw: unknown): Push | null {
  const o = object(raw, 'message');
  switch (o['t']) {
    case 'hello':
      return { t: 'hello', now: num(o['now_ms'], 'now_ms') };
    case 'values':
      return { t: 'values', values: values(o) };
    case 'alarms':
      return { t: 'alarms', alarms: alarms(o) };
    case 'event':
      return { t: 'event', event: event(o['event']) };
    case 'connectors':
      return { t: 'connectors', ...connections(o) };
    case 'error':
      return { t: 'error', detail: textOr(o['detail'], '') };
    case 'tick':
      return { t: 'tick', now: num(o['now_ms'], 'now_ms') };
    case 'topics':
    case 'messages':
    case 'watching':
      return { t: o['t'], raw };
    case 'plant':
      return { t: 'plant', version: numOr(o['version'], 0) };
    case 'bye':
      return { t: 'bye', reason: textOr(o['reason'], '') };
    default:
      return null;
  }
}
