// What lies where in the mock: places, containers, movements and exchange, over the lots and units of `trace.ts`. Words and refusals as
// the server has them (`crates/server/src/trace/stock.rs`, `crates/store/src/trace/refusal.rs`).

import { badRequest, noKey, notThere, ok, problem, UUID, type MockItem, type MockLink, type MockTrace, type Reply } from './trace';

type Json = Record<string, unknown>;
interface MockMove {
  item: string;
  at_ms: number;
  from: string | null;
  to: string | null;
  quantity: number;
  by: string | null;
  by_name: string | null;
}

const HOUR = 3_600_000;
const shown = (item: MockItem): string => `${item.material} ${item.number}`;
const isWhole = (item: MockItem): boolean => item.kind === 'unit' || item.kind === 'container';
const conflict = (detail: string, remedy: string): Reply => problem(409, 'conflict', 'not possible now', detail, remedy);
const refused = (detail: string, remedy: string): Reply => problem(422, 'refused', 'this cannot be', detail, remedy);

export class MockStock {
  readonly moves: MockMove[] = [];
  #keys = new Map<string, string>();

  constructor(
    readonly trace: MockTrace,
    readonly me: () => { id: string; name: string },
  ) {
    const { start } = trace;
    const box = trace.items.find((one) => one.number === 'PAL-118');
    if (box) this.moves.push({ item: box.id, at_ms: start - HOUR, from: 'line/pumps', to: 'store/out', quantity: 1, by: 'p9', by_name: 'Jonas Weber' });
    const lot = trace.items.find((one) => one.number === 'V-2212');
    if (lot) this.moves.push({ item: lot.id, at_ms: start - 3 * HOUR, from: 'store/a12', to: 'store/quarantine', quantity: 192, by: 'u1', by_name: 'admin' }, { item: lot.id, at_ms: start - 150 * HOUR, from: null, to: 'store/a12', quantity: 200, by: null, by_name: null });
    trace.item(91, 'container', 'BOX-20', null, '(00)340123450000000017', 1, 'store/a12', start - 3 * HOUR).number = '340123450000000017';
  }

  /** The answer; null for what is none of its addresses. Asked before `trace.ts`, which knows who may look. */
  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what = '', id = '', deed = ''] = path.split('/').map(decodeURIComponent);
    const asks = method === 'GET' && (what === 'stock' || what === 'moves' || (what === 'containers' && id !== ''));
    const does = method === 'POST' && (what === 'containers' || (what === 'lots' && deed === 'move') || (what === 'units' && deed === 'exchange'));
    if (!asks && !does) return null;
    // Who may see nothing of traceability sees no stock.
    const look = this.trace.handle('GET', '/api/mes/lots', new URLSearchParams({ limit: '1' }), {});
    if (look && look.status !== 200) return look;
    if (asks) return what === 'stock' ? this.#stock(query) : what === 'moves' ? this.#moves(query) : this.#container(id);
    const no = this.trace.mayNot('operate');
    if (no) return no;
    if (!UUID.test(String(body['key'] ?? ''))) return noKey;
    return this.#once(path, body, () => (what === 'containers' ? (id === '' ? this.#made(body) : this.#packing(id, deed, body)) : what === 'lots' ? this.#carried(id, body) : this.#exchanged(id, body)));
  }

  /** Sent again with the same key nothing happens a second time. */
  #once(path: string, body: Json, doing: () => Reply): Reply {
    const key = String(body['key']);
    const content = JSON.stringify([path, body]);
    const before = this.#keys.get(key);
    if (before !== undefined && before !== content) return conflict('under this key another change was made; give each change a key of its own', 'send it with a new key');
    if (before !== undefined) return this.#again(path);
    const answer = doing();
    if (answer.status < 300) this.#keys.set(key, content);
    return answer;
  }
  #again(path: string): Reply {
    const [, , , what = '', id = ''] = path.split('/');
    const item = this.trace.known(id) ?? this.trace.items.at(-1);
    if (!item) return notThere('this lot or unit');
    return what === 'containers' ? this.#container(item.id) : ok(what === 'units' ? this.trace.unitView(item) : this.trace.lotView(item));
  }

  #stock(query: URLSearchParams): Reply {
    const place = query.get('place');
    const items = this.trace.empty ? [] : this.trace.items;
    const there = (one: MockItem, at: string): number => one.stock.find((lies) => lies.place === at)?.quantity ?? 0;
    if (place === null) {
      const names = [...new Set(items.flatMap((one) => one.stock.filter((lies) => lies.quantity !== 0).map((lies) => lies.place)))].sort();
      return ok({ places: names.map((name) => ({ place: name, items: items.filter((one) => there(one, name) !== 0).length })), truncated: false });
    }
    const lying = items.filter((one) => there(one, place) !== 0).toSorted((a, b) => b.made - a.made);
    const sum = (of: MockItem[]): number => of.reduce((all, one) => all + there(one, place), 0);
    const materials = [...new Set(lying.map((one) => one.material))].sort().map((material) => {
      const these = lying.filter((one) => one.material === material);
      return { material, unit: UNITS[material] ?? null, quantity: sum(these), released: sum(these.filter((one) => one.state === 'Released')), items: these.length };
    });
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 500)) return badRequest(`"limit" is ${limit}, and must be from 1 to 500`);
    const from = query.get('after') === null ? 0 : lying.findIndex((one) => one.id === query.get('after')) + 1;
    const page = lying.slice(from, from + limit);
    return ok({ place, materials, items: page.map((one) => ({ item: this.trace.view(one), quantity: there(one, place) })), next: from + limit < lying.length ? page.at(-1)?.id : null, truncated: false });
  }

  #moves(query: URLSearchParams): Reply {
    const item = this.trace.known(query.get('item') ?? '');
    if (!item) return notThere('this lot or unit');
    return ok({ moves: this.moves.filter((one) => one.item === item.id).toSorted((a, b) => b.at_ms - a.at_ms).map(({ item: _item, ...rest }) => rest), next: null });
  }

  #packed(item: MockItem): MockLink | undefined {
    return this.trace.links.find((link) => link.from === item.id && link.removed_ms === null && this.trace.known(link.to)?.kind === 'container');
  }
  #inside(container: MockItem): MockLink[] {
    return this.trace.links.filter((link) => link.to === container.id && link.removed_ms === null);
  }

  #container(id: string): Reply {
    const item = this.trace.known(id);
    if (item?.kind !== 'container') return notThere('this container');
    const contents = this.#inside(item).flatMap((link) => {
      const inside = this.trace.known(link.from);
      return inside ? [{ item: this.trace.view(inside), quantity: link.quantity, packed_ms: link.at_ms }] : [];
    });
    return ok({ ...this.trace.lotView(item), contents: contents.toSorted((a, b) => b.packed_ms - a.packed_ms), next: null });
  }

  /** How much is meant: of what is whole one. */
  #howMuch(item: MockItem, body: Json): number | Reply {
    const given = body['quantity'];
    if (isWhole(item)) return given === undefined ? 1 : refused(`a ${item.kind} is one whole`, 'leave "quantity" out');
    return typeof given === 'number' && given > 0 ? given : refused('how much of the lot is not said', 'say "quantity"');
  }

  #carried(id: string, body: Json): Reply {
    const item = this.trace.known(id);
    if (!item) return notThere('this lot or unit');
    const text = (name: string): string | null => (typeof body[name] === 'string' ? (body[name] as string) : null);
    const [from, to] = [text('from'), text('to')];
    if (from === to) return { ...badRequest('it ends where it begins', 'give "from", "to", or both') };
    const quantity = this.#howMuch(item, body);
    if (typeof quantity !== 'number') return quantity;
    const packed = this.#packed(item);
    if (packed && isWhole(item)) return conflict(`${shown(item)} is packed in ${shown(this.trace.known(packed.to) ?? item)}`, 'move the container, or take out what is needed first');
    const there = item.stock.find((lies) => lies.place === from);
    if (from !== null && (there?.quantity ?? 0) < quantity) return conflict(`in ${from} there is ${there?.quantity ?? 0} of ${shown(item)}; ${quantity} cannot be carried away from there`, 'look what lies where (GET /api/mes/stock), and move first what lies elsewhere');
    this.#put(item, from, to, quantity);
    const { id: by, name } = this.me();
    this.moves.push({ item: item.id, at_ms: this.trace.now(), from, to, quantity, by, by_name: name });
    return ok(this.trace.lotView(item));
  }

  /** A container goes with all that lies in it. */
  #put(item: MockItem, from: string | null, to: string | null, quantity: number): void {
    const there = item.stock.find((lies) => lies.place === from);
    if (there) there.quantity -= quantity;
    const here = item.stock.find((lies) => lies.place === to);
    if (here) here.quantity += quantity;
    else if (to !== null) item.stock.push({ place: to, quantity });
    item.stock = item.stock.filter((lies) => lies.quantity !== 0);
    if (item.kind !== 'container') return;
    for (const link of this.#inside(item)) {
      const inside = this.trace.known(link.from);
      if (inside) this.#put(inside, from, to, link.quantity);
    }
  }

  #made(body: Json): Reply {
    const [material, number] = [String(body['material'] ?? ''), String(body['number'] ?? '').replace(/^\(00\)/, '')];
    for (const [name, text] of [['material', material], ['number', number]] as const) if (text === '' || text.trim() !== text) return badRequest(`"${name}" must be 1 to 128 bytes, without white space around`);
    const place = typeof body['place'] === 'string' ? body['place'] : null;
    const known = this.trace.items.find((one) => one.kind === 'container' && one.material === material && one.number === number);
    if (known && place !== null && known.stock[0]?.place !== place) return conflict(`container ${shown(known)} is there already, in another place`, 'move it; if it is another one, give it a number of its own');
    return this.#container((known ?? this.trace.item(2000 + this.trace.items.length, 'container', material, null, number, 1, place, this.trace.now())).id);
  }

  #packing(id: string, deed: string, body: Json): Reply {
    const container = this.trace.known(id);
    if (container?.kind !== 'container') return notThere('this container');
    const item = this.trace.known(String(body['item'] ?? ''));
    if (!item) return notThere('this lot or unit');
    const link = this.#inside(container).find((one) => one.from === item.id);
    if (deed === 'unpack') {
      const quantity = body['quantity'] === undefined ? (link?.quantity ?? 0) : this.#howMuch(item, body);
      if (typeof quantity !== 'number') return quantity;
      if (!link || link.quantity < quantity) return conflict(`in ${shown(container)} there is ${link?.quantity ?? 0} of ${shown(item)}; ${quantity} cannot be taken out`, 'look what lies in the container as it is now');
      if (link.quantity === quantity) link.removed_ms = this.trace.now();
      else link.quantity -= quantity;
      return this.#container(id);
    }
    const quantity = this.#howMuch(item, body);
    if (typeof quantity !== 'number') return quantity;
    const packed = this.#packed(item);
    if (packed && isWhole(item)) return conflict(`${shown(item)} is in ${shown(this.trace.known(packed.to) ?? item)} already; take it out there first`, 'move the container, or take out what is needed first');
    const at = container.stock[0]?.place ?? null;
    const lies = item.stock.find((one) => one.place === at);
    if (item.stock.length && (lies?.quantity ?? 0) < quantity) return conflict(`${shown(item)} lies in ${item.stock.map((one) => one.place).join(', ')}, and ${shown(container)} in ${at ?? 'a place that nobody knows'}`, 'look what lies where (GET /api/mes/stock), and move first what lies elsewhere');
    if (!item.stock.length && at !== null) item.stock = [{ place: at, quantity }];
    if (link) Object.assign(link, { quantity: link.quantity + quantity, at_ms: this.trace.now() });
    else this.trace.links.push({ from: item.id, to: container.id, quantity, position: '', at_ms: this.trace.now(), removed_ms: null, replaced_by: null, equipment: null });
    return this.#container(id);
  }

  #exchanged(id: string, body: Json): Reply {
    const unit = this.trace.known(id);
    if (unit?.kind !== 'unit') return notThere('this serial unit');
    const link = this.trace.links.find((one) => one.from === body['part'] && one.to === id && one.position === body['position'] && one.at_ms === body['put_in_ms'] && one.removed_ms === null);
    const part = this.trace.known(String(body['part']));
    if (!link || !part) return notThere('this part, put into this position of the unit at that time,');
    const reason = String(body['reason'] ?? '');
    if (reason.trim() === '' || reason.length > 500) return badRequest('"reason" must be 1 to 500 bytes, without white space around');
    const with_ = body['with'] === undefined ? null : (this.trace.known(String(body['with'])) ?? null);
    if (body['with'] !== undefined && !with_) return notThere('this lot or unit');
    if (with_ && with_.state !== 'Released') return conflict(`${shown(with_)} may not be used: its state is ${with_.state}`, 'use another, or have somebody release it');
    const elsewhere = with_ && isWhole(with_) ? this.trace.links.find((one) => one.from === with_.id && one.removed_ms === null) : undefined;
    if (with_ && elsewhere) return conflict(`${shown(with_)} is in ${shown(this.trace.known(elsewhere.to) ?? with_)} already; take it out there first`, 'take it out there first, or move the container');
    const now = this.trace.now();
    Object.assign(link, { removed_ms: now, replaced_by: with_?.id ?? null });
    if (with_) this.trace.links.push({ from: with_.id, to: id, quantity: isWhole(with_) ? 1 : link.quantity, position: link.position, at_ms: now, removed_ms: null, replaced_by: null, equipment: null });
    if (isWhole(part) && part.state === 'Released') this.trace.decide(part, 'Quarantine', now, this.me().id, `taken out of ${shown(unit)}: ${reason}`);
    return ok(this.trace.unitView(unit));
  }
}

const UNITS: Record<string, string> = { 'ST-08': 'kg', 'EV-20': 'pcs', 'PCB-7': 'pcs', 'HP-16': 'pcs', 'CP-290': 'pcs' };
