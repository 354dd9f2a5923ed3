// Performance in a real browser: from the enterprise down to the machine and on to OEE with the same window, what needs attention first, and
// no more questions at once than are good for a server. Runs on the mock only.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, findings, open, real, shown, start, visit } from './browser.mjs';

const BOTTLING = 'works/nord/bottling';

describe('performance of the plant', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const toNumber = (text) => Number(text.replace(/[^\d.]/g, ''));

  test('by keyboard from the enterprise to the machine, and on to OEE with the same window and the same figure', () =>
    shown(run, '/plant?from=2026-01-01T00:00:00.000Z&to=2026-01-01T08:00:00.000Z', {}, async (page) => {
      for (const name of ['Werk Nord', 'Bottling', 'Line 1']) {
        await page.getByRole('link', { name: new RegExp(`^${name}`) }).and(page.locator('.open')).focus();
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { level: 2, name }).waitFor();
      }
      assert.match(page.url(), /path=works\/nord\/bottling\/line1&from=2026-01-01T00:00:00\.000Z/);
      const row = page.locator(`[data-node="${BOTTLING}/line1/filler"]`);
      const oee = toNumber(await row.locator('.oee .value').innerText());
      await row.locator('.open').focus();
      await page.keyboard.press('Enter');
      await page.locator('[data-kpi=oee_index] b').waitFor();
      assert.match(page.url(), /\/oee\?path=works\/nord\/bottling\/line1\/filler&from=2026-01-01T00:00:00\.000Z&to=2026-01-01T08:00:00\.000Z/);
      assert.equal(toNumber(await page.locator('[data-kpi=oee_index] b').innerText()), oee, 'the same figure as on the page of OEE');
      await page.goBack();
      await page.getByRole('navigation', { name: 'Way through the plant' }).getByRole('link', { name: 'Bottling' }).click();
      await page.getByRole('heading', { level: 2, name: 'Bottling' }).waitFor();
    }));

  test('the row with the worst alarm comes first, and a row under the pointer stays where it is', async () => {
    const { page, faults } = await open(run);
    await enter(run, page);
    await visit(run, page, '/plant?path=works/nord');
    const rows = page.locator('tbody tr');
    const ranks = await rows.evaluateAll((all) => all.map((row) => Number(row.querySelector('.prio text')?.textContent ?? 9)));
    assert.deepEqual(ranks, ranks.toSorted((a, b) => a - b));
    assert.ok(ranks[0] < 9, 'there is an alarm to sort by');
    const target = page.locator(`[data-node="${BOTTLING}"] .oee`);
    assert.equal(await target.getByText('target').count(), 0, 'no target where nobody has set one');
    await visit(run, page, `/plant?path=${BOTTLING}`);
    await page.locator(`[data-node="${BOTTLING}/line1"] .oee`).getByText('target 72.0').waitFor();
    const last = rows.last();
    await last.hover();
    const before = await rows.evaluateAll((all) => all.map((row) => row.dataset.node));
    await page.evaluate(() => window.andonMock.burst(3));
    await page.waitForTimeout(1500);
    assert.deepEqual(await rows.evaluateAll((all) => all.map((row) => row.dataset.node)), before);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('fifty lines are one question, and their curves come four at a time, of those in sight', async () => {
    const { page, faults } = await open(run, { seed: { 'mock.lines': '50', 'mock.calm': '1' } });
    await page.addInitScript(() => {
      const seen = { level: 0, kpis: 0, series: 0, most: 0 };
      let now = 0;
      const begin = () => {
        const ask = window.fetch;
        window.fetch = async (...wish) => {
          const at = String(wish[0]);
          if (at.startsWith('/api/mes/kpis/children')) seen.level += 1;
          else if (at.startsWith('/api/mes/kpis/series')) {
            seen.series += 1;
            seen.most = Math.max(seen.most, (now += 1));
            return ask(...wish).finally(() => (now -= 1));
          } else if (at.startsWith('/api/mes/kpis')) seen.kpis += 1;
          return ask(...wish);
        };
      };
      Object.assign(window, { seen, watchAsking: begin });
    });
    await enter(run, page);
    await visit(run, page, '/trends');
    await page.evaluate(() => window.watchAsking());
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Performance' }).click();
    await page.getByRole('link', { name: /^Werk Nord/ }).click();
    await page.locator('[data-node] .open', { hasText: 'Bottling' }).click();
    await page.locator(`[data-node="${BOTTLING}/line50"]`).waitFor();
    await page.locator('[data-node] svg[role=img]').first().waitFor();
    await page.waitForFunction(() => window.seen.series > 4);
    const seen = await page.evaluate(() => window.seen);
    assert.ok(seen.most <= 4, `${seen.most} curves were asked for at once`);
    assert.ok(seen.series < 30, `${seen.series} curves were asked for, of rows out of sight too`);
    assert.equal(seen.kpis, 0, 'no question per row');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('what is stale is said and hatched, and it catches up', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, `/plant?path=${BOTTLING}`);
    await page.locator('[data-node]').first().waitFor();
    assert.equal(await page.locator('.hatched').count(), 0);
    await page.evaluate(() => window.andonMock.lose());
    await page.getByText(/^As of \d\d:\d\d:\d\d/).waitFor();
    assert.ok((await page.locator('tbody .hatched').count()) > 0);
    await page.evaluate(() => window.andonMock.restore());
    await page.waitForFunction(() => document.querySelectorAll('.hatched').length === 0, null, { timeout: 30_000 });
    await page.close();
  });

  test('an answer of another shape, and no plant at all, are said', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await page.evaluate(() => window.andonMock.fail('/kpis/children', 200));
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Performance' }).click();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await page.evaluate(() => window.andonMock.fail(''));
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('heading', { level: 2, name: 'Lantern Works' }).waitFor();
    await page.close();
  });

  for (const [width, locale] of [[360, 'de'], [390, 'en'], [820, 'de'], [1280, 'de']]) {
    test(`${width} px in ${locale}: nothing is cut off, and fingers find room`, () =>
      shown(run, '/login', { width, height: 1180, density: width < 1000 ? 'touch' : 'normal', touch: width < 1000 }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}/plant?path=${BOTTLING}`);
        await page.locator('[data-node]').first().waitFor();
        const cut = await page.evaluate(() => [...document.querySelectorAll('main *')].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
        assert.deepEqual(cut, []);
        if (width < 1000) {
          const small = await page.evaluate(() => [...document.querySelectorAll('main a, main button')].filter((e) => e.checkVisibility()).map((e) => ({ text: e.textContent?.trim().slice(0, 30), ...e.getBoundingClientRect().toJSON() })).filter((b) => b.height < 47.5).map((b) => `${b.text}: ${b.height}`));
          assert.deepEqual(small, []);
        }
      }));
  }

  for (const theme of ['light', 'dark'])
    for (const touch of [false, true])
      test(`axe finds nothing, ${theme}${touch ? ', touch' : ''}`, () =>
        shown(run, `/plant?path=${BOTTLING}`, { theme, touch, density: touch ? 'touch' : 'normal', width: touch ? 390 : 1280, height: 844 }, async (page) => {
          await page.locator('[data-node]').first().waitFor();
          assert.deepEqual(await findings(page), []);
        }));
});
