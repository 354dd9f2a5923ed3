// Puts the mock in place of `fetch('/api/…')` and of the WebSocket, so that the UI runs without a server.
// `window.andonMock` lets tests pull the plug, flood the alarm list or empty the plant; `mock.<case>` set to 1 in the
// session storage opens another plant: empty, young (no history yet), long (names of 60 characters), calm (nothing new), restarted (history, and no source yet), flaky (readings are lost for moments, and a device is silent), late (readings came late into a gap), sick (the disk is full). `mock.many`: a gateway with
// so many topics of its own. `mock.many_orders`: so many orders on fifty machines; `mock.no_orders`: none yet. `mock.lines`: so many lines of bottling. `mock.no_stations`: no station tells
// of units; `mock.no_units`: there are stations, and none has passed.

import { MockServer } from './server';
import { tags } from './plant';

type Json = Record<string, unknown>;

const KEY = 'mock.user';
let down = false;
/** The next wish is done, and its answer gets lost. */
let loses = false;
/** Questions whose address has this in it fail: with this status, after so long. */
let failing: { match: string; status: number; delay: number } | null = null;

export function install(): void {
  const start = Number(sessionStorage.getItem('mock.start')) || Date.now();
  sessionStorage.setItem('mock.start', String(start));
  const server = new MockServer(() => Date.now(), start, Number(sessionStorage.getItem('mock.many_orders') ?? 0));
  server.setupNeeded = sessionStorage.getItem('mock.setup') === '1';
  server.empty = sessionStorage.getItem('mock.empty') === '1';
  server.young = sessionStorage.getItem('mock.young') === '1';
  server.sick = sessionStorage.getItem('mock.sick') === '1';
  // No one said whose certificates count.
  server.certificatesAskedFor = sessionStorage.getItem('mock.no_ca') !== '1';
  server.restarted = sessionStorage.getItem('mock.restarted') === '1';
  server.flaky = sessionStorage.getItem('mock.flaky') === '1';
  server.calm = sessionStorage.getItem('mock.calm') === '1';
  server.late = sessionStorage.getItem('mock.late') === '1';
  server.long = sessionStorage.getItem('mock.long') === '1';
  server.orders.empty = server.empty || sessionStorage.getItem('mock.no_orders') === '1';
  server.maintenance.empty = server.empty || sessionStorage.getItem('mock.no_maintenance') === '1';
  server.shift.empty = server.empty;
  server.energy.empty = server.empty || sessionStorage.getItem('mock.no_meters') === '1';
  server.reports.empty = server.empty || sessionStorage.getItem('mock.no_reports') === '1';
  server.tools.empty = server.empty || sessionStorage.getItem('mock.no_tools') === '1';
  server.trace.none = server.empty || sessionStorage.getItem('mock.no_stations') === '1';
  server.trace.empty = sessionStorage.getItem('mock.no_units') === '1';
  server.oee.lines = Number(sessionStorage.getItem('mock.lines') ?? 2);
  server.broker.many = Number(sessionStorage.getItem('mock.many') ?? 0);
  const stored = sessionStorage.getItem(KEY);
  server.user = server.users.find((u) => u.name === stored) ?? null;
  const sockets = new Set<FakeSocket>();

  const realFetch = window.fetch.bind(window);
  window.fetch = async (input, init): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    if (!url.pathname.startsWith('/api/')) return realFetch(input, init);
    await wait(15);
    if (down) throw new TypeError('Failed to fetch');
    const body = typeof init?.body === 'string' ? (JSON.parse(init.body) as Json) : {};
    const fails = failing;
    if (fails && (init?.method ?? 'GET') === 'GET' && `${url.pathname}${url.search}`.includes(fails.match)) {
      await wait(fails.delay, init?.signal);
      const said = { type: 'andon:unavailable', title: 'this cannot be done at the moment', status: fails.status, detail: 'the records cannot be read: disk I/O error' };
      // 200: an answer of a shape that nobody agreed on.
      return new Response(JSON.stringify(fails.status === 200 ? { answer: 42 } : said), { status: fails.status, headers: { 'content-type': 'application/json' } });
    }
    const answer = server.handle(init?.method ?? 'GET', url.pathname, url.searchParams, body);
    if (answer.delay) await wait(answer.delay, init?.signal);
    if (down) throw new TypeError('Failed to fetch');
    if (loses && (init?.method ?? 'GET') !== 'GET') {
      loses = false;
      throw new TypeError('Failed to fetch');
    }
    if (server.user) sessionStorage.setItem(KEY, server.user.name);
    else sessionStorage.removeItem(KEY);
    if (init?.signal?.aborted) throw new DOMException('aborted', 'AbortError');
    return new Response(answer.text?.content ?? (answer.body === undefined ? null : JSON.stringify(answer.body)), {
      status: answer.status,
      headers: answer.text ? { 'content-type': answer.text.type } : { 'content-type': answer.status < 400 ? 'application/json' : 'application/problem+json' },
    });
  };

  class FakeSocket extends EventTarget {
    static readonly CONNECTING = 0;
    static readonly OPEN = 1;
    static readonly CLOSING = 2;
    static readonly CLOSED = 3;
    readyState = 0;
    onmessage: ((event: MessageEvent) => void) | null = null;
    onclose: (() => void) | null = null;
    #subscribed = new Set<string>();
    #sent = new Map<string, string>();
    #topics: string[] = [];
    #filter: string | null = null;

    constructor() {
      super();
      setTimeout(() => {
        if (down || !server.user) {
          this.close();
          return;
        }
        this.readyState = 1;
        sockets.add(this);
        this.deliver({ t: 'hello', now_ms: Date.now(), version: '0.1.0' });
        this.deliver({ t: 'alarms', alarms: server.alarmList() });
      }, 30);
    }

    deliver(message: Json): void {
      if (this.readyState === 1) this.onmessage?.(new MessageEvent('message', { data: JSON.stringify(message) }));
    }

    send(text: string): void {
      const wish = JSON.parse(text) as { op: string; tags?: string[]; topics?: string[]; filter?: string | null };
      if (wish.op === 'topics') this.#topics = wish.topics ?? [];
      if (wish.op === 'watch') {
        this.#filter = wish.filter ?? null;
        const bad = this.#filter?.includes('#/') ? 'this is no topic filter: the wildcard # must be the last level' : null;
        if (bad) this.#filter = null;
        setTimeout(() => this.deliver({ t: 'watching', filter: wish.filter ?? null, error: bad }), 10);
      }
      for (const tag of wish.tags ?? []) {
        if (wish.op === 'subscribe') this.#subscribed.add(tag);
        else this.#subscribed.delete(tag);
      }
      if (wish.op === 'subscribe') setTimeout(() => this.pulse(wish.tags), 10);
    }

    /** What changed since the last time; of `asked`, everything. */
    pulse(asked: readonly string[] = []): void {
      const now = Date.now();
      for (const path of asked) this.#sent.delete(path);
      const values = tags
        .filter((tag) => this.#subscribed.has(tag.path))
        .map((tag) => server.live(tag, now))
        .filter((live) => {
          const text = JSON.stringify(live);
          const fresh = this.#sent.get(String(live[0])) !== text;
          this.#sent.set(String(live[0]), text);
          return fresh;
        });
      if (values.length) this.deliver({ t: 'values', values });
      if (this.#topics.length && !server.calm) this.deliver({ t: 'topics', topics: server.broker.changed(this.#topics) });
      if (this.#filter !== null) {
        const messages = server.broker.came(this.#filter, 1000);
        if (messages.length) this.deliver({ t: 'messages', messages, skipped: 0 });
      }
      this.deliver({ t: 'tick', now_ms: now });
    }

    close(): void {
      if (this.readyState === 3) return;
      this.readyState = 3;
      sockets.delete(this);
      setTimeout(() => this.onclose?.(), 0);
    }
  }

  // The mock answers the few members that the UI uses.
  window.WebSocket = FakeSocket as unknown as typeof WebSocket;
  server.listeners.add((message) => sockets.forEach((socket) => socket.deliver(message)));

  let seconds = 0;
  setInterval(() => {
    if (down) return;
    seconds += 1;
    server.tick();
    sockets.forEach((socket) => socket.pulse());
    if (seconds % 3 === 0) sockets.forEach((socket) => socket.deliver({ t: 'connectors', connectors: server.empty ? [] : server.connectors(), mqtt: { clients: server.empty ? [] : server.mqttClients() } }));
  }, 1000);

  Object.assign(window, {
    andonMock: {
      lose: (): void => {
        down = true;
        sockets.forEach((socket) => socket.close());
      },
      restore: (): void => {
        down = false;
      },
      loseAnswer: (): void => {
        loses = true;
      },
      fail: (match: string, status = 503, delay = 0): void => {
        failing = match === '' ? null : { match, status, delay };
      },
      revise: (name: string): void => server.orders.revise(name),
      recordsFail: (fails: boolean): void => {
        server.shift.sick = fails;
      },
      confirmedBy: (number: number, by: string): void => server.shift.confirmedBy(number, by),
      wroteBy: (by: string, path: string, text: string): void => server.shift.wroteBy(by, path, text),
      flood: (count: number): void => server.flood(count),
      burst: (count: number): void => server.burst(count),
      other: (by: string, number: string, trigger: string, to: string | null = null): void => server.orders.other(by, number, trigger, to),
      mend: (number: string, deed: string, who: string): void => server.maintenance.other(number, deed, who),
      runAgain: (path: string): void => server.oee.runAgain(path),
      endSession: (): void => {
        server.user = null;
        sessionStorage.removeItem(KEY);
      },
    },
  });
}

function wait(ms: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
  });
}
