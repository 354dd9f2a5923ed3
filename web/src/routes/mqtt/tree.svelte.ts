// The tree of topics as far as it was looked at: levels are asked for in pages when they come into sight, so that a level of 100,000
// topics costs no more than what is seen of it.

import { asProblem, ask, isAbort, type Problem } from '$lib/api/http';
import { live } from '$lib/api/live.svelte';
import { changedTopics, topicLevel, type Catalogue, type Topic, type TopicRow } from '$lib/api/parseMqtt';

/** Rows asked for at a time. */
const PAGE = 200;
/** What is in sight is asked for again after this long: sums of branches, and what is new in a level. */
const AGAIN_MS = 10_000;
/** The most topics that the live link follows. */
const FOLLOWED = 300;

/** A level that was opened. */
interface Level {
  /** Null: the first level. */
  under: string | null;
  total: number;
  rows: Map<number, TopicRow>;
  asked: Set<number>;
}

/** A row of the list: a place in a level, whether or not it has been loaded. */
export interface Line {
  level: Level;
  index: number;
  depth: number;
}

export class TopicTree {
  lines = $state.raw<readonly Line[]>([]);
  problem = $state.raw<Problem | null>(null);
  catalogue = $state.raw<Catalogue | null>(null);
  /** The first page has come. */
  known = $state(false);
  /** Counts what was loaded, so that rows are read again. */
  #loaded = $state(0);
  #news = $state.raw<ReadonlyMap<string, Topic>>(new Map());
  #open = new Set<string>();
  #levels = new Map<string | null, Level>();
  #stop = new AbortController();
  #sight: readonly Line[] = [];
  #follow: ReturnType<typeof setTimeout> | undefined;

  /** Begins with the way to `topic` open. Ends what it began when the returned function is called. */
  start(topic: string | null): () => void {
    this.#stop = new AbortController();
    const levels = (topic ?? '').split('/');
    for (let n = 1; n < levels.length; n += 1) this.#open.add(levels.slice(0, n).join('/'));
    this.#ask(this.#level(null), 0);
    const again = setInterval(() => document.visibilityState === 'visible' && this.refresh(), AGAIN_MS);
    const off = [
      live.onTopics((kind, raw) => kind === 'topics' && this.#take(changedTopics(raw))),
      live.onReturn(() => this.refresh()),
    ];
    return () => {
      this.#stop.abort();
      clearInterval(again);
      clearTimeout(this.#follow);
      for (const end of off) end();
      live.wish('topics', null, { topics: [] });
    };
  }

  /** The row at a place; null while it is on its way. */
  row(line: Line): TopicRow | null {
    void this.#loaded;
    return line.level.rows.get(line.index) ?? null;
  }

  /** The last message of a topic: what the live link told of it, or what stands in its row. */
  topic(known: Topic): Topic {
    const news = this.#news.get(known.topic);
    return news && news.receivedMs >= known.receivedMs ? news : known;
  }

  /** Everything that is in sight, asked for once more. */
  refresh(): void {
    if (this.#sight.length === 0) this.#ask(this.#level(null), 0, true);
    for (const [level, page] of this.#pagesInSight()) this.#ask(level, page, true);
  }

  isOpen(path: string): boolean {
    void this.#loaded;
    return this.#open.has(path);
  }

  toggle(path: string, open = !this.#open.has(path)): void {
    if (open) {
      this.#open.add(path);
      this.#ask(this.#level(path), 0);
    } else this.#open.delete(path);
    this.#build();
  }

  /** These lines are in sight now. */
  see(from: number, to: number): void {
    this.#sight = this.lines.slice(from, to);
    for (const [level, page] of this.#pagesInSight()) this.#ask(level, page);
    // While somebody scrolls nothing is followed that is out of sight again at once.
    clearTimeout(this.#follow);
    this.#follow = setTimeout(() => this.#followSight(), 150);
  }

  #followSight(): void {
    const topics = this.#sight.map((line) => line.level.rows.get(line.index)?.own?.topic).filter((t) => t !== undefined);
    live.wish('topics', { topics: topics.slice(0, FOLLOWED) }, { topics: [] });
  }

  #pagesInSight(): [Level, number][] {
    const pages = new Map<string, [Level, number]>();
    for (const { level, index } of this.#sight) {
      const page = Math.floor(index / PAGE);
      pages.set(`${page}|${level.under ?? '\n'}`, [level, page]);
    }
    return [...pages.values()];
  }

  #level(under: string | null): Level {
    let level = this.#levels.get(under);
    if (!level) {
      level = { under, total: 0, rows: new Map(), asked: new Set() };
      this.#levels.set(under, level);
    }
    return level;
  }

  #ask(level: Level, page: number, again = false): void {
    if (level.asked.has(page) && !again) return;
    level.asked.add(page);
    const signal = this.#stop.signal;
    ask('/api/mqtt/topics', { query: { under: level.under, skip: page * PAGE, limit: PAGE }, read: topicLevel, signal })
      .then((answer) => {
        if (signal.aborted) return;
        if (answer.catalogue) this.catalogue = answer.catalogue;
        this.problem = null;
        // Where names were added, those behind them have moved: what is out of sight is asked for again when it is wanted.
        const moved = level.total !== answer.total;
        if (moved && level.total > 0) {
          level.rows.clear();
          level.asked.clear();
          level.asked.add(page);
        }
        level.total = answer.total;
        answer.rows.forEach((row, i) => level.rows.set(page * PAGE + i, row));
        if (level.under === null) this.known = true;
        this.#loaded += 1;
        const opened = answer.rows.filter((row) => this.#open.has(row.path));
        for (const row of opened) this.#ask(this.#level(row.path), 0);
        if (moved || opened.length > 0) this.#build();
        else this.see(...this.#range());
      })
      .catch((error: unknown) => {
        if (isAbort(error) || signal.aborted) return;
        level.asked.delete(page);
        this.problem = asProblem(error);
      });
  }

  #range(): [number, number] {
    const first = this.#sight[0];
    const from = first ? this.lines.indexOf(first) : 0;
    return [Math.max(0, from), Math.max(0, from) + this.#sight.length];
  }

  #build(): void {
    const lines: Line[] = [];
    const add = (level: Level, depth: number): void => {
      for (let index = 0; index < level.total; index += 1) {
        lines.push({ level, index, depth });
        const row = level.rows.get(index);
        const below = row && this.#open.has(row.path) ? this.#levels.get(row.path) : undefined;
        if (below) add(below, depth + 1);
      }
    };
    add(this.#level(null), 0);
    this.lines = lines;
    this.#loaded += 1;
  }

  #take(changed: readonly Topic[]): void {
    const news = new Map(this.#news);
    for (const topic of changed) news.set(topic.topic, topic);
    // What is long out of sight need not be kept.
    if (news.size > 4 * FOLLOWED) for (const key of [...news.keys()].slice(0, news.size - 2 * FOLLOWED)) news.delete(key);
    this.#news = news;
  }
}
