// Energy in the mock: every quarter of an hour of a machine is a pure function of time, and all that is told is summed of those, so the
// numbers agree with each other.

import { badRequest, notThere, ok, problem, type Reply } from './trace';
import { equipment, noise } from './plant';

type Json = Record<string, unknown>;

const QUARTER = 15 * 60_000;
const HOUR = 4 * QUARTER;
const DAY = 24 * HOUR;
const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';
interface Meter {
  name: string;
  title: string;
  at: string;
  carrier: string;
  /** kW while it works. */
  load: number;
  seed: number;
}
const METERS: readonly Meter[] = [
  { name: 'filler-1', title: 'Filler 1', at: `${LINE1}/filler`, carrier: 'electricity', load: 22, seed: 61 },
  { name: 'capper-1', title: 'Capper 1', at: `${LINE1}/capper`, carrier: 'electricity', load: 6, seed: 62 },
  { name: 'labeller-1', title: 'Labeller 1', at: `${LINE1}/labeller`, carrier: 'electricity', load: 9, seed: 63 },
  { name: 'line-2', title: 'Line 2', at: LINE2, carrier: 'electricity', load: 31, seed: 64 },
  { name: 'steam', title: 'Steam to the pasteuriser', at: 'works/nord/bottling', carrier: 'steam', load: 48, seed: 65 },
  { name: 'chiller', title: 'Chiller', at: 'works/nord/utilities/energy/chiller', carrier: 'electricity', load: 40, seed: 66 },
];
/** Machines without a meter. */
const UNMETERED = [`${LINE1}/packer`];
const PEAK_PRICE = 0.31;
const PRICE = 0.21;
const STEAM_PRICE = 0.085;

/** kWh of a quarter: less at night, and a little noise. */
function quarter(meter: Meter, at: number): number {
  const hour = new Date(at).getHours();
  const day = hour >= 6 && hour < 22 ? 1 : 0.25;
  return (meter.load / 4) * day * (0.75 + 0.35 * noise(meter.seed, Math.floor(at / QUARTER)));
}

interface Sum {
  kwh: number;
  peak: { from_ms: number; kw: number; estimated: number } | null;
  high: number;
}

export class MockEnergy {
  /** No meter is declared. */
  empty = false;

  constructor(
    readonly start: number,
    readonly now: () => number,
    readonly may: (action: string, path: string) => boolean,
  ) {}

  handle(method: string, path: string, query: URLSearchParams): Reply | null {
    if (method !== 'GET' || (path !== '/api/mes/energy' && path !== '/api/mes/energy/peaks')) return null;
    const at = query.get('path') ?? '';
    if (!equipment.some((one) => one.path === at) || !this.may('view', at)) return notThere(`the equipment "${at}"`);
    const meters = this.empty ? [] : METERS.filter((meter) => meter.at === at || meter.at.startsWith(`${at}/`));
    if (path.endsWith('/peaks')) return this.#peaks(at, meters, query.get('month') ?? '');
    const [from, to, step] = [Number(query.get('from_ms')), Math.min(Number(query.get('to_ms')), this.now()), query.get('step') ?? 'hour'];
    if (!(to > from)) return badRequest('"from_ms" must be before "to_ms", and before now');
    const length = { quarter: QUARTER, hour: HOUR, shift: 8 * HOUR, day: DAY }[step];
    if (!length) return badRequest(`"${step}" is not known as "step"`);
    if ((to - from) / length > 1000) return problem(422, 'refused', 'this cannot be', 'these are more than 1,000 steps', 'ask for longer steps or less time');
    return ok(this.#told(at, meters, from, to, step, length));
  }

  /** Of a window that cuts a quarter its linear share. */
  #sum(meters: readonly Meter[], from: number, to: number): Sum {
    const sum: Sum = { kwh: 0, peak: null, high: 0 };
    for (let at = Math.floor(from / QUARTER) * QUARTER; at < to; at += QUARTER) {
      const part = (Math.min(to, at + QUARTER) - Math.max(from, at)) / QUARTER;
      const whole = meters.reduce((all, meter) => all + quarter(meter, at), 0);
      sum.kwh += whole * part;
      if (new Date(at).getHours() >= 8 && new Date(at).getHours() < 20) sum.high += whole * part;
      if (part === 1 && whole * 4 > (sum.peak?.kw ?? 0)) sum.peak = { from_ms: at, kw: whole * 4, estimated: 0 };
    }
    return sum;
  }

  #told(path: string, meters: readonly Meter[], from: number, to: number, step: string, length: number): Json {
    const names = [...new Set(meters.map((meter) => meter.carrier))].sort();
    const of = (name: string): Meter[] => meters.filter((meter) => meter.carrier === name);
    const money = (name: string, sum: Sum): Json[] =>
      name === 'electricity'
        ? [{ tariff: 'grid', window: 'peak', currency: 'EUR', price: PEAK_PRICE, kwh: sum.high, cost: sum.high * PEAK_PRICE }, { tariff: 'grid', window: null, currency: 'EUR', price: PRICE, kwh: sum.kwh - sum.high, cost: (sum.kwh - sum.high) * PRICE }]
        : [{ tariff: 'steam', window: null, currency: 'EUR', price: STEAM_PRICE, kwh: sum.kwh, cost: sum.kwh * STEAM_PRICE }];
    const cost = (name: string, sum: Sum): number => money(name, sum).reduce((all, one) => all + Number(one['cost']), 0);
    const sums = names.map((name) => this.#sum(of(name), from, to));
    const kwh = sums.reduce((all, sum) => all + sum.kwh, 0);
    const all = sums.reduce((total, sum, i) => total + cost(names[i] ?? '', sum), 0);
    const slots: Json[] = [];
    const zone = new Date(from).getTimezoneOffset() * 60_000;
    for (let at = step === 'day' || step === 'shift' ? Math.floor((from - zone - (step === 'shift' ? 6 * HOUR : 0)) / length) * length + zone + (step === 'shift' ? 6 * HOUR : 0) : Math.floor(from / length) * length; at < to; at += length) {
      const [a, b] = [Math.max(from, at), Math.min(to, at + length)];
      const parts = names.map((name) => this.#sum(of(name), a, b));
      slots.push({ from_ms: a, to_ms: b, name: step === 'shift' ? ['Early', 'Late', 'Night'][Math.round((((at - zone) % DAY) / HOUR - 6 + 24) / 8) % 3] : null, kwh: parts.map((part) => part.kwh), estimated: 0, costs: meters.length ? [parts.reduce((sum, part, i) => sum + cost(names[i] ?? '', part), 0)] : [] });
    }
    const produced = path.includes('/utilities') ? null : Math.round(((to - from) / HOUR) * 2_900);
    return {
      path, from_ms: from, to_ms: to, now_ms: this.now(), kwh: meters.length ? kwh : null, costs: meters.length ? [{ currency: 'EUR', cost: all }] : [],
      carriers: names.map((carrier, i) => {
        const sum = sums[i] as Sum;
        return {
          carrier, kwh: sum.kwh, estimated: carrier === 'steam' ? 0.031 : 0, metered: 1, costs: money(carrier, sum), unpriced_kwh: 0, peak: sum.peak,
          meters: of(carrier).map((meter) => ({ name: meter.name, title: meter.title, at: meter.at, tag: `${meter.at}/energy`, reads: 'energy', kwh: this.#sum([meter], from, to).kwh, until_ms: to })),
        };
      }),
      produced, kwh_per_item: produced && meters.length ? kwh / produced : null, unmetered: UNMETERED.filter((one) => one === path || one.startsWith(`${path}/`)), slots,
    };
  }

  #peaks(path: string, meters: readonly Meter[], month: string): Reply {
    const match = /^(\d{4})-(\d\d)$/.exec(month);
    if (!match) return badRequest('"month" must be a month as 2026-06');
    const [from, end] = [new Date(Number(match[1]), Number(match[2]) - 1, 1).getTime(), new Date(Number(match[1]), Number(match[2]), 1).getTime()];
    const to = Math.min(end, this.now());
    const of = (carrier: string): Json[] => {
      const these = meters.filter((meter) => meter.carrier === carrier);
      const all: { from_ms: number; kw: number; estimated: number }[] = [];
      for (let at = from; at + QUARTER <= to; at += QUARTER) all.push({ from_ms: at, kw: these.reduce((sum, meter) => sum + quarter(meter, at), 0) * 4, estimated: 0 });
      return all.sort((a, b) => b.kw - a.kw).slice(0, 10);
    };
    const names = [...new Set(meters.map((meter) => meter.carrier))].sort();
    const carriers = names.map((carrier) => ({ carrier, peaks: of(carrier) }));
    const top = carriers.find((one) => one.carrier === 'electricity')?.peaks[0] ?? null;
    return ok({ path, month, time_zone: 'Europe/Berlin', from_ms: from, to_ms: to, carriers, demand: names.includes('electricity') ? [{ tariff: 'grid', at: path, carrier: 'electricity', peak: top, price: 11.5, currency: 'EUR', cost: top ? Number(top['kw']) * 11.5 : null }] : [] });
  }
}
