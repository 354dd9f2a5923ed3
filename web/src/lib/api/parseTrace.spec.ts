import { expect, test } from 'vitest';
import { findings, itemsPage, lot, recall, trace, unit } from './parseTrace';

const item = { id: 'i', kind: 'unit', material: 'HP-16', revision: null, number: 'S1', quantity: null, remaining: null, state: 'Released', place: null, made_ms: 5, job: null };
const whole = { ...item, passes: [], as_built: [], as_maintained: [], finished: null, certificates: [], identity_given_ms: null, cut: false };
const link = { from: 'a', to: 'b', quantity: 2, position: 'p', at_ms: 1, removed_ms: null, equipment: null };

test('what nobody has said stays unsaid: quantity, place, result', () => {
  expect(itemsPage({ items: [item], next: null })).toMatchObject({ items: [{ quantity: null, place: null, made: 5 }], next: null });
  const pass = { equipment: 'w/m', at_ms: 1, job: null, operation: null, measures: { torque: 1.5, seal: 'dry', ok: true }, firmware: [{ component: 'controller', version: '2.4', sha256: null }] };
  expect(unit({ ...whole, passes: [{ ...pass, passed: null }] }).passes[0]).toEqual({ equipment: 'w/m', at: 1, operation: null, passed: null, measures: [['torque', 1.5], ['seal', 'dry'], ['ok', true]], firmware: [{ component: 'controller', version: '2.4', sha256: null }] });
  expect(unit({ ...whole, passes: [{ ...pass, passed: false }] }).passes[0]?.passed).toBe(false);
});

test('a result, a measured value or a state of another kind is refused', () => {
  const pass = { equipment: 'w/m', at_ms: 1, passed: true, measures: {}, firmware: [] };
  expect(() => unit({ ...whole, passes: [{ ...pass, passed: 'yes' }] })).toThrow('pass.passed');
  expect(() => unit({ ...whole, passes: [{ ...pass, measures: { torque: null } }] })).toThrow('pass.measures.torque');
  expect(() => unit({ ...whole, passes: [{ ...pass, firmware: undefined }] })).toThrow('pass.firmware');
  expect(() => itemsPage({ items: [{ ...item, state: 'Lost' }] })).toThrow('item.state');
  expect(() => unit({ ...whole, finished: { at_ms: 1, equipment: 'w', certificate: 'soon' } })).toThrow('finished.certificate');
});

test('a list that is missing is no empty one: nobody is called back by it', () => {
  expect(() => recall({ root: item, reached: 1, units: [] })).toThrow('recall.lots');
  expect(() => trace({ items: [{ ...item, depth: 0 }] })).toThrow('trace.links');
  expect(() => lot({ ...item, stock: [] })).toThrow('lot.decisions');
  expect(() => findings({})).toThrow('findings');
});

test('what is cut says by what, and a word that is not known is refused', () => {
  expect(trace({ items: [{ ...item, depth: 0 }], links: [link], cut: 'depth' })).toMatchObject({ cut: 'depth', links: [{ from: 'a', to: 'b', removed: null }] });
  expect(() => trace({ items: [], links: [], cut: 'time' })).toThrow('cut');
});

test('a finding of a sort that this page does not know keeps its words', () => {
  expect(findings({ findings: [{ number: 3, what: 'new_sort', at_ms: 1, item: null, other: 'x', text: 'words' }] })).toEqual([{ number: 3, what: 'new_sort', at: 1, item: null, other: 'x', text: 'words' }]);
});
