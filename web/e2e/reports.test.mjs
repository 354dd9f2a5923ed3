// Reports in a real browser: what is shown is what is printed, page by page, with nothing cut off, in both languages. Runs on the mock only.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const BOTTLING = 'works/nord/bottling';

/** How many pages a PDF has, and how large they are, in points. */
function pagesOf(pdf) {
  const text = pdf.toString('latin1');
  const boxes = [...text.matchAll(/\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]/g)].map((m) => [Number(m[1]), Number(m[2])]);
  return { pages: [...text.matchAll(/\/Type\s*\/Page\b(?!s)/g)].length, boxes };
}

describe('reports', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const sheet = (page) => page.locator('article.sheet');

  test('the shift that is on, by keyboard; its figure is that of OEE, and all parts are there', () =>
    shown(run, '/reports', {}, async (page) => {
      await sheet(page).getByRole('heading', { name: /^Shift report (Early|Late)$/ }).waitFor();
      for (const part of ['kpis', 'amounts', 'losses', 'downtime', 'orders', 'alarms']) await sheet(page).locator(`[data-part=${part}] table`).waitFor();
      await sheet(page).getByText('still going on').waitFor();
      await page.getByRole('button', { name: 'Day' }).focus();
      await page.keyboard.press('Enter');
      await sheet(page).getByRole('heading', { name: /^Day report/ }).waitFor();
      assert.match(page.url(), /kind=day/);
    }));

  test('a shift that is over: its figure is the one of the page of OEE', () =>
    shown(run, `/reports?path=${BOTTLING}/line1&from=2026-01-05T06:00:00.000Z&to=2026-01-05T14:00:00.000Z`, {}, async (page) => {
      const oee = await sheet(page).locator('[data-part=kpis] tbody tr').first().locator('td').nth(1).innerText();
      assert.equal(await sheet(page).getByText('still going on').count(), 0);
      await page.goto(`${run.url}/oee?path=${BOTTLING}/line1&from=2026-01-05T06:00:00.000Z&to=2026-01-05T14:00:00.000Z`);
      await page.locator('[data-kpi=oee_index] b').waitFor();
      assert.equal(oee.replace(/\s*%/, ''), await page.locator('[data-kpi=oee_index] b').innerText());
    }));

  test('every table is a file, with a head and as many rows', () =>
    shown(run, `/reports?path=${BOTTLING}`, {}, async (page) => {
      await sheet(page).locator('[data-part=alarms] table').waitFor();
      for (const part of ['kpis', 'losses', 'downtime', 'orders', 'alarms']) {
        const [file] = await Promise.all([page.waitForEvent('download'), sheet(page).locator(`[data-part=${part}]`).getByRole('button', { name: /^CSV/ }).click()]);
        const lines = (await readFile(await file.path(), 'utf8')).trim().split('\r\n');
        assert.equal(lines.length - 1, await sheet(page).locator(`[data-part=${part}] tbody tr`).count(), part);
      }
    }));

  for (const [theme, locale] of [['light', 'en'], ['dark', 'de']])
    test(`printed, ${theme}, ${locale}: A4, the sheet alone, light, and nothing wider than the paper`, () =>
      shown(run, '/login', { theme }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}/reports?path=${BOTTLING}`);
        await sheet(page).locator('[data-part=alarms] table').waitFor();
        await page.emulateMedia({ media: 'print' });
        // 186 mm are what A4 leaves between its margins.
        await page.setViewportSize({ width: 703, height: 1000 });
        // Pictures follow the width of the sheet with the next frame.
        await page.waitForFunction(() => [...document.querySelectorAll('article.sheet svg')].every((e) => e.getBoundingClientRect().right <= 703.5));
        const seen = await page.evaluate(() => {
          const wide = [...document.querySelectorAll('article.sheet *')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 703.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 40)}`);
          const others = [...document.querySelectorAll('nav, header.top, .noprint, button')].filter((e) => e.checkVisibility()).map((e) => e.tagName);
          const cut = [...document.querySelectorAll('main, main *')].filter((e) => e.checkVisibility() && e.scrollHeight > e.clientHeight + 1 && ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowY) && !e.matches('.sr')).map((e) => `${e.tagName}.${e.className}`);
          return { wide, others, cut, ink: getComputedStyle(document.querySelector('article.sheet')).color };
        });
        assert.deepEqual(seen, { wide: [], others: [], cut: [], ink: 'rgb(26, 32, 39)' });
        await page.setViewportSize({ width: 1280, height: 800 });
        const { pages, boxes } = pagesOf(await page.pdf({ preferCSSPageSize: true }));
        assert.ok(pages >= 2 && pages <= 6, `${pages} pages`);
        assert.equal(boxes.length, pages);
        for (const [width, height] of boxes) assert.ok(Math.abs(width - 595) < 2 && Math.abs(height - 842) < 2, `${width} × ${height} points are no A4`);
      }));

  test('a long table goes on over pages, and its head stands on each', () =>
    shown(run, `/reports?kind=order&order=4709`, {}, async (page) => {
      await sheet(page).locator('[data-part=jobs] table').waitFor();
      const short = pagesOf(await page.pdf({ preferCSSPageSize: true })).pages;
      await page.evaluate(() => {
        const body = document.querySelector('[data-part=jobs] tbody');
        const row = body.querySelector('tr');
        for (let i = 0; i < 120; i += 1) body.append(row.cloneNode(true));
      });
      assert.ok(pagesOf(await page.pdf({ preferCSSPageSize: true })).pages >= short + 2);
      await page.emulateMedia({ media: 'print' });
      assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('[data-part=jobs] thead')).display), 'table-header-group');
      assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('[data-part=jobs] tbody tr')).breakInside), 'avoid');
    }));

  test('an order: what was made, its jobs, scrap with its reason; one that is not there is said', () =>
    shown(run, '/reports?kind=order', {}, async (page) => {
      await page.getByText('Which order?').waitFor();
      await page.getByLabel('Number').fill('4709');
      await page.keyboard.press('Enter');
      await sheet(page).getByRole('heading', { name: 'Order report 4709' }).waitFor();
      assert.ok((await sheet(page).locator('[data-part=jobs] tbody tr').count()) >= 1);
      await page.getByLabel('Number').fill('nothing');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: 'nothing' }).waitFor();
    }, ['404']));

  test('a part that has no answer says why, and the others stand', () =>
    shown(run, '/trends', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/orders', 503));
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Reports' }).click();
      await sheet(page).locator('[data-part=orders]').getByText('disk I/O error').waitFor();
      await sheet(page).locator('[data-part=kpis] table').waitFor();
    }, ['503']));

  for (const [width, locale] of [[360, 'de'], [820, 'de']])
    test(`${width} px in ${locale}: no sideways scroll of the page, and fingers find room`, () =>
      shown(run, '/login', { width, height: 1000, density: 'touch', touch: true }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}/reports?path=${BOTTLING}`);
        await sheet(page).locator('[data-part=alarms] table').waitFor();
        const wide = await page.evaluate(() => [...document.querySelectorAll('html, main, .column, .column *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox')).map((e) => `${e.tagName}.${e.className}: ${e.scrollWidth} of ${e.clientWidth}`));
        assert.deepEqual(wide, []);
        const small = await page.evaluate(() => [...document.querySelectorAll('main a, main button, main select, main input')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => e.textContent?.trim().slice(0, 30)));
        assert.deepEqual(small, []);
      }));

  for (const theme of ['light', 'dark'])
    test(`axe finds nothing, ${theme}`, () =>
      shown(run, `/reports?path=${BOTTLING}`, { theme }, async (page) => {
        await sheet(page).locator('[data-part=alarms] table').waitFor();
        assert.deepEqual(await findings(page), []);
      }));
});
