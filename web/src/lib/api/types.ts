// The words of the server's HTTP interface, checked. Raw JSON becomes these in `parse.ts` and nowhere else.

export type Scalar = number | boolean | string;

/** A tag's last value. There is no way to read a value without meeting its state. Times in ms since 1970 UTC. */
export type Live =
  | { state: 'none' }
  | { state: 'good'; value: Scalar; code: number; at: number; received: number }
  | { state: 'uncertain'; value: Scalar; code: number; at: number; received: number }
  | { state: 'bad'; value: Scalar | null; code: number; at: number; received: number };

export type Level = 'enterprise' | 'site' | 'area' | 'work_center' | 'work_unit';
export type Profile = 'plant' | 'home';
export type DataType = 'boolean' | 'int64' | 'double' | 'string';
export type Priority = 1 | 2 | 3 | 4;

export interface Equipment {
  path: string;
  level: Level;
  levelWord: string;
  profile: Profile;
  title: string;
  description: string;
  parent: string | null;
}

export interface WriteRule {
  min: number | null;
  max: number | null;
  needsReason: boolean;
  lifeMs: number;
  confirmWithinMs: number;
}

export interface Tag {
  id: string;
  path: string;
  equipment: string;
  title: string;
  description: string;
  dataType: DataType;
  unit: string | null;
  symbol: string | null;
  range: readonly [number, number] | null;
  digits: number | null;
  states: Readonly<Record<string, string>>;
  interpolation: 'sloped' | 'stepped';
  /** How far its history may deviate from what came, in its unit; null: it keeps every reading. */
  deviation: number | null;
  /** How many days the model keeps its history, 0: for ever; null: as the settings say. */
  keepDays: number | null;
  staleAfterMs: number | null;
  write: WriteRule | null;
  /** What is written to press it, where it is something that is pressed and shows no state. */
  press: number | null;
  origin: string | null;
  source: { protocol: string; name: string } | null;
}

export interface AlarmDef {
  name: string;
  tag: string;
  condition: string;
  limit: number | null;
  priority: Priority;
  message: string;
}

export interface Plant {
  version: number;
  equipment: Equipment[];
  tags: Tag[];
  alarms: AlarmDef[];
}

export type AlarmState = 'unacknowledged' | 'acknowledged' | 'returned_to_normal_unacknowledged';

export interface Alarm {
  name: string;
  occurrence: string;
  state: AlarmState;
  priority: Priority;
  condition: string;
  message: string;
  cause: string;
  consequence: string;
  action: string;
  tag: string;
  equipment: string;
  value: Scalar | null;
  quality: number;
  limit: number | null;
  raisedMs: number;
  changedMs: number;
  acknowledgedBy: string | null;
}

export type EventKind = 'alarm' | 'command' | 'connection' | 'user' | 'configuration' | 'system' | 'note' | 'machine' | 'order' | 'job' | 'trace' | 'maintenance' | 'tool';
export const EVENT_KINDS: readonly EventKind[] = ['alarm', 'command', 'connection', 'user', 'configuration', 'system', 'note', 'machine', 'order', 'job', 'trace', 'maintenance', 'tool'];

export interface PlantEvent {
  seq: number;
  id: string;
  atMs: number;
  sourceMs: number | null;
  kind: EventKind;
  path: string;
  by: { id: string; kind: string; name: string | null };
  summary: string;
  severity: number;
  detail: Readonly<Record<string, unknown>>;
}

export interface HistoryPoint {
  at: number;
  value: Scalar | null;
  code: number;
}

export interface History {
  tag: string;
  from: number;
  to: number;
  points: HistoryPoint[];
  before: HistoryPoint | null;
  thinned: boolean;
  completeTo: number;
  gaps: { from: number; to: number; reason: string }[];
}

/** One aggregate of one tag over one stretch of time, with the status that says how far to trust it. */
export interface Aggregate {
  value: number | null;
  code: number;
  /** Everything received up to then is in it; null: the server does not say. */
  completeTo: number | null;
}

export type Outcome = 'confirmed' | 'failed' | 'expired' | 'unknown' | 'refused';

export interface CommandResult {
  id: string;
  outcome: Outcome;
  readBack: Scalar | null;
  detail: string | null;
}

export type Role = 'viewer' | 'operator' | 'engineer' | 'administrator';
export const ROLES: readonly Role[] = ['viewer', 'operator', 'engineer', 'administrator'];

export interface Grant {
  role: Role;
  branch: string;
}

export interface Session {
  user: { id: string; name: string; kind: string };
  grants: Grant[];
  may: { acknowledge: boolean; operate: boolean; configure: boolean; administer: boolean };
  expiresMs: number | null;
}

export interface Status {
  name: string;
  version: string;
  setupNeeded: boolean;
  demo: boolean;
  demoText: string | null;
  warnings: string[];
}

export interface Connector {
  name: string;
  kind: string;
  title: string;
  enabled: boolean;
  state: 'connected' | 'connecting' | 'failed' | 'disabled';
  sinceMs: number;
  latencyMs: number | null;
  samplesPerS: number;
  requests: number;
  errors: number;
  lastError: { atMs: number; text: string; remedy: string } | null;
  /** Tags that the device refuses now, though it answers. */
  refused: number;
  endpoint: string;
  tags: number;
  bridge: Bridge | null;
}

/** How a bridge to another broker is doing. */
export interface Bridge {
  waitingMessages: number;
  waitingBytes: number;
  oldestMs: number | null;
  behind: boolean;
  sent: number;
  received: number;
  sentPerS: number;
  receivedPerS: number;
  lastSuccessMs: number | null;
  lostMessages: number;
  notSent: number;
}

export interface MqttClient {
  clientId: string;
  user: string | null;
  address: string;
  protocol: string;
  connected: boolean;
  sinceMs: number;
  subscriptions: number;
  received: number;
  sent: number;
  queued: number;
  dropped: number;
}

export interface Connections {
  connectors: Connector[];
  clients: MqttClient[];
}

export interface User {
  id: string;
  name: string;
  enabled: boolean;
  grants: Grant[];
  lastLoginMs: number | null;
}

export interface Token {
  id: string;
  name: string;
  grants: Grant[];
  createdMs: number | null;
}

/** What a certificate says. */
export interface Certificate {
  commonName: string | null;
  subject: string;
  issuer: string;
  /** 64 hexadecimal digits. */
  sha256: string;
  notBeforeMs: number;
  notAfterMs: number;
}

/** How a device proves who it is. */
export type Proof =
  | { by: 'password'; scram: boolean }
  /** `name`: a common name, or a SHA-256. `entered`: what the certificate says that was entered; null: its name alone was. */
  | { by: 'certificate'; name: string; entered: Certificate | null };

export interface Device {
  id: string;
  /** Its MQTT user name. */
  user: string;
  clientId: string | null;
  proof: Proof;
  /** Topic filters. */
  publish: string[];
  subscribe: string[];
  /** The branch whose tags it may command; null: none. */
  operate: string | null;
  createdMs: number | null;
}

export interface AuditReport {
  ok: boolean;
  events: number;
  head: string;
  firstBad: number | null;
  detail: string;
}

/** What history takes on disk, and how far it has come. */
export interface Storage {
  points: number;
  fileBytes: number;
  rollupBytes: number;
  files: number;
  bytesPerPoint: number | null;
  bufferedPoints: number;
  bufferedBytes: number;
  /** Frames of the log that history has not followed yet. */
  framesBehind: number;
  completeTo: number | null;
  /** Points per second; null before there is enough to tell. */
  rate: { now: number | null; minute: number | null; hour: number | null };
  /** Since the start of the server: */
  pointsTaken: number;
  pointsLeftOut: number;
  bytesWritten: number;
  writeAmplification: number | null;
  flushes: number;
  merges: number;
  /** What the next tidying has to merge, and when the last one was done; null: none since the start. */
  mergesWaiting: number;
  tidied: number | null;
  /** Deletes that are not yet worked into the files. */
  deletes: number;
  damage: Damage[];
  givenUp: GivenUp[];
  lastError: string | null;
  retention: Retention[];
  sources: Arrived[];
}

/** A file of history that is not what was written, or is gone. */
export interface Damage {
  file: string;
  /** It holds sums of readings, not readings: without it answers take longer and are the same. */
  rollups: boolean;
  /** The first and the last reading it concerns, and how many. */
  from: number;
  to: number;
  readings: number;
  /** What is wrong, in words that name the file. */
  problem: string;
}

/** A damaged file of readings for which nobody waits any more. */
export interface GivenUp {
  file: string;
  /** Its first and its last reading, and how many there were. */
  from: number;
  to: number;
  readings: number;
}

/** A limit and for what it holds. */
export interface Retention {
  /** 0: for ever. */
  keepDays: number;
  /** Of the settings: wherever the model says nothing. */
  isDefault: boolean;
  branches: string[];
  branchesLeftOff: number;
  tags: number;
  /** About how many points are older; null: not known yet. */
  pointsPast: number | null;
}

/** How far the readings of a source have come. */
export interface Arrived {
  kind: string;
  /** Empty for those that are no connector. */
  name: string;
  title: string;
  cameTo: number | null;
  durableTo: number | null;
  /** Null where it says nothing: nothing has come, or it is of the past. */
  behindMs: number | null;
}

/** What the server says over the WebSocket. */
export type Push =
  | { t: 'hello'; now: number }
  | { t: 'values'; values: [path: string, live: Live][] }
  | { t: 'alarms'; alarms: Alarm[] }
  | { t: 'event'; event: PlantEvent }
  | { t: 'connectors'; connectors: Connector[]; clients: MqttClient[] }
  /** Something was left out on the way (a slow screen): ask again for what you show. */
  | { t: 'error'; detail: string }
  | { t: 'tick'; now: number }
  /** For the page that shows MQTT topics, which reads it: `parseMqtt.ts`. */
  | { t: 'topics' | 'messages' | 'watching'; raw: unknown }
  | { t: 'plant'; version: number }
  | { t: 'bye'; reason: string };
