// The logbook, hand-overs and labour in the mock: rights, keys and words as the server has them (`crates/api/src/routes/logbook.rs`,
// `labour.rs`, `crates/server/src/shift`). A shift with a few entries, one of them corrected; two hand-overs that wait; three people at work.

import { equipment } from './plant';

type Json = Record<string, unknown>;
interface Reply {
  status: number;
  body?: unknown;
}
interface MockEntry {
  number: number;
  path: string;
  kind: string;
  text: string;
  at: number;
  by: string;
  pinned: boolean;
  settled: boolean;
  corrects: number | null;
  links: Json;
  handover: { items: Json[]; kept: number[]; confirmed: { at: number; by: string; note: string } | null } | null;
}
interface MockSpan {
  number: number;
  person: string;
  path: string;
  from: number;
  to: number | null;
  ended: string | null;
  corrections: Json[];
}
export interface MockPerson {
  id: string;
  name: string;
}
/** What the rest of the mock knows. */
export interface Around {
  may: (action: string, path: string) => boolean;
  me: () => MockPerson;
  nameOf: (id: string) => string | null;
  jobs: () => { id: string; number: string; title: string; order: string; equipment: string | null; state: string; substate: string | null; good: number; quantity: number; started_ms: number | null }[];
  alarms: () => Json[];
}

const MIN = 60_000;
const HOUR = 60 * MIN;
const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';
const WRITTEN = ['note', 'safety', 'quality', 'production', 'material', 'maintenance'];
/** Who supervises what. */
const SUPERVISORS: Readonly<Record<string, string>> = { u5: LINE1 };

export class MockShift {
  readonly entries: MockEntry[] = [];
  readonly spans: MockSpan[] = [];
  /** Nothing written, nobody there. */
  empty = false;
  /** The node can write nothing at the moment. */
  sick = false;
  #keys = new Map<string, { content: string; answer: () => Reply }>();

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly around: Around,
  ) {
    this.#make();
  }

  // What there is

  #make(): void {
    const { start } = this;
    const write = (ago: number, by: string, path: string, kind: string, text: string, more: Partial<MockEntry> = {}): MockEntry => this.#append({ path, kind, text, at: start - ago * MIN, by, ...more });
    for (let i = 0; i < 60; i += 1) write(60 * 30 - i * 14, i % 3 ? 'u2' : 'u4', i % 2 ? `${LINE1}/filler` : LINE2, i % 5 === 0 ? 'production' : 'note', `Hourly round ${i + 1}: nothing out of the ordinary.`);
    write(760, 'u2', LINE1, 'safety', 'Guard of the packer was found open at the start of the shift.\nClosed it, locked it, told the safety officer.', { links: { machine: `${LINE1}/packer` } });
    const wrong = write(310, 'u2', LINE1, 'quality', 'Caps of lot C-77 sit loose. Torque at 1.51 N·m on head 3.', { pinned: true, links: { order: '4711', machine: `${LINE1}/capper` } });
    write(306, 'u2', LINE1, 'quality', 'Caps of lot C-78 sit loose, not C-77. Torque at 1.51 N·m on head 3.', { pinned: true, corrects: wrong.number, links: { order: '4711', machine: `${LINE1}/capper` } });
    write(200, 'u1', LINE1, 'maintenance', 'Glue nozzle of the labeller drips. Spare part is ordered; comes tomorrow.', { pinned: true, links: { machine: `${LINE1}/labeller`, alarm: `${LINE1}/labeller/state:state`, maintenance: 'M-204' } });
    write(120, 'u4', LINE2, 'material', 'Only two pallets of preforms left at line 2.', { pinned: true });
    write(40, 'u9', LINE1, 'note', 'Fork-lift 3 is back from the workshop.');
    const confirmed = write(500, 'u4', LINE1, 'handover', 'Quiet shift. Packer ran at 80 % because of the motor current.', {});
    confirmed.handover = { items: [], kept: [], confirmed: { at: start - 495 * MIN, by: 'u2', note: 'Looked at the packer together.' } };
    const theirs = write(25, 'u4', LINE2, 'handover', 'Line 2: preforms run out at about 15:00. Ask the store at 13:00.\nCapper torque is low on head 3, keep an eye on it.', {});
    const mine = write(15, 'u1', LINE1, 'handover', 'Line 1: labeller stopped, web torn. 4711 is behind by 40 minutes.', {});
    theirs.handover = { items: this.#open(LINE2), kept: [], confirmed: null };
    mine.handover = { items: this.#open(LINE1), kept: [], confirmed: null };
    const on = (person: string, path: string, ago: number, length: number | null, ended: string | null): MockSpan => this.#span(person, path, start - ago * MIN, length === null ? null : start - (ago - length) * MIN, ended);
    on('u2', LINE1, 175, null, null);
    on('u4', `${LINE1}/filler`, 160, null, null);
    on('u5', LINE2, 90, null, null);
    on('u1', LINE2, 26 * 60, 7 * 60, 'self');
    on('u4', LINE1, 25 * 60, 8.5 * 60, 'rule').corrections.push({ at_ms: start - 20 * HOUR, by: 'u1', by_name: null, was_from_ms: start - 25 * HOUR, was_to_ms: start - 14 * HOUR, reason: 'forgot to sign off; left at half past two' });
    on('u2', LINE2, 9 * 60, 240, 'elsewhere');
  }

  #append(more: Pick<MockEntry, 'path' | 'kind' | 'text' | 'at' | 'by'> & Partial<MockEntry>): MockEntry {
    const one: MockEntry = { pinned: false, settled: false, corrects: null, links: {}, handover: null, ...more, number: this.entries.length + 1 };
    this.entries.push(one);
    return one;
  }
  #span(person: string, path: string, from: number, to: number | null, ended: string | null): MockSpan {
    const one: MockSpan = { number: this.spans.length + 1, person, path, from, to, ended, corrections: [] };
    this.spans.push(one);
    return one;
  }

  #correctedBy(entry: MockEntry): number | null {
    return this.entries.find((one) => one.corrects === entry.number)?.number ?? null;
  }
  #isOpen(entry: MockEntry): boolean {
    if (entry.handover) return entry.handover.confirmed === null;
    return entry.pinned && !entry.settled && this.#correctedBy(entry) === null;
  }
  /** Two shifts of eight hours, from six and from fourteen o'clock UTC. */
  #shiftAt(at: number): Json | null {
    const day = Math.floor(at / (24 * HOUR)) * 24 * HOUR;
    const hour = (at - day) / HOUR;
    if (hour < 6 || hour >= 22) return null;
    return hour < 14 ? { name: 'Early', from_ms: day + 6 * HOUR, to_ms: day + 14 * HOUR } : { name: 'Late', from_ms: day + 14 * HOUR, to_ms: day + 22 * HOUR };
  }
  #entryView(e: MockEntry): Json {
    return {
      number: e.number, path: e.path, kind: e.kind, text: e.text, at_ms: e.at, by: e.by, by_name: this.around.nameOf(e.by), shift: this.#shiftAt(e.at), pinned: e.pinned,
      open: this.#isOpen(e), corrects: e.corrects, corrected_by: this.#correctedBy(e), links: e.links, handover: e.handover !== null,
    };
  }
  #handoverView(e: MockEntry): Json {
    const done = e.handover?.confirmed ?? null;
    return {
      number: e.number, path: e.path, shift: this.#shiftAt(e.at), summary: e.text, at_ms: e.at, by: e.by, by_name: this.around.nameOf(e.by), items: e.handover?.items ?? [], truncated: false, kept: e.handover?.kept ?? [],
      state: done ? 'confirmed' : 'waiting', confirmed_at_ms: done?.at ?? null, confirmed_by: done?.by ?? null, confirmed_by_name: done ? this.around.nameOf(done.by) : null, note: done?.note ?? '',
    };
  }
  #spanView(s: MockSpan): Json {
    return { number: s.number, person: s.person, name: this.around.nameOf(s.person), path: s.path, from_ms: s.from, to_ms: s.to, ended: s.ended, ends_by_ms: this.#endsBy(s), corrections: s.corrections.map((c) => ({ ...c, by_name: this.around.nameOf(String(c['by'])) })) };
  }
  #endsBy(s: MockSpan): number {
    return s.from + 12 * HOUR;
  }

  /** What is open at a place. */
  #open(path: string): Json[] {
    const jobs = this.around.jobs().filter((job) => under(job.equipment ?? '', path) && (job.state === 'Running' || job.state === 'Interrupted'));
    const alarms = this.around.alarms().filter((a) => under(String(a['equipment']), path));
    const open = this.entries.filter((e) => under(e.path, path) && this.#isOpen(e)).toReversed();
    const stop = `${LINE2}/filler`;
    const ofEntry = (e: MockEntry): Json => ({ kind: e.handover ? 'handover' : 'entry', path: e.path, title: e.text.split('\n')[0], since_ms: e.at, state: null, entry: e.number });
    return [
      ...jobs.map((job) => ({ kind: 'job', path: job.equipment, title: `${job.number} ${job.title}, ${job.good} of ${job.quantity}`, since_ms: job.started_ms ?? 0, state: job.substate ? `${job.state} (${job.substate})` : job.state, job: job.id, order: job.order })),
      ...alarms.map((a) => ({ kind: 'alarm', path: a['equipment'], title: a['message'], since_ms: a['raised_ms'], state: a['state'], alarm: a['name'] })),
      ...(under(stop, path) ? [{ kind: 'stop', path: stop, title: 'Stopped for 17 min, nobody has said why', since_ms: this.start - 70 * MIN, state: null }] : []),
      ...open.filter((e) => !e.handover).map(ofEntry),
      ...open.filter((e) => e.handover).map(ofEntry),
    ];
  }

  // What is asked

  handle(method: string, path: string, query: URLSearchParams, body: Json): Reply | null {
    const [, , , what, id, deed] = path.split('/');
    if (!['logbook', 'handover', 'handovers', 'labour'].includes(what ?? '')) return null;
    if (method !== 'GET' && this.sick) return problem(503, 'this cannot be done at the moment', 'the records cannot be written: disk is full', 'make room on the disk, then send it again');
    if (what === 'logbook') return method === 'POST' ? this.#write(body) : id ? this.#oneEntry(Number(id)) : this.#list(query);
    if (what === 'handover') return this.#propose(query.get('path') ?? '');
    if (what === 'handovers') return method === 'POST' ? (deed === 'confirm' ? this.#confirm(Number(id), body) : this.#handOver(body)) : id ? this.#oneHandover(Number(id)) : this.#handovers(query);
    if (method === 'POST') return id === 'sign-on' ? this.#signOn(body) : id === 'sign-off' ? this.#signOff(body) : this.#correct(Number(deed), body);
    if (id === 'now') return this.#present(query.get('path') ?? '');
    return id === 'spans' ? this.#listSpans(query) : this.#worked(query);
  }

  #sees(path: string): boolean {
    return !this.empty && equipment.some((e) => e.path === path) && this.around.may('view', path);
  }
  /** Does it once for each key; the same again gets the same answer. */
  #once(body: Json, what: string, doing: () => Reply): Reply {
    const key = String(body['key'] ?? '');
    if (!/^[0-9a-f-]{36}$/.test(key)) return problem(400, 'this cannot be understood', '"key" must be a UUID');
    const content = JSON.stringify([what, this.around.me().id, { ...body, key: '' }]);
    const known = this.#keys.get(key);
    if (known) return known.content === content ? { ...known.answer(), status: 200 } : problem(409, 'not possible now', 'this key was used for another request', 'send another request with a new key');
    const reply = doing();
    if (reply.status < 300) this.#keys.set(key, { content, answer: () => reply });
    return reply;
  }
  #barred(path: string): Reply | null {
    if (!this.#sees(path)) return problem(404, 'There is no such thing', 'this place is not known here', 'write the path of a node of the plant, such as works/line1');
    return this.around.may('operate', path) ? null : problem(403, 'not allowed', 'this needs the role operator there', 'ask an administrator for it');
  }

  #list(query: URLSearchParams): Reply {
    const [path, kinds, text] = [query.get('path') ?? '', (query.get('kind') ?? '').split(',').filter(Boolean), (query.get('text') ?? '').toLowerCase()];
    const limit = Number(query.get('limit') ?? 100);
    const after = query.has('after') ? Number(query.get('after')) : Infinity;
    const open = query.get('open');
    const found = this.entries.toReversed().filter((e) => this.#sees(e.path) && under(e.path, path) && (!kinds.length || kinds.includes(e.kind)) && e.text.toLowerCase().includes(text) && e.number < after && (open === null || String(this.#isOpen(e)) === open));
    return ok({ entries: found.slice(0, limit).map((e) => this.#entryView(e)), next: found.length > limit ? (found[limit - 1]?.number ?? null) : null });
  }
  #oneEntry(number: number): Reply {
    const entry = this.entries[number - 1];
    return entry && this.#sees(entry.path) ? ok(this.#entryView(entry)) : problem(404, 'There is no such thing', 'this entry is not known here');
  }
  #write(body: Json): Reply {
    const path = String(body['path']);
    const barred = this.#barred(path);
    if (barred) return barred;
    const text = String(body['text'] ?? '');
    if (!text.trim() || new TextEncoder().encode(text).length > 4000) return problem(400, 'this cannot be understood', '"text" must be 1 to 4000 bytes');
    if (!WRITTEN.includes(String(body['kind']))) return problem(400, 'this cannot be understood', `"${String(body['kind'])}" is no kind of an entry`, `write one of ${WRITTEN.join(', ')}`);
    const wrong = typeof body['corrects'] === 'number' ? this.entries[body['corrects'] - 1] : undefined;
    if (wrong && wrong.by !== this.around.me().id && !this.around.may('configure', wrong.path)) return problem(403, 'not allowed', 'this needs the role engineer there', 'ask an administrator for it');
    return this.#once(body, 'entry', () => {
      if (wrong && (wrong.handover || wrong.path !== path)) return problem(422, 'not accepted', `entry ${wrong.number} cannot be corrected by this one`, 'correct an entry of the same place that is no hand-over; of a hand-over, write a new one');
      const other = wrong ? this.#correctedBy(wrong) : null;
      if (other !== null) return problem(409, 'not possible now', `it has been corrected by entry ${other}`, `look at entry ${other}, and correct that one`);
      const made = this.#append({ path, kind: String(body['kind']), text, at: this.now(), by: this.around.me().id, pinned: body['pinned'] === true, corrects: wrong?.number ?? null, links: (body['links'] as Json | undefined) ?? {} });
      return { status: 201, body: this.#entryView(made) };
    });
  }

  #propose(path: string): Reply {
    const now = this.now();
    return this.#barred(path) ?? ok({ path, now_ms: now, shift: this.#shiftAt(now), from_ms: Number(this.#shiftAt(now)?.['from_ms'] ?? now - 24 * HOUR), items: this.#open(path).slice(0, 200), truncated: false });
  }
  #handOver(body: Json): Reply {
    const path = String(body['path']);
    const barred = this.#barred(path);
    if (barred) return barred;
    if (!String(body['summary'] ?? '').trim()) return problem(400, 'this cannot be understood', '"summary" must be 1 to 4000 bytes');
    return this.#once(body, 'hand-over', () => {
      const items = this.#open(path);
      const kept = (body['keep'] as number[] | undefined) ?? [];
      const strange = kept.find((number) => !items.some((item) => item['kind'] === 'entry' && item['entry'] === number));
      if (strange !== undefined) return problem(422, 'not accepted', `entry ${strange} is not among what is open here`, 'keep only entries that the proposal names');
      const made = this.#append({ path, kind: 'handover', text: String(body['summary']), at: this.now(), by: this.around.me().id, handover: { items, kept, confirmed: null } });
      return { status: 201, body: this.#handoverView(made) };
    });
  }
  #handovers(query: URLSearchParams): Reply {
    const path = query.get('path') ?? '';
    const limit = Number(query.get('limit') ?? 100);
    const after = query.has('after') ? Number(query.get('after')) : Infinity;
    const found = this.entries.toReversed().filter((e) => e.handover && this.#sees(e.path) && under(e.path, path) && e.number < after && (!query.has('state') || (query.get('state') === 'waiting') === this.#isOpen(e)));
    return ok({ handovers: found.slice(0, limit).map((e) => this.#handoverView(e)), next: found.length > limit ? (found[limit - 1]?.number ?? null) : null });
  }
  #oneHandover(number: number): Reply {
    const entry = this.entries[number - 1];
    return entry?.handover && this.#sees(entry.path) ? ok(this.#handoverView(entry)) : problem(404, 'There is no such thing', 'this hand-over is not known here');
  }
  #confirm(number: number, body: Json): Reply {
    const entry = this.entries[number - 1];
    if (!entry?.handover || !this.#sees(entry.path)) return problem(404, 'There is no such thing', 'this hand-over is not known here');
    const barred = this.#barred(entry.path);
    if (barred) return barred;
    const { handover } = entry;
    const me = this.around.me();
    if (entry.by === me.id) return problem(422, 'not accepted', 'who has handed over does not confirm it', 'have somebody of the coming shift confirm it');
    return this.#once(body, `confirm ${number}`, () => {
      if (handover.confirmed) return problem(409, 'not possible now', `${this.around.nameOf(handover.confirmed.by) ?? 'somebody'} has confirmed it already`, 'look at the hand-over as it is now');
      handover.confirmed = { at: this.now(), by: me.id, note: String(body['note'] ?? '') };
      for (const item of handover.items) {
        const told = this.entries[Number(item['entry']) - 1];
        if (item['kind'] === 'entry' && told && !handover.kept.includes(told.number)) told.settled = true;
      }
      return ok(this.#handoverView(entry));
    });
  }
  /** Somebody else is faster. */
  confirmedBy(number: number, by: string): void {
    const handover = this.entries[number - 1]?.handover;
    if (handover) handover.confirmed = { at: this.now(), by, note: '' };
  }
  /** Somebody else writes. */
  wroteBy(by: string, path: string, text: string): void {
    this.#append({ path, kind: 'note', text, at: this.now(), by });
  }

  // Labour

  #supervises(path: string): boolean {
    const branch = SUPERVISORS[this.around.me().id];
    return this.around.may('administer', path) || (branch !== undefined && under(path, branch));
  }
  #seesPerson(span: MockSpan): boolean {
    return span.person === this.around.me().id || this.#supervises(span.path);
  }
  #on(person: string): MockSpan | undefined {
    return this.spans.find((s) => s.person === person && s.to === null);
  }
  #signOn(body: Json): Reply {
    const path = String(body['path']);
    const barred = this.#barred(path);
    if (barred) return barred;
    if (!equipment.some((e) => e.level === 'work_unit' && under(e.path, path))) return problem(422, 'not accepted', `no machine stands at or below ${path}`, 'sign on at a machine, or at a node above one');
    return this.#once(body, 'sign-on', () => {
      const { id } = this.around.me();
      const before = this.#on(id);
      if (before?.path === path) return ok(this.#spanView(before));
      if (before) Object.assign(before, { to: this.now(), ended: 'elsewhere' });
      return { status: 201, body: this.#spanView(this.#span(id, path, this.now(), null, null)) };
    });
  }
  #signOff(body: Json): Reply {
    return this.#once(body, 'sign-off', () => {
      const before = this.#on(this.around.me().id);
      if (!before) return problem(409, 'not possible now', 'not signed on anywhere', 'sign on first; what ended by rule is put right by a supervisor');
      Object.assign(before, { to: this.now(), ended: 'self' });
      return ok(this.#spanView(before));
    });
  }
  #present(path: string): Reply {
    if (!this.#sees(path)) return problem(404, 'There is no such thing', 'this place is not known here');
    const there = this.spans.filter((s) => s.to === null && under(s.path, path));
    const places = [...new Set(there.map((s) => s.path))].sort().map((place) => {
      const at = there.filter((s) => s.path === place);
      return { path: place, people: at.length, persons: at.filter((s) => this.#seesPerson(s)).map((s) => ({ person: s.person, name: this.around.nameOf(s.person), since_ms: s.from })) };
    });
    const me = this.#on(this.around.me().id);
    return ok({ now_ms: this.now(), places, me: me ? this.#spanView(me) : null });
  }
  #windowed(query: URLSearchParams): { path: string; from: number; to: number; spans: MockSpan[] } | Reply {
    const [path, from, to] = [query.get('path') ?? '', Number(query.get('from_ms')), Number(query.get('to_ms'))];
    if (!this.#sees(path)) return problem(404, 'There is no such thing', 'this place is not known here');
    if (to - from > 92 * 24 * HOUR) return problem(400, 'this cannot be understood', 'the window is longer than 92 days', 'ask for less time');
    return { path, from, to, spans: this.spans.filter((s) => under(s.path, path) && s.from < to && (s.to ?? this.now()) > from) };
  }
  #worked(query: URLSearchParams): Reply {
    const asked = this.#windowed(query);
    if ('status' in asked) return asked;
    const { path, from, to, spans } = asked;
    // Four fifths of the time a job stood there; where nobody attended, there is nothing to divide.
    const sum = (list: readonly MockSpan[]): Json => {
      const attendance = list.reduce((ms, s) => ms + Math.max(0, Math.min(s.to ?? this.now(), to, this.now()) - Math.max(s.from, from)), 0);
      const working = Math.round(attendance * (list.every((s) => s.path.startsWith(LINE2)) ? 0.55 : 0.8));
      return { attendance_ms: Math.round(attendance), working_ms: working, worker_efficiency: attendance > 0 ? working / attendance : null };
    };
    const people = (list: readonly MockSpan[]): string[] => [...new Set(list.map((s) => s.person))];
    const places = equipment.map((e) => e.path).filter((one) => under(one, path) && spans.some((s) => under(s.path, one)));
    const seen = spans.filter((s) => this.#seesPerson(s));
    return ok({
      path, from_ms: from, to_ms: to, now_ms: this.now(), people: people(spans).length, ...sum(spans), truncated: false,
      places: places.map((one) => ({ path: one, people: people(spans.filter((s) => under(s.path, one))).length, ...sum(spans.filter((s) => under(s.path, one))) })),
      persons: people(seen).map((person) => ({ person, name: this.around.nameOf(person), ...sum(seen.filter((s) => s.person === person)) })),
    });
  }
  #listSpans(query: URLSearchParams): Reply {
    const asked = this.#windowed(query);
    if ('status' in asked) return asked;
    const seen = asked.spans.filter((s) => this.#seesPerson(s)).toSorted((a, b) => b.from - a.from);
    return ok({ spans: seen.map((s) => this.#spanView(s)), truncated: false });
  }
  #correct(number: number, body: Json): Reply {
    const span = this.spans[number - 1];
    const me = this.around.me();
    if (!span || !this.#seesPerson(span)) return problem(404, 'There is no such thing', 'this sign-on is not known here');
    if (!this.#supervises(span.path) || (span.person === me.id && !this.around.may('administer', span.path))) return problem(403, 'not allowed', "a sign-on is put right by a supervisor of the place, and nobody's by himself", 'ask a supervisor');
    const reason = String(body['reason'] ?? '').trim();
    if (!reason) return problem(400, 'this cannot be understood', '"reason" must be 1 to 200 characters');
    return this.#once(body, `correct ${number}`, () => {
      const [from, to] = [Number(body['from_ms']), body['to_ms'] === null ? null : Number(body['to_ms'])];
      const now = this.now();
      if (from > now || (to ?? now) > now || (to ?? now) - from > 24 * HOUR) return problem(422, 'not accepted', 'a sign-on ends not later than now, and at most 24 hours after its beginning', 'write other times');
      if ((to !== null && to <= from) || (to === null && span.to !== null)) return problem(422, 'not accepted', 'a sign-on that ended does not last again, and none ends before it begins', 'write an end after the beginning');
      const other = this.spans.find((s) => s !== span && s.person === span.person && s.from < (to ?? now) && (s.to ?? now) > from);
      if (other) return problem(409, 'not possible now', `the person was signed on at ${other.path} from ${new Date(other.from).toISOString()} until ${other.to === null ? 'now' : new Date(other.to).toISOString()}`, 'put that one right first, or choose other times');
      span.corrections.push({ at_ms: now, by: me.id, by_name: null, was_from_ms: span.from, was_to_ms: span.to, reason });
      Object.assign(span, { from, to, ended: to === null ? null : 'supervisor' });
      return ok(this.#spanView(span));
    });
  }
}

const under = (path: string, branch: string): boolean => branch === '' || path === branch || path.startsWith(`${branch}/`);
const ok = (body: unknown): Reply => ({ status: 200, body });
const problem = (status: number, title: string, detail: string, remedy?: string): Reply => ({ status, body: { type: 'about:blank', title, status, detail, remedy } });
