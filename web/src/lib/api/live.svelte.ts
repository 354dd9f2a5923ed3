// The one owner of the WebSocket. Everybody else reads `live`, and nothing else in the UI opens a connection.
//
// Invariants: a value never looks fresh while the link is lost; after a return everything that was missed is asked
// for again; a subscription ends when the last one who watches it leaves.

import { alarms as parseAlarms, connections as parseConnections, push as parsePush } from './parse';
import { asProblem, ask } from './http';
import { clock } from './clock.svelte';
import type { Alarm, Connector, Live, MqttClient, PlantEvent, Push } from './types';

export type Link = { state: 'connecting' } | { state: 'live' } | { state: 'lost'; since: number };

const NONE: Live = { state: 'none' };
/** Silent for this long, and the link counts as lost: the server ticks every second. */
const SILENCE_MS = 5_000;
const LONGEST_WAIT_MS = 10_000;
/** How many tags one request may name. */
const CHUNK = 1000;

class Cell {
  live = $state.raw<Live>(NONE);
  watchers = 0;
}

/** What a page asks the live link for beside tags, and asks for again after each return. */
export type Wish = 'topics' | 'watch';

export type ValuesListener = (values: readonly [path: string, live: Live][]) => void;

class LiveHub {
  link = $state.raw<Link>({ state: 'connecting' });
  alarms = $state.raw<readonly Alarm[]>([]);
  /** False until the first whole list has come. */
  alarmsKnown = $state(false);
  connectors = $state.raw<readonly Connector[]>([]);
  clients = $state.raw<readonly MqttClient[]>([]);
  connectionsKnown = $state(false);
  plantVersion = $state(0);

  #cells = new Map<string, Cell>();
  #socket: WebSocket | null = null;
  #wanted = false;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #heardAt = 0;
  /** Count what was taken, so that an answer knows whether something newer has come. */
  #alarmsHeard = 0;
  #connectionsHeard = 0;
  #toSubscribe = new Set<string>();
  #toLeave = new Set<string>();
  #flush: ReturnType<typeof setTimeout> | undefined;
  #onValues = new Set<ValuesListener>();
  #onEvent = new Set<(event: PlantEvent) => void>();
  #onReturn = new Set<() => void>();
  #onTopics = new Set<(kind: 'topics' | 'messages' | 'watching', raw: unknown) => void>();
  #wishes = new Map<Wish, object>();

  /** The last known value; reading it in a component makes the component follow it. */
  value(path: string): Live {
    return this.#cell(path).live;
  }

  /** Since when the link is lost, or null. */
  get lostSince(): number | null {
    return this.link.state === 'lost' ? this.link.since : null;
  }

  /** Follows these tags until the returned function is called. */
  watch(paths: readonly string[]): () => void {
    const mine = [...new Set(paths)];
    for (const path of mine) {
      const cell = this.#cell(path);
      cell.watchers += 1;
      if (cell.watchers === 1) {
        this.#toSubscribe.add(path);
        this.#toLeave.delete(path);
      }
    }
    this.#flushSoon();
    return () => {
      for (const path of mine) {
        const cell = this.#cell(path);
        cell.watchers -= 1;
        if (cell.watchers === 0) {
          this.#toLeave.add(path);
          this.#toSubscribe.delete(path);
        }
      }
      this.#flushSoon();
    };
  }

  onValues(listener: ValuesListener): () => void {
    this.#onValues.add(listener);
    return () => this.#onValues.delete(listener);
  }
  onEvent(listener: (event: PlantEvent) => void): () => void {
    this.#onEvent.add(listener);
    return () => this.#onEvent.delete(listener);
  }
  /** Called after a lost link has come back, or when something was skipped: ask again for what was missed. */
  onReturn(listener: () => void): () => void {
    this.#onReturn.add(listener);
    return () => this.#onReturn.delete(listener);
  }

  /** What the link tells of MQTT topics, as it came. */
  onTopics(listener: (kind: 'topics' | 'messages' | 'watching', raw: unknown) => void): () => void {
    this.#onTopics.add(listener);
    return () => this.#onTopics.delete(listener);
  }
  /** Sends this now, and again after each return, until another takes its place; null ends it. `over` is what ends it. */
  wish(kind: Wish, wish: object | null, over: object): void {
    if (wish === null && !this.#wishes.delete(kind)) return;
    if (wish !== null) this.#wishes.set(kind, wish);
    this.#say({ op: kind, ...(wish ?? over) });
  }
  #say(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN && this.link.state === 'live') this.#socket.send(JSON.stringify(message));
  }

  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.link = { state: 'connecting' };
    this.#open();
    this.#watchdog = setInterval(() => this.#watch(), 1000);
    addEventListener('online', this.#retryNow);
    document.addEventListener('visibilitychange', this.#retryNow);
  }

  stop(): void {
    this.#wanted = false;
    clearTimeout(this.#retry);
    clearInterval(this.#watchdog);
    removeEventListener('online', this.#retryNow);
    document.removeEventListener('visibilitychange', this.#retryNow);
    this.#socket?.close();
    this.#socket = null;
    this.#cells.clear();
    this.#wishes.clear();
    this.#takeAlarms([]);
    this.#takeConnections({ connectors: [], clients: [] });
    this.alarmsKnown = this.connectionsKnown = false;
    this.link = { state: 'connecting' };
  }

  /** Asks for the alarm list, before the link stands or after an acknowledgement. A list that the link brings in the
   *  meantime stands: the answer may be older, and the link tells each change only once. */
  async refreshAlarms(): Promise<void> {
    const heard = this.#alarmsHeard;
    const alarms = await ask('/api/alarms', { read: parseAlarms });
    if (heard === this.#alarmsHeard) this.#takeAlarms(alarms);
  }

  /** As for alarms. */
  async refreshConnections(): Promise<void> {
    const heard = this.#connectionsHeard;
    const all = await ask('/api/connectors', { read: parseConnections });
    if (heard === this.#connectionsHeard) this.#takeConnections(all);
  }

  #takeAlarms(alarms: readonly Alarm[]): void {
    this.#alarmsHeard += 1;
    this.alarms = alarms;
    this.alarmsKnown = true;
  }

  #takeConnections({ connectors, clients }: Pick<LiveHub, 'connectors' | 'clients'>): void {
    this.#connectionsHeard += 1;
    this.connectors = connectors;
    this.clients = clients;
    this.connectionsKnown = true;
  }

  #cell(path: string): Cell {
    let cell = this.#cells.get(path);
    if (!cell) {
      cell = new Cell();
      this.#cells.set(path, cell);
    }
    return cell;
  }

  #open(): void {
    const address = new URL('/api/ws', location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onmessage = (message): void => {
      if (socket === this.#socket) this.#hear(message.data);
    };
    socket.onclose = (): void => {
      if (socket === this.#socket) this.#lost();
    };
    this.#heardAt = Date.now();
  }

  #hear(data: unknown): void {
    this.#heardAt = Date.now();
    if (typeof data !== 'string') return;
    let message: Push | null;
    try {
      message = parsePush(JSON.parse(data) as unknown);
    } catch (error) {
      // One message that cannot be read must not end the rest; the values it held go stale by themselves.
      console.warn('unreadable message from the server', asProblem(error).message);
      return;
    }
    if (message) this.#take(message);
  }

  #take(message: Push): void {
    switch (message.t) {
      case 'hello':
        clock.correct(message.now);
        this.#arrived();
        break;
      case 'tick':
        clock.correct(message.now);
        break;
      case 'values':
        this.#apply(message.values);
        break;
      case 'alarms':
        this.#takeAlarms(message.alarms);
        break;
      case 'event':
        for (const listener of this.#onEvent) listener(message.event);
        break;
      case 'connectors':
        this.#takeConnections(message);
        break;
      case 'topics':
      case 'messages':
      case 'watching':
        for (const listener of this.#onTopics) listener(message.t, message.raw);
        break;
      case 'error':
        for (const listener of this.#onReturn) listener();
        break;
      case 'plant':
        this.plantVersion = message.version;
        break;
      case 'bye':
        this.#socket?.close();
        break;
    }
  }

  #apply(values: readonly [string, Live][]): void {
    for (const [path, live] of values) {
      const cell = this.#cells.get(path);
      if (!cell) continue;
      const known = cell.live;
      // A value that was on its way before we asked again may come late.
      if (live.state !== 'none' && known.state !== 'none' && live.received < known.received) continue;
      cell.live = live;
    }
    for (const listener of this.#onValues) listener(values);
  }

  #arrived(): void {
    const back = this.link.state === 'lost';
    this.#attempt = 0;
    this.link = { state: 'live' };
    this.#toLeave.clear();
    this.#toSubscribe = new Set([...this.#cells].filter(([, cell]) => cell.watchers > 0).map(([path]) => path));
    this.#flushNow();
    for (const [op, wish] of this.#wishes) this.#say({ op, ...wish });
    // The link tells the alarms by itself.
    if (this.connectionsKnown) this.refreshConnections().catch((error: unknown) => console.warn('could not catch up', asProblem(error).message));
    if (back) for (const listener of this.#onReturn) listener();
  }

  #lost(): void {
    this.#socket = null;
    if (!this.#wanted) return;
    if (this.link.state !== 'lost') this.link = { state: 'lost', since: clock.exact() };
    // Doubling with a spread, so that a hundred screens do not all come back in the same second.
    const wait = Math.min(500 * 2 ** this.#attempt, LONGEST_WAIT_MS) * (0.7 + 0.6 * Math.random());
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#reopen(), wait);
  }

  async #reopen(): Promise<void> {
    try {
      // A closed socket does not say whether the session ended; this question does (and leads to the log-in page).
      await ask('/api/session');
    } catch (error) {
      if (!this.#wanted) return;
      if (asProblem(error).kind !== 'unauthorised') this.#lost();
      return;
    }
    if (this.#wanted && !this.#socket) this.#open();
  }

  #retryNow = (): void => {
    if (this.link.state !== 'lost' || document.visibilityState !== 'visible' || this.#socket) return;
    clearTimeout(this.#retry);
    this.#attempt = 0;
    void this.#reopen();
  };

  #watch(): void {
    if (this.#socket && Date.now() - this.#heardAt > SILENCE_MS) {
      const dead = this.#socket;
      this.#socket = null;
      dead.close();
      this.#lost();
    }
  }

  #flushSoon(): void {
    this.#flush ??= setTimeout(() => this.#flushNow(), 20);
  }

  #flushNow(): void {
    clearTimeout(this.#flush);
    this.#flush = undefined;
    if (this.link.state !== 'live' || this.#socket?.readyState !== WebSocket.OPEN) return;
    const leave = [...this.#toLeave];
    const join = [...this.#toSubscribe];
    this.#toLeave.clear();
    this.#toSubscribe.clear();
    const say = (op: string, tags: readonly string[]): void => {
      for (let i = 0; i < tags.length; i += CHUNK) this.#socket?.send(JSON.stringify({ op, tags: tags.slice(i, i + CHUNK) }));
    };
    say('unsubscribe', leave);
    // The server answers with the present values and goes on from there.
    say('subscribe', join);
  }
}

export const live = new LiveHub();

/** In a component: follows the tags as long as it is on the screen. */
export function watchTags(paths: () => readonly string[]): void {
  let key = '';
  let leave: () => void = () => undefined;
  $effect(() => {
    const wanted = paths();
    const next = wanted.join('\n');
    if (next === key) return;
    key = next;
    const before = leave;
    leave = live.watch(wanted);
    before();
  });
  $effect(() => () => leave());
}
