// Lots, serial units and certificates in the mock: rights, keys and words as the server has them (`crates/api/src/routes/trace.rs`,
// `crates/server/src/trace`). A small made-up genealogy: heat pumps of valves, compressors and boards; one lot of valves is in quarantine.

type Json = Record<string, unknown>;
export interface Reply {
  status: number;
  body?: unknown;
  text?: { type: string; content: string };
}
export interface MockItem {
  id: string;
  kind: 'lot' | 'unit' | 'container';
  material: string;
  revision: string | null;
  number: string;
  quantity: number | null;
  used: number;
  state: string;
  stock: { place: string; quantity: number }[];
  made: number;
  decisions: { state: string; at_ms: number; by: string | null; reason: string }[];
}
export interface MockLink {
  from: string;
  to: string;
  quantity: number;
  position: string;
  at_ms: number;
  removed_ms: number | null;
  replaced_by: string | null;
  equipment: string | null;
}

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const MOUNT = 'works/nord/pumps/mount';
const TEST = 'works/nord/pumps/test';
const STATES = ['Released', 'Quarantine', 'Hold', 'Scrapped', 'Shipped'];
const SEVEN = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

export class MockTrace {
  readonly items: MockItem[] = [];
  readonly links: MockLink[] = [];
  readonly passes: (Json & { unit: string })[] = [];
  readonly findings: Json[] = [];
  readonly certificates: { unit: string; number: string; issued_ms: number; superseded_by: string | null }[] = [];
  readonly finished = new Map<string, Json>();
  /** No station tells of units: as on a node without `[machine.unit]`. */
  none = false;
  /** There are stations, and no unit has passed. */
  empty = false;
  #keys = new Map<string, string>();
  #identities = new Map<string, number>();
  #receipts = new Map<string, { content: string; id: string }>();

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly who: () => string,
    readonly may: (action: string, path: string) => boolean,
  ) {
    this.#make();
  }

  // What there is

  #make(): void {
    const start = this.start;
    const lot = (n: number, material: string, number: string, quantity: number, place: string, days: number): MockItem => this.item(n, 'lot', material, null, number, quantity, place, start - days * DAY);
    const steel = lot(1, 'ST-08', 'C-5512', 400, 'store/steel', 21);
    const v1 = lot(2, 'EV-20', 'V-2211', 200, 'store/a12', 9);
    const v2 = lot(3, 'EV-20', 'V-2212', 200, 'store/quarantine', 6);
    const boards = lot(4, 'PCB-7', 'B-0930', 120, 'store/b03', 12);
    this.decide(v2, 'Quarantine', start - 3 * HOUR, 'u1', 'Leak rate out of specification in the goods-in test of 8 valves');
    // The lots of valves were turned from one cast of steel.
    this.#join(steel, v1, 40, 'body', start - 10 * DAY, null);
    this.#join(steel, v2, 40, 'body', start - 7 * DAY, null);
    const box = this.item(90, 'container', 'PALLET', null, 'PAL-118', 1, 'store/out', start - 2 * HOUR);
    for (let i = 0; i < 12; i += 1) {
      const at = start - (13 - i) * 25 * MIN;
      const serial = `CP25-00047${String(i + 1).padStart(2, '0')}`;
      const pump = this.item(20 + i, 'unit', 'HP-16', 'C', serial, 1, null, at);
      const compressor = this.item(50 + i, 'unit', 'CP-290', 'B', `K-88${String(120 + i)}`, 1, null, at - DAY);
      const valves = i < 5 ? v1 : i < 9 ? v2 : v1;
      this.#join(valves, pump, 2, 'valve_lot', at, MOUNT);
      this.#join(compressor, pump, 1, 'compressor_serial', at, MOUNT);
      this.#join(boards, pump, 1, 'board_lot', at, MOUNT);
      this.passes.push({ unit: pump.id, equipment: MOUNT, at_ms: at, job: null, operation: '10', passed: true, measures: { torque: 12.4 + i / 10, tightness: 'dry' }, firmware: [] });
      if (i === 11) continue;
      if (i === 7) this.#pass(pump, at + 8 * MIN, false, 3.81);
      this.#pass(pump, at + 12 * MIN, true, 0.42 + i / 50);
      const done = at + 12 * MIN;
      const bad = i === 10;
      this.finished.set(pump.id, { at_ms: done, equipment: TEST, certificate: bad ? 'not_possible' : 'issued', why: bad ? 'the material HP-16 has no GTIN and no id' : null });
      if (!bad) this.certificates.push({ unit: pump.id, number: cert(i), issued_ms: done + 10_000, superseded_by: null });
      if (i < 4) this.#join(pump, box, 1, '', done + 20 * MIN, null);
      pump.stock = [{ place: i < 4 ? 'store/out' : 'line/pumps', quantity: 1 }];
    }
    // A valve of the third pump was exchanged after it was finished, and its certificate made anew.
    const third = this.#unit('CP25-0004703');
    const was = this.links.find((one) => one.to === third?.id && one.position === 'valve_lot');
    if (third && was) {
      Object.assign(was, { removed_ms: start - 40 * MIN, replaced_by: v2.id });
      this.#join(v2, third, 2, 'valve_lot', start - 40 * MIN, MOUNT);
      const first = this.certificates.find((one) => one.unit === third.id);
      if (first) first.superseded_by = `${first.number}-2`;
      this.certificates.push({ unit: third.id, number: `${cert(2)}-2`, issued_ms: start - 30 * MIN, superseded_by: null });
    }
    const eighth = this.#unit('CP25-0004708');
    this.#find('not_released', start - 40 * MIN, v2, third, `lot EV-20 V-2212 is in Quarantine and was built into unit HP-16 CP25-0004703`);
    this.#find('not_known', start - 5 * HOUR, eighth ?? null, null, `unit CP-290 K-88127 was built in at ${MOUNT}, and nobody told of it before; it is recorded as new`);
  }

  item(n: number, kind: MockItem['kind'], material: string, revision: string | null, number: string, quantity: number, place: string | null, made: number): MockItem {
    const one: MockItem = { id: `0192f0c0-7000-7000-8000-${String(n).padStart(12, '0')}`, kind, material, revision, number, quantity, used: 0, state: 'Released', stock: place === null ? [] : [{ place, quantity }], made, decisions: [{ state: 'Released', at_ms: made, by: null, reason: kind === 'unit' ? 'it passed a first station' : 'received' }] };
    this.items.push(one);
    return one;
  }
  #join(from: MockItem, to: MockItem, quantity: number, position: string, at: number, equipment: string | null): void {
    this.links.push({ from: from.id, to: to.id, quantity, position, at_ms: at, removed_ms: null, replaced_by: null, equipment });
    // A unit that is packed or built in is not used up.
    if (from.kind === 'unit') return;
    from.used += quantity;
    const lies = from.stock[0];
    if (lies) lies.quantity -= quantity;
  }
  #pass(unit: MockItem, at: number, passed: boolean, leak: number): void {
    this.passes.push({ unit: unit.id, equipment: TEST, at_ms: at, job: null, operation: '20', passed, measures: { leak_rate: leak, power: 1.42 }, firmware: [{ component: 'controller', version: 'HPC-2.4.1', sha256: null }] });
  }
  #find(what: string, at: number, item: MockItem | null, other: MockItem | null | undefined, text: string): void {
    this.findings.push({ number: this.findings.length + 1, what, at_ms: at, item: item?.id ?? null, other: other?.id ?? null, text });
  }
  decide(item: MockItem, state: string, at: number, by: string, reason: string): void {
    item.state = state;
    item.decisions.push({ state, at_ms: at, by, reason });
  }
  #unit(number: string): MockItem | undefined {
    return this.items.find((one) => one.kind === 'unit' && one.number === number);
  }

  // What is asked

  /** The answer; null for what is none of its addresses. */
  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what = '', id = '', deed = '', more = ''] = path.split('/').map(decodeURIComponent);
    if (what === 'certificate-key') return { status: 200, text: { type: 'application/x-pem-file', content: '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n' } };
    if (!['units', 'lots', 'containers', 'findings', 'certificates'].includes(what)) return null;
    if (this.none || ![MOUNT, TEST].some((station) => this.may('view', station)))
      return notThere('traceability', 'say in a [[machine]] which tags tell of its units, and have somebody give you the right to view it');
    if (method === 'POST' && what === 'lots') return deed === 'state' ? this.#decided(id, body) : id === '' ? this.#received(body) : null;
    if (method === 'POST' && what === 'units') return deed === 'certificate' ? this.#certified(id) : deed === 'identity' ? this.#identified(id) : null;
    if (method === 'POST') return null;
    if (what === 'findings') return this.#findings(query);
    if (what === 'certificates') return this.#certificate(id);
    if (id === '') return this.#list(what === 'units' ? 'unit' : what === 'containers' ? 'container' : 'lot', query);
    const item = this.known(id);
    if (!item) return notThere('this lot or unit');
    if (what === 'units') return item.kind === 'unit' ? ok(this.unitView(item)) : notThere('this serial unit');
    if (deed === '') return ok(this.lotView(item));
    if (deed === 'trace') return this.#traced(item, more, query);
    if (deed === 'recall') return ok(this.#recall(item));
    if (deed === 'recall.csv') return { status: 200, text: { type: 'text/csv; charset=utf-8', content: this.#csv(item) } };
    if (deed === 'label.svg') return { status: 200, text: { type: 'image/svg+xml', content: label(item.number) } };
    return notThere('this address');
  }

  get #all(): MockItem[] {
    return this.empty ? [] : this.items;
  }
  known(id: string): MockItem | undefined {
    return this.#all.find((one) => one.id === id);
  }

  view(item: MockItem): Json {
    const { id, kind, material, revision, number, quantity, state, made } = item;
    return { id, kind, material, revision, number, quantity, remaining: quantity === null ? null : quantity - item.used, state, place: item.stock.length === 1 ? item.stock[0]?.place : null, made_ms: made, job: null };
  }

  /** The newest first. */
  #list(kind: MockItem['kind'], query: URLSearchParams): Reply {
    const known = ['text', 'number', 'material', 'state', 'limit', 'before'];
    const unknown = [...query.keys()].find((name) => !known.includes(name));
    if (unknown !== undefined) return { status: 400, text: { type: 'text/plain; charset=utf-8', content: `Failed to deserialize query string: unknown field \`${unknown}\`, expected one of ${known.map((name) => `\`${name}\``).join(', ')}` } };
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 500)) return badRequest(`"limit" is ${limit}, and must be from 1 to 500`);
    const given = (name: string): string => query.get(name) ?? '';
    const state = given('state');
    if (state && !STATES.includes(state)) return badRequest(`"${state}" is not known as "state"`, `known are: ${STATES.join(', ')}`);
    const found = this.#all
      .filter((one) => one.kind === kind)
      .filter((one) => (given('number') === '' || one.number === given('number')) && one.number.startsWith(given('text')) && (given('material') === '' || one.material === given('material')) && (state === '' || one.state === state))
      .sort((a, b) => b.made - a.made);
    const from = given('before') === '' ? 0 : found.findIndex((one) => one.id === given('before')) + 1;
    const page = found.slice(from, from + limit);
    return ok({ items: page.map((one) => this.view(one)), next: from + limit < found.length ? page.at(-1)?.id : null });
  }

  #part(link: MockLink): Json {
    const item = this.known(link.from);
    const { from: _from, to: _to, ...rest } = link;
    return { item: item ? this.view(item) : null, ...rest };
  }

  unitView(item: MockItem): Json {
    const parts = this.links.filter((link) => link.to === item.id);
    const finished = this.finished.get(item.id) ?? null;
    const until = finished ? Number(finished['at_ms']) : Infinity;
    const passes = this.passes.filter((one) => one.unit === item.id).map(({ unit: _unit, ...rest }) => rest);
    return {
      ...this.view(item), passes, finished, cut: false, identity_given_ms: this.#identities.get(item.id) ?? null,
      as_built: parts.filter((link) => link.at_ms <= until && (link.removed_ms === null || link.removed_ms > until)).map((link) => this.#part(link)),
      as_maintained: parts.filter((link) => link.removed_ms === null).map((link) => this.#part(link)),
      certificates: this.certificates.filter((one) => one.unit === item.id).map(({ unit: _unit, ...rest }) => ({ ...rest, sha256: '5eed0f91'.repeat(8), key_id: SEVEN })),
    };
  }

  lotView(item: MockItem): Json {
    return { ...this.view(item), stock: item.stock, decisions: item.decisions };
  }

  /** What hangs together, what is reached nearer first. */
  #closure(item: MockItem, forward: boolean, at: number | null): { items: { item: MockItem; depth: number }[]; links: MockLink[] } {
    const items = [{ item, depth: 0 }];
    const links: MockLink[] = [];
    for (const one of items) {
      for (const link of this.links.filter((l) => (forward ? l.from : l.to) === one.item.id && (at === null || (l.at_ms <= at && (l.removed_ms === null || l.removed_ms > at))))) {
        links.push(link);
        const there = this.known(forward ? link.to : link.from);
        if (there && !items.some((known) => known.item === there)) items.push({ item: there, depth: one.depth + 1 });
      }
    }
    return { items, links };
  }

  #traced(item: MockItem, direction: string, query: URLSearchParams): Reply {
    if (direction !== 'forward' && direction !== 'backward') return notThere('this address');
    const at = query.get('at_ms') === null ? null : Number(query.get('at_ms'));
    if (at !== null && !(at >= 0)) return badRequest('"at_ms" must be a time from 1970 on, in milliseconds since 1970');
    const { items, links } = this.#closure(item, direction === 'forward', at);
    return ok({ items: items.map((one) => ({ ...this.view(one.item), depth: one.depth })), links: links.map(({ replaced_by: _by, ...rest }) => rest), cut: null });
  }

  #recall(item: MockItem): Json & { units: Json[]; lots: Json[] } {
    const { items } = this.#closure(item, true, null);
    const container = (one: MockItem): string[] => this.links.flatMap((link) => (link.from === one.id && this.known(link.to)?.kind === 'container' ? [`container ${this.known(link.to)?.material} ${this.known(link.to)?.number}`] : []));
    const row = (one: { item: MockItem; depth: number }): Json => ({ ...this.view(one.item), depth: one.depth, stock: one.item.stock, packed_in: container(one.item) });
    return {
      root: this.view(item), reached: items.length, cut: null,
      units: items.filter((one) => one.item.kind === 'unit').map(row),
      lots: items.filter((one) => one.item.kind === 'lot' && (one.item.quantity ?? 0) > one.item.used).map(row),
    };
  }

  #csv(item: MockItem): string {
    const recall = this.#recall(item);
    const cell = (value: unknown): string => (/[,"\r\n;]/.test(String(value ?? '')) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ''));
    const line = (row: Json): string => {
      const places = (row['stock'] as { place: string; quantity: number }[]).map((one) => `${one.place} (${one.quantity})`).join('; ');
      return [...[row['kind'], row['material'], row['revision'], row['number'], row['state'], row['remaining'], places, (row['packed_in'] as string[]).join('; ')].map(cell), row['depth'], row['id']].join(',');
    };
    return ['kind,material,revision,number,state,remaining,places,packed_in,steps,id', ...[...recall.units, ...recall.lots].map(line), ''].join('\r\n');
  }

  #findings(query: URLSearchParams): Reply {
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 500)) return badRequest(`"limit" is ${limit}, and must be from 1 to 500`);
    const before = Number(query.get('before') ?? Infinity);
    return ok({ findings: (this.empty ? [] : this.findings).filter((one) => Number(one['number']) < before).toReversed().slice(0, limit) });
  }

  #certificate(number: string): Reply {
    const found = this.certificates.find((one) => one.number === number);
    const unit = found && this.known(found.unit);
    if (!found || !unit) return notThere('this certificate');
    const content = { certificate: { format: 'andon-birth-certificate', version: 1, unit: { serial: unit.number, product: { id: unit.material, revision: unit.revision } } }, signature: { alg: 'Ed25519', key_id: SEVEN, value: '00'.repeat(64) } };
    return { status: 200, text: { type: 'application/json', content: JSON.stringify(content) } };
  }

  #received(body: Json): Reply {
    const { key: given, ...rest } = body;
    const key = String(given ?? '');
    if (!UUID.test(key)) return noKey;
    const no = this.mayNot('operate');
    if (no) return no;
    const [material, number, quantity, state] = [String(body['material'] ?? ''), String(body['number'] ?? ''), Number(body['quantity']), String(body['state'] ?? 'Released')];
    for (const [name, text] of [['material', material], ['number', number]] as const) if (text === '' || text.length > 128 || text.trim() !== text) return badRequest(`"${name}" must be 1 to 128 bytes, without white space around`);
    if (!(quantity > 0 && quantity <= 1e9)) return badRequest('"quantity" must be more than 0 and at most 1,000,000,000');
    if (!['Released', 'Quarantine', 'Hold'].includes(state)) return badRequest(`what comes is not ${state}`, 'write Released, Quarantine or Hold');
    const content = JSON.stringify(rest);
    const before = this.#receipts.get(key);
    if (before) {
      const there = this.known(before.id);
      return before.content === content && there ? ok(this.lotView(there)) : problem(409, 'conflict', 'not possible now', 'something else was asked with this key', 'send it with a new key');
    }
    const known = this.#all.find((one) => one.kind === 'lot' && one.material === material && one.number === number);
    if (known?.quantity != null) return problem(409, 'conflict', 'not possible now', `lot ${material} ${number} is there with another quantity`, 'look whether it is the same lot; another delivery of it gets a lot number of its own');
    const place = body['place'] === undefined ? null : String(body['place']);
    const lot = known ?? this.item(1000 + this.items.length, 'lot', material, body['revision'] === undefined ? null : String(body['revision']), number, quantity, place, this.now());
    lot.state = state;
    this.#receipts.set(key, { content, id: lot.id });
    return ok(this.lotView(lot));
  }

  #certified(id: string): Reply {
    const no = this.mayNot('configure');
    if (no) return no;
    const unit = this.known(id);
    if (unit?.kind !== 'unit') return notThere('this serial unit');
    if (!this.finished.has(id)) return problem(409, 'conflict', 'not possible now', `unit ${unit.material} ${unit.number} is not finished`, 'wait until it has passed the last station');
    const former = this.certificates.filter((one) => one.unit === id);
    const number = `${(former[0]?.number ?? `HP16-2026-${unit.number.slice(-6)}`).replace(/-\d$/, '')}-${former.length + 1}`;
    former.at(-1)!.superseded_by = number;
    this.certificates.push({ unit: id, number, issued_ms: this.now(), superseded_by: null });
    return ok(this.unitView(unit));
  }

  #identified(id: string): Reply {
    if (!this.may('administer', '')) return problem(403, 'not-allowed', 'not allowed', 'not allowed: Administer needs the role Administrator', 'ask an administrator for this role');
    const unit = this.known(id);
    if (unit?.kind !== 'unit') return notThere('this serial unit');
    if (this.#identities.has(id)) return problem(409, 'conflict', 'not possible now', 'this unit has its credential already', 'renew the password of the device');
    this.#identities.set(id, this.now());
    return ok({ device: id, user: id, password: 'Vw3-kR8f-Tq2n-Lx7c', topics: `units/${id}/#` });
  }

  mayNot(action: 'operate' | 'configure'): Reply | null {
    if ([MOUNT, TEST].some((station) => this.may(action, station))) return null;
    const [what, role] = action === 'operate' ? ['Operate', 'Operator'] : ['Configure', 'Engineer'];
    return problem(403, 'not-allowed', 'not allowed', `not allowed: ${what} on "${MOUNT}" needs the role ${role} there`, 'ask an administrator for this role');
  }

  #decided(id: string, body: Json): Reply {
    const [key, state, reason] = [String(body['key'] ?? ''), String(body['state'] ?? ''), String(body['reason'] ?? '')];
    if (!UUID.test(key)) return noKey;
    const no = this.mayNot('operate');
    if (no) return no;
    const bytes = new TextEncoder().encode(reason).length;
    if (bytes === 0 || bytes > 500 || reason.trim() !== reason) return badRequest('"reason" must be 1 to 500 bytes, without white space around');
    if (!STATES.includes(state)) return badRequest(`"${state}" is not known as "state"`, `known are: ${STATES.join(', ')}`);
    const item = this.known(id);
    if (!item) return notThere('this lot or unit');
    const content = `${id}|${state}|${reason}`;
    const before = this.#keys.get(key);
    if (before !== undefined && before !== content) return problem(409, 'conflict', 'not possible now', 'something else was asked with this key', 'send it with a new key');
    if (before === undefined) this.decide(item, state, this.now(), this.who(), reason);
    this.#keys.set(key, content);
    return ok(this.lotView(item));
  }
}

export const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/i;
export const noKey: Reply = { status: 422, text: { type: 'text/plain; charset=utf-8', content: 'Failed to deserialize the JSON body into the target type: missing field `key`' } };
const cert = (i: number): string => `HP16-2026-${String(4701 + i).padStart(6, '0')}`;
export const ok = (body: unknown): Reply => ({ status: 200, body });
export const badRequest = (detail: string, remedy?: string): Reply => problem(400, 'bad-request', 'the request cannot be understood', detail, remedy);
export const notThere = (what: string, remedy?: string): Reply => problem(404, 'not-found', 'there is no such thing', `${what} is not known here`, remedy);
export function problem(status: number, kind: string, title: string, detail: string, remedy?: string): Reply {
  return { status, body: { type: `andon:${kind}`, title, status, detail, ...(remedy ? { remedy } : {}) } };
}

/** A picture as large as a code of the server's, with squares that mean nothing: the mock codes nothing. */
function label(number: string): string {
  const cells: string[] = [];
  for (let i = 0; i < 21 * 21; i += 1) if ((i * 7919 + number.charCodeAt(i % number.length) * (i + 3)) % 5 < 2) cells.push(`M${(i % 21) + 4} ${Math.floor(i / 21) + 4}h1v1h-1z`);
  return `<?xml version="1.0" standalone="yes"?><svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="261" height="261" viewBox="0 0 29 29" shape-rendering="crispEdges"><rect width="29" height="29" fill="white"/><path fill="black" d="${cells.join('')}"/></svg>`;
}
