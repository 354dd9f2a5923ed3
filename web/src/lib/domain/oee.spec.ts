import { describe, expect, test } from 'vitest';
import type { Change, Element, Kpi, Kpis, LossId, Machine, Piece, Reason, ReasonTime, Stop } from '$lib/api/parseOee';
import { ELEMENTS } from '$lib/api/parseOee';
import { branches, commonBranch, correctionOf, goingOn, heldRows, kpiOf, lastUsed, multiplies, nextBorder, pareto, partKind, pieceAt, reasonGroups, reasonLeaf, rememberUsed, restFrom, runs, saidBefore, slotsCsv, stopKey, tooFast, waterfall, whyNone, type UnitCorrection } from './oee';

const piece = (fromMs: number, toMs: number, element: Element, reason: string | null = null): Piece => ({ fromMs, toMs, element, state: null, mode: null, reason, corrected: null });
const kpi = (id: string, value: number | null, formula: string, denominator: number | null = 1): Kpi => ({ id, value, numerator: 1, denominator, formula, better: 'up' });
const stop = (unit: string, fromMs: number, toMs: number, open = false): Stop => ({ unit, fromMs, toMs, open, element: 'delay', state: null, reason: null, cause: null });
const machine = (path: string): Machine => ({ path, title: path, line: '', state: null, mode: null, sinceMs: null, element: 'production', reason: null, planned: 'busy', calendar: null, shift: null, job: null });

function answer(times: Partial<Record<Element, number>>, losses: [LossId, number][], busy: number, goodMs: number | null): Kpis {
  return {
    path: '', fromMs: 0, toMs: 0, nowMs: 0, machines: 1, times: { ...(Object.fromEntries(ELEMENTS.map((e) => [e, times[e] ?? 0])) as Record<Element, number>), planned_busy: busy },
    amounts: { produced: 0, good: 0, scrap: 0, rework: 0 }, kpis: [], goodMs, losses: losses.map(([id, ms]) => ({ id, ms })), reasons: [],
  };
}

describe('KPIs', () => {
  test('a KPI is found by its name, and none that begins like it', () => expect([kpiOf([kpi('oee_index', 0.8, '')], 'oee_index')?.value, kpiOf([kpi('oee_index', 0.8, '')], 'oee')]).toEqual([0.8, null]));
  test('a KPI without value says why', () => {
    expect(whyNone(kpi('availability', null, 'APT / PBT', 0))).toBe('no_time');
    expect(whyNone(kpi('quality_ratio', null, 'GQ / PQ', 0))).toBe('no_product');
    expect(whyNone(kpi('availability', null, 'APT / PBT', null))).toBe('unknown');
  });
  test('a planned run time makes a time of an amount', () => {
    expect(partKind(kpi('oee_index', 1, 'PRI * GQ / PBT'))).toBe('time');
    expect(partKind(kpi('availability', 1, 'APT / PBT'))).toBe('time');
    expect(partKind(kpi('quality_ratio', 1, 'GQ / PQ'))).toBe('amount');
    expect(partKind(kpi('teep', 1, 'PRI * GQ / CT'))).toBe('time');
    expect(partKind(kpi('nee_index', 1, 'AUPT / PBT * PRI * GQ / APT'))).toBe('none');
  });
  test('above 100 % is noticed, a rounding of it is not', () => {
    expect(tooFast(kpi('effectiveness', 1.02, ''))).toBe(true);
    expect(tooFast(kpi('effectiveness', 1.0001, ''))).toBe(false);
    expect(tooFast(kpi('effectiveness', null, ''))).toBe(false);
  });
  test('whether the three factors make OEE', () => {
    const all = (oee: number): Kpi[] => [kpi('oee_index', oee, ''), kpi('availability', 0.9, ''), kpi('effectiveness', 0.95, ''), kpi('quality_ratio', 0.98, '')];
    expect(multiplies(all(0.9 * 0.95 * 0.98))).toBe(true);
    expect(multiplies(all(0.85))).toBe(false);
  });
});

describe('waterfall', () => {
  test('goes down from the calendar, with the server’s times as totals between, to good time', () => {
    const falls = waterfall(answer({ off_shift: 30, delay: 10, production: 60 }, [['off_shift', 30], ['unknown', 0], ['delay', 10], ['speed', 5], ['scrap', 1]], 70, 54));
    expect(falls.map((f) => [f.id, f.from, f.to])).toEqual([
      ['calendar', 0, 100], ['off_shift', 70, 100], ['planned_busy', 0, 70], ['delay', 60, 70], ['production', 0, 60], ['speed', 55, 60], ['scrap', 54, 55], ['good', 0, 54],
    ]);
  });
  test('a gain goes up again and is not cut off', () => {
    const falls = waterfall(answer({ production: 60 }, [['unknown', 0], ['speed', -4]], 60, 64));
    expect(falls.slice(-2).map((f) => [f.id, f.from, f.to, f.ms])).toEqual([['speed', 60, 64, -4], ['good', 0, 64, 64]]);
  });
});

describe('waterfall without planned run times', () => {
  test('it ends at production time, which is known, and tells neither speed nor good time', () => {
    const falls = waterfall(answer({ off_shift: 30, delay: 10, production: 60 }, [], 70, null));
    expect(falls.map((f) => [f.id, f.from, f.to])).toEqual([['calendar', 0, 100], ['off_shift', 70, 100], ['planned_busy', 0, 70], ['delay', 60, 70], ['production', 0, 60]]);
  });
});

describe('strip', () => {
  test('what is wide enough stands for itself', () => {
    expect(runs([piece(0, 50, 'production'), piece(50, 100, 'delay')], 0, 100, 200).map((r) => [r.element, r.x, r.width, r.mixed])).toEqual([['production', 0, 100, false], ['delay', 100, 100, false]]);
  });
  test('a hundred thousand pieces are never more than the pixels, cover them, and the longest of a pixel decides', () => {
    const pieces = Array.from({ length: 100_000 }, (_, i) => piece(i * 10, i * 10 + (i % 2 ? 3 : 10), i % 2 ? 'minor_stop' : 'production'));
    const found = runs(pieces, 0, 1_000_000, 500);
    expect(found.length).toBeLessThanOrEqual(501);
    expect(found.every((r) => r.element === 'production' && r.mixed)).toBe(true);
    expect(found.reduce((sum, r) => sum + r.width, 0)).toBeGreaterThan(480);
  });
  test('what begins before and ends after is cut at the edges, what is outside is left out', () => {
    expect(runs([piece(-50, 50, 'setup'), piece(90, 200, 'idle'), piece(300, 400, 'delay')], 0, 100, 100).map((r) => [r.element, r.x, r.width])).toEqual([['setup', 0, 50], ['idle', 90, 10]]);
  });
  test('the piece at a time; a border belongs to what begins there; a hole is nobody’s', () => {
    const pieces = [piece(0, 10, 'production'), piece(10, 20, 'delay'), piece(30, 40, 'idle')];
    expect([0, 9, 10, 19, 20, 30, 40].map((at) => pieceAt(pieces, at)?.element ?? null)).toEqual(['production', 'production', 'delay', 'delay', null, 'idle', null]);
  });
  test('the last piece goes on, but only where it reached to the answer’s end', () => {
    expect(goingOn([piece(0, 10_000, 'delay')], 10_000, 15_000).at(-1)?.toMs).toBe(15_000);
    expect(goingOn([piece(0, 5_000, 'delay')], 10_000, 15_000).at(-1)?.toMs).toBe(5_000);
  });
  test('from border to border', () => {
    const pieces = [piece(0, 10, 'production'), piece(10, 20, 'delay')];
    expect([nextBorder(pieces, 5, 1), nextBorder(pieces, 15, -1), nextBorder(pieces, 10, -1), nextBorder(pieces, 15, 1)]).toEqual([10, 10, 0, null]);
  });
});

describe('Pareto', () => {
  const all: ReasonTime[] = [
    { element: 'delay', reason: 'a', ms: 60, stops: 1 },
    { element: 'delay', reason: null, ms: 30, stops: 8 },
    { element: 'idle', reason: 'c', ms: 10, stops: 1 },
  ];
  test('largest first, with what they make together', () => expect(pareto(all, 'ms', 9).rows.map((r) => [r.reason, r.share, r.upTo])).toEqual([['a', 0.6, 0.6], [null, 0.3, 0.9], ['c', 0.1, 1]]));
  test('by count another one leads; what has no room is counted', () => {
    const { rows, rest } = pareto(all, 'stops', 1);
    expect([rows.map((r) => r.reason), rest]).toEqual([[null], { count: 2, size: 2 }]);
  });
});

describe('reasons', () => {
  const reasons: Reason[] = ['Mechanical/Jam', 'Mechanical/Jam/Infeed', 'Material/No caps', 'Other'].map((name) => ({ name, countsAs: 'delay', outside: false, action: '' }));
  test('the first level groups, in the order of the plant', () => expect(reasonGroups(reasons, '').map((g) => [g.name, g.reasons.map((r) => reasonLeaf(r.name))])).toEqual([['Mechanical', ['Jam', 'Jam › Infeed']], ['Material', ['No caps']], ['Other', ['Other']]]));
  test('a reason without a group is one of its own', () => expect(reasonGroups([{ name: 'Material' }, { name: 'Mechanical/Drive/Belt' }].map((r) => ({ ...r, countsAs: 'delay', outside: false, action: '' }))).map((g) => [g.name, g.reasons.map((r) => reasonLeaf(r.name)).join()])).toEqual([['Material', 'Material'], ['Mechanical', 'Drive › Belt']]));
  test('all words must be there', () => expect(reasonGroups(reasons, 'jam mech').map((g) => g.reasons.length)).toEqual([2]));
  test('used last comes first, once, and only while it exists', () => {
    expect(rememberUsed(['a', 'b'], 'b')).toEqual(['b', 'a']);
    expect(lastUsed(reasons, ['Gone', 'Other', 'Mechanical/Jam'], 1).map((r) => r.name)).toEqual(['Other']);
  });
});

describe('stops', () => {
  test('a stop stays the same row while it goes on and when it has ended', () => expect([stopKey(stop('a', 0, 12, true)), stopKey(stop('a', 0, 15))]).toEqual([stopKey(stop('a', 0, 10, true)), stopKey(stop('a', 0, 10, true))]));
  test('while somebody reads, rows stay, show what is known now, and new ones wait', () => {
    const held = heldRows([stopKey(stop('a', 0, 10)), stopKey(stop('b', 0, 20)), 'gone 5'], [stop('c', 0, 30), stop('b', 0, 20), { ...stop('a', 0, 10), reason: 'Jam' }]);
    expect([held.rows.map((s) => [s.unit, s.reason]), held.waiting]).toEqual([[['a', 'Jam'], ['b', null]], 1]);
  });
});

describe('what people said', () => {
  const told = { ...stop('a', 0, 60), reason: 'Jam' };
  const rest = stop('a', 60, 90);
  test('a stop that went on when it was explained has a rest, of its own machine only', () => {
    const all = [told, rest, stop('b', 60, 90), stop('a', 200, 260)];
    expect(all.map((one) => saidBefore(one, all))).toEqual([null, 'Jam', null, null]);
    expect(restFrom('a', 60, all)).toBe(rest);
    expect(restFrom('a', 61, all)).toBeNull();
  });
  test('the last correction that covers a stop counts, and one back to what was recorded is none', () => {
    const one = (number: number, fromMs: number, toMs: number, change: Change, unit = 'a'): UnitCorrection => ({ number, fromMs, toMs, change, says: '', note: null, byName: '', atMs: 0, unit });
    const reason = { reason: 'Jam' };
    expect(correctionOf(told, [one(4, 0, 60, reason), one(3, 0, 60, { state: 'Held' }), one(9, 60, 90, reason), one(9, 0, 60, reason, 'b')])).toBe(4);
    expect(correctionOf(told, [one(4, 0, 60, reason), one(5, 0, 60, { asRecorded: true })])).toBeNull();
    expect(correctionOf(told, [])).toBeNull();
  });
});

describe('branches', () => {
  const all = ['w/n/l1/a', 'w/n/l1/b', 'w/n/l2/a'].map(machine);
  test('begin where all machines are', () => {
    expect(commonBranch(all)).toBe('w/n');
    expect(branches(all).map((b) => [b.path, b.depth])).toEqual([['w/n', 0], ['w/n/l1', 1], ['w/n/l1/a', 2], ['w/n/l1/b', 2], ['w/n/l2', 1], ['w/n/l2/a', 2]]);
  });
  test('two plants have nothing in common', () => expect(commonBranch(['a/x', 'b/x'].map(machine))).toBe(''));
});

test('a slot without value is an empty cell, not a zero', () => {
  const csv = slotsCsv([{ fromMs: 0, toMs: 3_600_000, name: 'Early', oee: null, availability: 0.5, effectiveness: null, qualityRatio: null, good: 0, scrap: 0 }]);
  expect(csv.split('\r\n')[1]).toBe('1970-01-01T00:00:00.000Z,1970-01-01T01:00:00.000Z,Early,,0.5,,,0,0');
});
