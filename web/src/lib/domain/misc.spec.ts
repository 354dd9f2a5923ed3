import { describe, expect, test } from 'vitest';
import type { Equipment, PlantEvent, Tag } from '$lib/api/types';
import { csvCell, mergeRows, toCsv } from './csv';
import { alarmPriority, gravity, newestFirst, wants } from './events';
import { qualityKey, severityOf } from './quality';
import { nameInRoom, partOf, roomLines, sortParts, titleInRoom } from './rooms';
import { rank } from './search';
import { headline, sentence, withTimes, withValue } from './text';
import { ancestry, buildTree, isUnder, mainTags, stateTag } from './tree';
import { judge } from './write';

const tag = (parts: Partial<Tag>): Tag => ({
  id: '', path: 'h/r/x', equipment: 'h/r', title: '', description: '', dataType: 'double', unit: null, symbol: null, range: null, digits: null, states: {},
  interpolation: 'sloped', deviation: null, keepDays: null, staleAfterMs: null, write: null, press: null, origin: null, source: null, ...parts,
});
const write = { min: null, max: null, needsReason: false, lifeMs: 1, confirmWithinMs: 1 };

describe('quality', () => {
  test('severity is the top two bits', () => {
    expect(severityOf(0x00960403)).toBe('good');
    expect(severityOf(0x40920000)).toBe('uncertain');
    expect(severityOf(0x80310000)).toBe('bad');
    expect(severityOf(0xc0000000)).toBe('bad');
  });
  test('sub-status bits do not hide the word, unknown codes fall back to their severity', () => {
    expect(qualityKey(0x80310401)).toBe('quality.no_communication');
    expect(qualityKey(0x81230000)).toBe('quality.bad');
  });
});

describe('the tree', () => {
  const place = (path: string): Equipment => ({ path, level: 'area', levelWord: '', profile: 'plant', title: path, description: '', parent: path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : null });
  test('a branch ends at a level', () => {
    expect(isUnder('a/b', 'a') && isUnder('a', 'a') && isUnder('a', '')).toBe(true);
    expect(isUnder('ab', 'a') || isUnder('a', 'a/b')).toBe(false);
  });
  test('a branch whose parent may not be seen becomes a root', () => {
    const roots = buildTree([place('a/b'), place('a/b/c')]);
    expect(roots.map((r) => [r.equipment.path, r.children.length, r.children[0]?.depth])).toEqual([['a/b', 1, 1]]);
  });
  test('the way leaves out what may not be seen', () => {
    expect(ancestry('a/b/c', new Map([['a/b/c', place('a/b/c')], ['a', place('a')]])).map((e) => e.path)).toEqual(['a', 'a/b/c']);
  });
  test('a tile shows the alarmed value first and words as its state', () => {
    const tags = [tag({ path: 'm/a' }), tag({ path: 'm/b', range: [0, 1] }), tag({ path: 'm/c' }), tag({ path: 'm/mode', dataType: 'int64', states: { '0': 'off' } })];
    expect(mainTags(tags, new Set(['m/c']), 2).map((t) => t.path)).toEqual(['m/c', 'm/b']);
    expect(stateTag(tags)?.path).toBe('m/mode');
    const words = { '0': 'free', '1': 'full' };
    const belt = [tag({ path: 'b/queue_full', dataType: 'boolean', states: words }), tag({ path: 'b/running', dataType: 'boolean', states: words })];
    expect(stateTag(belt)?.path).toBe('b/running');
    expect(stateTag(belt.slice(0, 1))).toBeNull();
  });
});

describe('a command is judged, never clipped', () => {
  const n = (value: number): { ok: true; value: number } => ({ ok: true, value });
  test('beyond a limit says which one', () => {
    expect(judge(n(3.5), false, 2.6, 3.4)).toEqual({ ok: false, why: 'over' });
    expect(judge(n(2.5), false, 2.6, 3.4)).toEqual({ ok: false, why: 'under' });
    expect(judge(n(3.4), false, 2.6, 3.4)).toEqual({ ok: true, value: 3.4 });
  });
  test('a whole-number tag takes whole numbers only', () => expect(judge(n(1.5), true, null, null)).toEqual({ ok: false, why: 'whole' }));
});

describe('rooms', () => {
  test.each([
    ['a lamp is a switch', tag({ dataType: 'boolean', write }), 'switch'],
    ['a window is a contact', tag({ path: 'h/r/window', dataType: 'boolean' }), 'contact'],
    ['a leak is a hazard', tag({ path: 'h/r/water_leak', dataType: 'boolean' }), 'leak'],
    ['a dimmer is a dial', tag({ unit: '%', write }), 'dial'],
    ['a button is pressed', tag({ dataType: 'int64', states: { '1': 'press' }, press: 1, write: { ...write, min: 1, max: 1 } }), 'press'],
    ['a temperature is climate', tag({ unit: 'Cel' }), 'climate'],
    ['a humidity is climate, another percentage is not', tag({ path: 'h/r/humidity', unit: '%' }), 'climate'],
    ['a battery is something else', tag({ path: 'h/r/battery', unit: '%' }), 'other'],
    ['a meter is energy', tag({ unit: 'kW.h' }), 'energy'],
      ['a wet floor under a leak sensor is a hazard', tag({ path: 'h/r/leak/water', dataType: 'boolean' }), 'leak'],
    ["a valve's own temperature is not the room's", tag({ path: 'h/r/valve/temperature', equipment: 'h/r/valve', unit: 'Cel' }), 'other'],
    ["a climate sensor's temperature is the room's", tag({ path: 'h/r/climate/temperature', equipment: 'h/r/climate', unit: 'Cel' }), 'climate'],
  ])('%s', (_name, given, part) => expect(partOf(given, 'h/r')).toBe(part));
  test('what devices of a room measure is on its card, what tells of the devices themselves is not', () => {
    const of = (device: string, name: string, parts: Partial<Tag>): Tag => tag({ path: `h/r/${device}/${name}`, equipment: `h/r/${device}`, title: name.replaceAll('_', ' '), ...parts });
    const found = [
      of('boiler', 'temperature', { unit: 'Cel' }), of('boiler', 'water_pressure', { unit: 'bar' }), of('plug', 'power', { unit: 'W' }), of('plug', 'energy', { unit: 'kW.h' }),
      of('0x00158d', 'humidity', { unit: '%' }), of('motion', 'occupancy', { dataType: 'boolean' }), of('heater', 'action', { dataType: 'int64', states: { '0': 'idle', '1': 'heating' } }),
      of('door', 'contact', { dataType: 'boolean' }), of('plug', 'relay', { dataType: 'boolean', write }),
      of('door', 'battery', { unit: '%' }), of('door', 'link_quality', { unit: null }), of('door', 'voltage', { unit: 'mV' }), of('plug', 'wifi_rssi', { unit: 'dB[mW]' }),
      of('plug', 'firmware', { dataType: 'string' }), of('plug', 'update_available', { dataType: 'boolean' }), of('plug', 'uptime', { unit: 's' }),
    ];
    const parts = sortParts(found, 'h/r');
    expect([...parts.climate, ...roomLines(parts)].map((t) => t.title)).toEqual(['contact', 'power', 'energy', 'temperature', 'water pressure', 'humidity', 'occupancy', 'action']);
    // Where there is nothing else, a little of the rest is better than an empty card.
    expect(roomLines(sortParts(found.filter((t) => t.title === 'battery'), 'h/r')).map((t) => t.title)).toEqual(['battery']);
  });
  test('a value is named with its appliance where one name does not tell the other', () => {
    const place = (path: string, title: string, level: Equipment['level']): Equipment => ({ path, level, levelWord: '', profile: 'home', title, description: '', parent: null });
    const room = place('h/r', 'Cellar', 'work_center');
    const named = (title: string, appliance: string): string => nameInRoom(tag({ title }), place('h/r/x', appliance, 'work_unit'), room);
    expect(named('Restart', 'Boiler')).toBe('Boiler · Restart');
    expect(named('Boiler power', 'Cellar boiler')).toBe('Boiler power');
    expect(named('Lamp', 'Ceiling lamp')).toBe('Ceiling lamp');
    expect(nameInRoom(tag({ title: 'Cellar humidity' }), room, room)).toBe('Humidity');
    expect(nameInRoom(tag({ title: 'Humidity' }), null, room)).toBe('Humidity');
  });
  test('a room does not repeat its own name', () => {
    expect(titleInRoom('Living room temperature', 'Living room')).toBe('Temperature');
    expect(titleInRoom('Living rooms', 'Living room')).toBe('Living rooms');
  });
});

describe('files', () => {
  test('a row for each time, empty where a pen has no point, gaps are no readings', () => {
    const rows = mergeRows(
      [
        { name: 'p [bar]', dots: [{ x: 0, y: 1, q: 'good' }, { x: 5, y: null, q: 'good' }] },
        { name: 'q', dots: [{ x: 0, y: null, q: 'bad' }, { x: 9, y: 2, q: 'uncertain' }] },
      ],
      0,
      10,
    );
    expect(toCsv([{ name: 'p [bar]', dots: [] }, { name: 'q', dots: [] }], rows)).toBe(
      'time_utc,p [bar],p [bar] quality,q,q quality\r\n1970-01-01T00:00:00.000Z,1,good,,bad\r\n1970-01-01T00:00:00.009Z,,,2,uncertain\r\n',
    );
  });
  test('a text cannot become a formula, a negative number stays a number', () => {
    expect(csvCell('=1+1')).toBe("'=1+1");
    expect(csvCell('a,"b"')).toBe('"a,""b"""');
    expect(csvCell(-3.5)).toBe('-3.5');
  });
});

describe('events', () => {
  const event = (parts: Partial<PlantEvent>): PlantEvent => ({ seq: 1, id: '', atMs: 0, sourceMs: null, kind: 'system', path: 'a/b', by: { id: '', kind: '', name: null }, summary: '', severity: 0, detail: {}, ...parts });
  test('only alarms are grave in colour', () => {
    expect(gravity(event({ kind: 'alarm', severity: 1, detail: { priority: 1, to: 'unacknowledged' } }))).toEqual({ kind: 'alarm', priority: 1 });
    expect(gravity(event({ kind: 'connection', severity: 3 }))).toEqual({ kind: 'trouble', level: 3 });
    expect(gravity(event({}))).toEqual({ kind: 'info' });
  });
  test('an event is as grave as the server says: that a critical alarm returned or was acknowledged is for the record', () => {
    for (const to of ['acknowledged', 'returned_to_normal_unacknowledged', 'normal']) {
      const told = event({ kind: 'alarm', severity: 0, detail: { priority: 1, from: 'unacknowledged', to } });
      expect([gravity(told), alarmPriority(told)]).toEqual([{ kind: 'info' }, 1]);
    }
  });
  test('filters by kind and branch', () => {
    expect(wants({ kinds: new Set(), path: '' }, event({}))).toBe(true);
    expect(wants({ kinds: new Set(['alarm']), path: '' }, event({}))).toBe(false);
    expect(wants({ kinds: new Set(), path: 'a/bc' }, event({}))).toBe(false);
  });
});

test('search finds every word, in any order, without accents, names first', () => {
  const entries = [{ name: 'Pump', path: 'x/kuche/pump' }, { name: 'Küche', path: 'x/kuche' }];
  expect(rank(entries, 'kuch', 9).map((e) => e.name)).toEqual(['Küche', 'Pump']);
  expect(rank(entries, 'pump kuche', 9).map((e) => e.name)).toEqual(['Pump']);
  expect(rank(entries, 'zzz', 9)).toEqual([]);
});

describe('the order of events', () => {
  const at = (seq: number, atMs: number): PlantEvent => ({ seq, id: String(seq), atMs, sourceMs: null, kind: 'system', path: '', by: { id: '', kind: 'system', name: null }, summary: '', severity: 0, detail: {} });
  const order = (...lists: PlantEvent[][]): number[] => newestFirst(...lists).map((e) => e.seq);
  test('within one millisecond the later one stands above, however they came', () => {
    expect(order([at(2, 5), at(4, 5)], [at(1, 5), at(3, 5)])).toEqual([4, 3, 2, 1]);
  });
  test('each once, though it came live and loaded', () => expect(order([at(2, 6), at(1, 5)], [at(2, 6)])).toEqual([2, 1]));
  test('a clock that was set back changes nothing', () => expect(order([at(1, 900), at(2, 100)])).toEqual([2, 1]));
});

describe('words of the server stand alone', () => {
  test('capital and full stop', () => expect(sentence('no answer within 500 ms')).toBe('No answer within 500 ms.'));
  test('what is a sentence stays one', () => expect(sentence('Look at it. Then test!')).toBe('Look at it. Then test!'));
  test('a line begins with a capital', () => {
    expect(headline('mqtt plug connected')).toBe('MQTT plug connected');
    expect(headline('logged in by link')).toBe('Logged in by link');
    expect(headline('Line 2 lost')).toBe('Line 2 lost');
  });
  test('a value in a line takes the digits of its tag', () => {
    expect(withValue('Filling pressure → 3.1\u202fbar, confirmed', '3.1\u202fbar', '3,10\u202fbar')).toBe('Filling pressure → 3,10\u202fbar, confirmed');
    expect(withValue('Pump 3: hot: 81.0625', '81.0625', '81.1')).toBe('Pump 3: hot: 81.1');
    expect(withValue('Level → 3, failed: it stayed at 3', '3', '3.0')).toBe('Level → 3.0, failed: it stayed at 3');
  });
  test('what only begins like the value stays', () => {
    expect(withValue('Pump: 30 starts', '3', '3.0')).toBe('Pump: 30 starts');
    expect(withValue('Tank level → 3.5', '3', '3.0')).toBe('Tank level → 3.5');
  });
  test('names of settings and addresses keep their first letter', () => {
    expect(sentence('unit_id is wrong')).toBe('unit_id is wrong.');
    expect(sentence('10.20.1.31:502 refused')).toBe('10.20.1.31:502 refused.');
    expect(sentence('')).toBe('');
  });
});

test('a time in a text of the server is said as the screens say it; what only looks like one stays', () => {
  const say = (ms: number): string => `<${ms}>`;
  expect(withTimes('History from 1970-01-01T00:00:01Z to 1970-01-01T00:00:02.250Z deleted', say)).toBe('History from <1000> to <2250> deleted');
  expect(withTimes('order 1970-01-01, 2026-99-99T00:00:00Z', say)).toBe('order 1970-01-01, 2026-99-99T00:00:00Z');
});
