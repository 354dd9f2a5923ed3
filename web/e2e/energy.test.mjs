// Energy: what a node used, when, for what, at what cost; down to the machine. On the mock.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const NORD = 'works/nord';
const BOTTLING = `${NORD}/bottling`;
const TOUCH = { touch: true, density: 'touch' };

describe('energy', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const card = (page, name) => page.getByRole('region', { name, exact: true });
  const figure = (page, name) => page.locator(`[data-figure=${name}] dd`).first();
  const number = (text) => Number(text.replace(/[^\d.]/g, ''));

  test('consumption, per item, cost and peak of a node; what has no meter is named', () =>
    on(`/energy?path=${BOTTLING}&span=24h`, {}, async (page) => {
      await figure(page, 'kwh').waitFor();
      assert.match(await figure(page, 'kwh').innerText(), /^[\d,]+.kWh$/);
      assert.match(await figure(page, 'item').innerText(), /^0\.\d+.kWh$/);
      assert.match(await figure(page, 'cost').innerText(), /^€[\d,.]+$/);
      assert.match(await figure(page, 'peak').innerText(), /kW$/);
      await page.getByText('In none of these numbers').waitFor();
      await page.getByText(/Line 1 · Packer/).first().waitFor();
      assert.match(await page.locator('[data-carrier=steam]').innerText(), /Steam[\s\S]*3\.1.% estimated/);
      await card(page, 'Prices that held').getByText('other times').first().waitFor();
    }));

  test('down to the machine and back by the way above; the range goes along', () =>
    on(`/energy?path=${NORD}&span=8h`, {}, async (page) => {
      const below = page.locator('[data-node]');
      await page.locator(`[data-node="${BOTTLING}"]`).getByText('kWh').first().waitFor();
      const first = await below.first().getAttribute('data-node');
      assert.equal(first, BOTTLING);
      await page.locator(`[data-node="${BOTTLING}"] a`).click();
      await page.locator(`[data-node="${BOTTLING}/line1"] a`).click();
      const packer = page.locator(`[data-node="${BOTTLING}/line1/packer"]`);
      await packer.getByText('No meter stands there.').waitFor();
      await packer.getByRole('link').click();
      await page.getByText('No meter stands here or below').waitFor();
      assert.match(page.url(), /span=8h/);
      await page.getByRole('navigation', { name: 'Way to here' }).or(page.locator('nav.way')).getByRole('link').last().click();
      await figure(page, 'kwh').waitFor();
      assert.match(page.url(), /line1(&|$)/);
    }));

  test('columns by keyboard, their table twin and file agree with the sum', () =>
    on(`/energy?path=${BOTTLING}&from=2026-01-05T00:00:00.000Z&to=2026-01-06T00:00:00.000Z&step=hour`, {}, async (page) => {
      const usage = card(page, 'Consumption over time');
      const chart = usage.getByRole('img', { name: /^Consumption from/ });
      await chart.focus();
      await page.keyboard.press('Home');
      await usage.getByText(/kWh; Electricity .*kWh; Steam/).waitFor();
      const total = number(await figure(page, 'kwh').innerText());
      await usage.getByRole('button', { name: /^Table/ }).click();
      assert.match(page.url(), /table=usage/);
      const cells = await usage.locator('tbody tr td:nth-child(4)').allInnerTexts();
      assert.equal(cells.length, 24);
      assert.ok(Math.abs(cells.reduce((sum, text) => sum + number(text), 0) - total) < 24);
      const [file] = await Promise.all([page.waitForEvent('download'), usage.getByRole('button', { name: /^CSV/ }).click()]);
      const lines = (await readFile(await file.path(), 'utf8')).trim().split('\r\n');
      assert.equal(lines[0], 'from_utc,to_utc,shift,kwh_electricity,kwh_steam,cost_EUR,estimated');
      assert.equal(lines.length, 25);
      await usage.getByRole('button', { name: 'Shift' }).click();
      await usage.getByRole('cell', { name: /Early, / }).first().waitFor();
    }));

  test('the highest quarter hours of a month and what the highest costs', () =>
    on(`/energy?path=${BOTTLING}`, {}, async (page) => {
      const peaks = card(page, 'Highest quarter hours of a month');
      await peaks.getByText(/kW × 11\.5 EUR\/kW = €/).waitFor();
      assert.equal(await peaks.locator('tbody tr').count(), 20);
      await peaks.getByRole('combobox').selectOption({ index: 2 });
      assert.match(page.url(), /month=\d{4}-\d\d/);
      await peaks.getByText(/kW × 11\.5 EUR/).waitFor();
    }));

  test('from Performance with its range; without meters it says what makes them; an error can be tried again', async () => {
    await on(`/plant?path=${BOTTLING}&span=1h`, {}, async (page) => {
      await page.locator('main').getByRole('link', { name: 'Energy' }).click();
      await figure(page, 'kwh').waitFor();
      assert.match(page.url(), /\/energy\?path=works\/nord\/bottling&span=1h/);
      await page.keyboard.press('g');
      await page.keyboard.press('p');
      await page.waitForURL(/\/plant/);
    });
    await on(`/energy?path=${NORD}`, { seed: { 'mock.no_meters': '1' } }, (page) => page.getByText('A [[meter]] in the plant model').waitFor());
    await on('/trends', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/energy?'));
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Energy' }).click();
      await page.getByText('the records cannot be read').waitFor();
      await page.evaluate(() => window.andonMock.fail(''));
      await page.getByRole('button', { name: 'Try again' }).click();
      await figure(page, 'kwh').waitFor();
    }, ['503']);
  });

  for (const [width, locale] of [[360, 'de'], [834, 'de']])
    test(`${width} px in ${locale}: no sideways scroll of the page, and fingers find room`, () =>
      on('/login', { width, height: 1112, ...TOUCH }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}/energy?path=${BOTTLING}`);
        await page.locator('[data-node] b').first().waitFor();
        const cut = await page.evaluate(() => [...document.querySelectorAll('html, main *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
        assert.deepEqual(cut, []);
        const small = await page.evaluate(() => [...document.querySelectorAll('main :is(a, button, select)')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 30)}`));
        assert.deepEqual(small, []);
      }));

  for (const theme of ['light', 'dark'])
    test(`axe finds nothing, ${theme}`, () =>
      on(`/energy?path=${BOTTLING}`, { theme }, async (page) => {
        await page.locator('[data-node] b').first().waitFor();
        assert.deepEqual(await findings(page), []);
      }));
});
