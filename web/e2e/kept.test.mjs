// Kept reports: the list, one made now, schedules, and a kept one as it is printed. On the mock.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const LINE1 = 'works/nord/bottling/line1';
const report = (n) => `/reports?kept=0192f0c0-9000-7000-8000-00000000000${n}`;
const TOUCH = { touch: true, density: 'touch' };

describe('kept reports', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const sheet = (page) => page.locator('article.sheet');
  const rows = (page) => page.locator('[data-report]');

  test('kept ones the newest first, by kind; schedules with what they made, will make, and why they could not', () =>
    on('/reports', {}, async (page) => {
      await page.getByRole('button', { name: 'Kept and signed' }).click();
      await rows(page).first().waitFor();
      assert.match(page.url(), /view=kept/);
      assert.equal(await rows(page).count(), 3);
      assert.match(await rows(page).first().innerText(), /Order report 4709[\s\S]*Jonas Weber/);
      await page.getByRole('combobox').first().selectOption('shift');
      await rows(page).nth(2).waitFor({ state: 'detached' });
      assert.match(await rows(page).first().innerText(), /Shift Late[\s\S]*schedule line1-shift/);
      const schedule = page.locator('[data-schedule=line1-shift]');
      assert.match(await schedule.innerText(), /400 days/);
      await page.getByText('The folder nord cannot be written: permission denied').waitFor();
      await schedule.getByRole('link').click();
      await sheet(page).getByRole('heading', { name: 'Shift report Late' }).waitFor();
    }));

  test('one is made of what is seen; after a lost answer the same is asked again, and there is one more', () =>
    on(`/reports?path=${LINE1}`, {}, async (page) => {
      await sheet(page).locator('[data-part=kpis] table').waitFor();
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.getByRole('button', { name: 'Make, sign and keep' }).click();
      await page.getByRole('button', { name: 'Ask again: Make, sign and keep' }).click();
      await page.getByText('Signed, and just now checked').waitFor();
      await sheet(page).getByText('still going on').waitFor();
      await page.getByRole('link', { name: 'All kept reports' }).click();
      await rows(page).first().waitFor();
      assert.equal(await rows(page).count(), 4);
    }, ['Failed']));

  test('a kept one: its figures, tables, what is missing and why; its file and how it is verified', () =>
    on(report(2), {}, async (page) => {
      await sheet(page).locator('[data-part=kpis] table').waitFor();
      for (const part of ['amounts', 'losses', 'children', 'orders', 'alarms', 'logbook', 'labour']) await sheet(page).locator(`[data-part=${part}] table`).waitFor();
      await sheet(page).locator('[data-part=maintenance]').getByText('The records of maintenance could not be read at that time.').waitFor();
      await sheet(page).locator('[data-part=handovers]').getByText('Nothing.').waitFor();
      assert.match(await sheet(page).locator('[data-part=logbook] tbody tr').first().innerText(), /Quality[\s\S]*Caps of lot C-77 sit loose\.[\s\S]*Jonas Weber/);
      assert.equal(await page.locator('[data-verified=true]').count(), 1);
      await page.getByText('Its figures come to the same now.').waitFor();
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'File as signed' }).click()]);
      assert.match(file.suggestedFilename(), /^report-shift-.*\.json$/);
      assert.equal(JSON.parse(await readFile(await file.path(), 'utf8')).signature.alg, 'Ed25519');
      await page.getByText(/^andon verify report report-shift-.*\.json --key andon-certificates\.pem$/).waitFor();
      const [pem] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Public key' }).click()]);
      assert.match(await readFile(await pem.path(), 'utf8'), /^-----BEGIN PUBLIC KEY-----/);
      const [csv] = await Promise.all([page.waitForEvent('download'), sheet(page).locator('[data-part=orders]').getByRole('button', { name: /^CSV/ }).click()]);
      const lines = (await readFile(await csv.path(), 'utf8')).trim().split('\r\n');
      assert.equal(lines.length - 1, await sheet(page).locator('[data-part=orders] tbody tr').count());
    }));

  test('one whose signature does not hold says so, in words and by its mark', () =>
    on(report(1), {}, async (page) => {
      await page.locator('[data-verified=false]').getByText(/^The signature does not hold/).waitFor();
    }));

  test('of an order: amounts, jobs, scrap with its reason, units; and the report of now has its units with certificates', async () => {
    await on(report(3), {}, async (page) => {
      await sheet(page).getByRole('heading', { name: 'Order report 4709' }).waitFor();
      for (const part of ['jobs', 'counts', 'consumption', 'units']) await sheet(page).locator(`[data-part=${part}] table`).waitFor();
      await page.getByText('cannot be told').waitFor();
    });
    await on('/reports?kind=order&order=4709', {}, async (page) => {
      const units = sheet(page).locator('[data-part=units] tbody tr');
      await units.first().waitFor();
      const said = await units.allInnerTexts();
      assert.match(said.join('\n'), /not possible[\s\S]*HP16-2026-004702/);
      await units.last().getByRole('link').click();
      await page.waitForURL(/\/trace\?item=/);
    });
  });

  for (const [theme, locale] of [['light', 'en'], ['dark', 'de']])
    test(`printed, ${theme}, ${locale}: A4, the sheet alone, light, and nothing wider than the paper`, () =>
      on('/login', { theme }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}${report(2)}`);
        await sheet(page).locator('[data-part=labour] table').waitFor();
        await page.emulateMedia({ media: 'print' });
        await page.setViewportSize({ width: 703, height: 1000 });
        // Pictures follow the width of the sheet with the next frame.
        await page.waitForFunction(() => [...document.querySelectorAll('article.sheet svg')].every((e) => e.getBoundingClientRect().right <= 703.5));
        const seen = await page.evaluate(() => ({
          wide: [...document.querySelectorAll('article.sheet *')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 703.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 40)}`),
          others: [...document.querySelectorAll('nav, header.top, .noprint, button')].filter((e) => e.checkVisibility()).map((e) => e.tagName),
          ink: getComputedStyle(document.querySelector('article.sheet')).color,
        }));
        assert.deepEqual(seen, { wide: [], others: [], ink: 'rgb(26, 32, 39)' });
        await page.setViewportSize({ width: 1280, height: 800 });
        const text = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
        const pages = [...text.matchAll(/\/Type\s*\/Page\b(?!s)/g)].length;
        assert.ok(pages >= 2 && pages <= 6, `${pages} pages`);
        assert.match(text, /\/MediaBox\s*\[\s*0 0 59[45][\d.]* 84[12]/);
      }));

  test('none kept and none planned say what makes them; who may not make one finds no button; an error can be tried again', async () => {
    await on('/reports?view=kept', { seed: { 'mock.no_reports': '1' } }, async (page) => {
      await page.getByText('No report is kept here').waitFor();
      await page.getByText('Nothing is made by itself').waitFor();
    });
    await on(`/reports?view=kept&kind=shift&path=${LINE1}`, { user: 'viewer' }, async (page) => {
      await rows(page).first().waitFor();
      assert.equal(await page.getByRole('button', { name: 'Make, sign and keep' }).count(), 0);
    });
    await on('/reports', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/reports'));
      await page.getByRole('button', { name: 'Kept and signed' }).click();
      await page.getByText('the records cannot be read').first().waitFor();
      await page.evaluate(() => window.andonMock.fail(''));
      await page.getByRole('button', { name: 'Try again' }).first().click();
      await rows(page).first().waitFor();
    }, ['503']);
    await on('/reports?kept=0192f0c0-9000-7000-8000-000000000099', {}, (page) => page.getByText('this report is not known here').waitFor(), ['404']);
  });

  for (const [width, address] of [[360, '/reports?view=kept'], [834, '/reports?view=kept'], [360, report(2)], [834, report(2)]])
    test(`${address} at ${width} px in German: no sideways scroll of the page, and fingers find room`, () =>
      on('/login', { width, height: 1112, ...TOUCH }, async (page) => {
        await page.evaluate(() => localStorage.setItem('andon.locale', 'de'));
        await page.goto(`${run.url}${address}`);
        await page.locator('[data-report], [data-part=labour] table').first().waitFor();
        const cut = await page.evaluate(() => [...document.querySelectorAll('html, main *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
        assert.deepEqual(cut, []);
        const small = await page.evaluate(() => [...document.querySelectorAll('main :is(a, button, select, input)')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 43.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 30)}`));
        assert.deepEqual(small, []);
      }));

  for (const theme of ['light', 'dark'])
    for (const address of ['/reports?view=kept', report(2)])
      test(`axe finds nothing: ${address}, ${theme}`, () =>
        on(address, { theme }, async (page) => {
          await page.locator('[data-report], [data-part=labour] table').first().waitFor();
          assert.deepEqual(await findings(page), []);
        }));
});
