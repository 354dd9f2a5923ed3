// Mixing vessels in the mock: one that mixes ideally, one in which things stay in the order in which they came. Each change is kept with what
// was in it afterwards, so a date asks for the state after the last change before it.

import { badRequest, noKey, notThere, ok, problem, UUID, type MockTrace, type Reply } from './trace';

type Json = Record<string, unknown>;
type Contents = { id: string; quantity: number }[];
interface MockFlow {
  turn: number;
  kind: string;
  at_ms: number;
  quantity: number;
  level: number;
  item: string | null;
  into: string | null;
  place: string | null;
  by: string | null;
  by_name: string | null;
  reason: string;
  after: Contents;
}
interface MockVessel {
  path: string;
  mixing: 'ideal' | 'plug';
  material: string | null;
  unit: string;
  capacity: number | null;
  contents: Contents;
  flows: MockFlow[];
}

const MIN = 60_000;
const sum = (contents: Contents): number => contents.reduce((all, one) => all + one.quantity, 0);
const round = (n: number): number => Math.round(n * 1e6) / 1e6;

export class MockVessels {
  readonly vessels: MockVessel[] = [];
  #keys = new Map<string, string>();

  constructor(
    readonly trace: MockTrace,
    readonly me: () => { id: string; name: string },
  ) {
    const { start } = trace;
    const syrup = [['S-301', 600], ['S-302', 900]] as const;
    const lots = syrup.map(([number, quantity], i) => trace.item(110 + i, 'lot', 'SYRUP', null, number, quantity, 'store/tanks', start - (30 - i) * 60 * MIN));
    const tank: MockVessel = { path: 'works/nord/bottling/line1/filler', mixing: 'ideal', material: 'SYRUP', unit: 'kg', capacity: 1000, contents: [], flows: [] };
    const silo: MockVessel = { path: 'works/nord/bottling/line2/filler', mixing: 'plug', material: null, unit: 'kg', capacity: null, contents: [], flows: [] };
    this.vessels.push(tank, silo);
    const [first, second] = lots;
    if (!first || !second) return;
    for (const [lot, quantity] of [[first, 400], [second, 500]] as const) for (const lies of lot.stock) lies.quantity -= quantity;
    this.#flow(tank, 'fill', 400, { item: first.id, place: 'store/tanks', at: start - 300 * MIN, by_name: 'Jonas Weber' });
    this.#flow(tank, 'draw', 100, { place: null, at: start - 240 * MIN, by_name: 'Jonas Weber' });
    this.#flow(tank, 'fill', 500, { item: second.id, place: 'store/tanks', at: start - 120 * MIN, by_name: 'Jonas Weber' });
  }

  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what = '', encoded = '', deed = ''] = path.split('/');
    if (what !== 'vessels') return null;
    const look = this.trace.handle('GET', '/api/mes/lots', new URLSearchParams({ limit: '1' }), {});
    if (look && look.status !== 200) return look;
    const all = this.trace.empty ? [] : this.vessels;
    if (encoded === '') return ok({ vessels: all.map((one) => this.#view(one, one.contents, one.flows[0]?.at_ms ?? null)), truncated: false });
    const vessel = all.find((one) => one.path === decodeURIComponent(encoded));
    if (!vessel) return notThere('this vessel');
    if (method === 'GET') return this.#detail(vessel, query.get('at_ms') === null ? null : Number(query.get('at_ms')));
    const no = this.trace.mayNot('operate');
    if (no) return no;
    if (!UUID.test(String(body['key'] ?? ''))) return noKey;
    const content = JSON.stringify([path, body]);
    const before = this.#keys.get(String(body['key']));
    if (before !== undefined && before !== content) return problem(409, 'conflict', 'not possible now', 'under this key another change was made', 'send it with a new key');
    const refused = before === undefined ? this.#do(vessel, deed, body) : null;
    if (refused) return refused;
    this.#keys.set(String(body['key']), content);
    return this.#detail(vessel, null);
  }

  #view(vessel: MockVessel, contents: Contents, changed: number | null): Json {
    const { path, mixing, material, unit, capacity } = vessel;
    return { path, mixing, material, unit, capacity, level: round(sum(contents)), lots: contents.length, changed_ms: changed };
  }
  #item(id: string | null): Json | null {
    const item = id === null ? undefined : this.trace.known(id);
    return item ? this.trace.view(item) : null;
  }
  #detail(vessel: MockVessel, at: number | null): Reply {
    if (at !== null && !(at >= 0 && at <= this.trace.now())) return badRequest('"at_ms" must be a time from 1970 on that is not in the future');
    const flows = vessel.flows.filter((one) => at === null || one.at_ms <= at);
    const contents = at === null ? vessel.contents : (flows[0]?.after ?? []);
    const all = sum(contents);
    return ok({
      vessel: this.#view(vessel, contents, flows[0]?.at_ms ?? null), at_ms: at,
      contents: contents.map((one) => ({ item: this.#item(one.id), quantity: round(one.quantity), share: all > 0 ? one.quantity / all : 0 })),
      flows: flows.map(({ after: _after, ...one }) => ({ ...one, told_ms: one.at_ms, job: null, item: this.#item(one.item), into: this.#item(one.into) })), next: null,
    });
  }

  /** Ideally mixed, what leaves is as what is in there; in a plug what came first leaves first. */
  #flow(vessel: MockVessel, kind: string, quantity: number, more: { item?: string; into?: string; place: string | null; at: number; by_name: string; reason?: string }): void {
    let contents = vessel.contents.map((one) => ({ ...one }));
    if (kind === 'fill' && more.item) {
      const last = vessel.mixing === 'ideal' ? contents.find((one) => one.id === more.item) : contents.at(-1);
      if (last?.id === more.item) last.quantity += quantity;
      else contents.push({ id: more.item, quantity });
    } else if (vessel.mixing === 'ideal') {
      const left = 1 - quantity / (sum(contents) || 1);
      contents = contents.map((one) => ({ ...one, quantity: one.quantity * left })).filter((one) => one.quantity > 1e-9);
    } else {
      for (let rest = quantity; rest > 1e-9 && contents[0]; ) {
        const taken = Math.min(rest, contents[0].quantity);
        contents[0].quantity -= taken;
        rest -= taken;
        if (contents[0].quantity <= 1e-9) contents.shift();
      }
    }
    vessel.contents = contents;
    vessel.flows.unshift({ turn: vessel.flows.length + 1, kind, at_ms: more.at, quantity, level: round(sum(contents)), item: more.item ?? null, into: more.into ?? null, place: more.place, by: this.me().id || 'p9', by_name: more.by_name, reason: more.reason ?? '', after: contents.map((one) => ({ ...one })) });
  }

  #do(vessel: MockVessel, deed: string, body: Json): Reply | null {
    const [now, { name }] = [this.trace.now(), this.me()];
    const quantity = Number(body['quantity'] ?? 0);
    const conflict = (detail: string, remedy: string): Reply => problem(409, 'conflict', 'not possible now', detail, remedy);
    const level = sum(vessel.contents);
    if ((deed === 'fill' || deed === 'draw') && !(quantity > 0)) return badRequest('"quantity" must be more than 0 and at most 1,000,000,000');
    if (deed === 'fill') {
      const item = this.trace.known(String(body['item']));
      if (!item) return notThere('this lot or unit');
      if (item.state !== 'Released') return conflict(`lot ${item.material} ${item.number} may not be used: its state is ${item.state}`, 'use another, or have somebody release it');
      if (vessel.material !== null && item.material !== vessel.material) return problem(422, 'refused', 'this cannot be', `${vessel.path} is for ${vessel.material}, and this is ${item.material}`, 'fill it into another vessel');
      if (vessel.capacity !== null && level + quantity > vessel.capacity) return conflict(`${vessel.path} holds ${vessel.capacity}; ${round(level)} are in it, and ${quantity} more do not fit`, 'draw something first');
      const place = typeof body['from'] === 'string' ? body['from'] : null;
      const lies = item.stock.find((one) => one.place === place);
      if (place !== null && (lies?.quantity ?? 0) < quantity) return conflict(`in ${place} there is ${lies?.quantity ?? 0} of ${item.material} ${item.number}`, 'look what lies where');
      if (lies) lies.quantity -= quantity;
      this.#flow(vessel, 'fill', quantity, { item: item.id, place, at: now, by_name: name });
      return null;
    }
    if (deed === 'draw') {
      if (quantity > level) return conflict(`in ${vessel.path} there is ${round(level)}; ${quantity} cannot be drawn`, 'look what is in it as it is now');
      const into = body['into'] as { item?: string; material?: string; number?: string };
      const known = into.item ? this.trace.known(into.item) : this.trace.items.find((one) => one.kind === 'lot' && one.material === into.material && one.number === into.number);
      if (into.item && !known) return notThere('this lot or unit');
      const place = typeof body['place'] === 'string' ? body['place'] : null;
      const made = known ?? this.trace.item(3000 + this.trace.items.length, 'lot', String(into.material), null, String(into.number), quantity, place, now);
      for (const one of vessel.contents) this.trace.links.push({ from: one.id, to: made.id, quantity: round((quantity * one.quantity) / level), position: '', at_ms: now, removed_ms: null, replaced_by: null, equipment: vessel.path });
      this.#flow(vessel, 'draw', quantity, { into: made.id, place, at: now, by_name: name });
      return null;
    }
    const reason = String(body['reason'] ?? '');
    if (deed === 'empty') {
      if (level === 0) return conflict(`${vessel.path} is empty already`, 'look what is in it as it is now');
      this.#flow(vessel, 'empty', level, { place: null, at: now, by_name: name, reason });
      vessel.contents = [];
      return null;
    }
    if (deed === 'level') {
      const wanted = Number(body['level']);
      if (!(wanted >= 0) || reason.trim() === '') return badRequest('"level" must be 0 or more, and "reason" says why');
      if (wanted > level) return conflict('more was weighed than came: where it came from is not known here', 'fill what came, with its lot');
      this.#flow(vessel, 'loss', level - wanted, { place: null, at: now, by_name: name, reason });
      return null;
    }
    return notThere('this address');
  }
}
