// Mixing vessels: what is in one as shares, now and at a date; filled, drawn, weighed, emptied. On the mock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const TANK = '/trace?vessel=works/nord/bottling/line1/filler';
const SILO = '/trace?vessel=works/nord/bottling/line2/filler';
const TOUCH = { touch: true, density: 'touch' };

describe('vessels', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const card = (page, name) => page.getByRole('region', { name, exact: true });
  const dialog = (page) => page.getByRole('dialog');
  const inside = (page) => page.locator('section[aria-labelledby=vessel] tbody tr');
  const deed = (page, name) => page.getByRole('button', { name, exact: true });

  test('from Traceability to a vessel: its lots as shares, now and at a date', () =>
    on('/trace', {}, async (page) => {
      await deed(page, 'Mixing vessels').click();
      const first = page.locator('[data-vessel]').first();
      assert.match(await first.innerText(), /Line 1 · Filler[\s\S]*ideally mixed · SYRUP[\s\S]*800.kg[\s\S]*2 lots/);
      await first.click();
      await inside(page).first().waitFor();
      assert.deepEqual((await inside(page).allInnerTexts()).map((text) => /S-30\d[\s\S]*?([\d.]+).%/.exec(text)?.[1]), ['37.5', '62.5']);
      const before = await page.evaluate(() => {
        const d = new Date(Date.now() - 3 * 3_600_000);
        return `${d.getFullYear()}-${d.getMonth() + 1}-${d.getDate()} ${d.getHours()}:${String(d.getMinutes()).padStart(2, '0')}`;
      });
      await page.getByRole('textbox', { name: 'At', exact: true }).fill(before);
      await page.keyboard.press('Enter');
      await page.getByText(/^As it was at/).waitFor();
      assert.equal(await inside(page).count(), 1);
      assert.match(await inside(page).first().innerText(), /S-301[\s\S]*100\.0.%[\s\S]*300.kg/);
      assert.match(page.url(), /at=\d+/);
      assert.equal(await deed(page, 'Fill in').count(), 0);
      await page.getByRole('textbox', { name: 'At', exact: true }).fill('2099-01-01 00:00');
      await page.keyboard.press('Enter');
      await page.getByText('That is later than now.').waitFor();
      await deed(page, 'Now').click();
      await inside(page).nth(1).waitFor();
    }));

  test('filled by scan; too much, another material and what is barred are refused; after a lost answer once', () =>
    on(TANK, {}, async (page) => {
      await deed(page, 'Fill in').click();
      await page.keyboard.type('S-302');
      await dialog(page).getByLabel(/^Quantity/).fill('500');
      await page.keyboard.press('Enter');
      await dialog(page).getByText(/do not fit/).waitFor();
      await dialog(page).getByLabel('Scan the lot').fill('C-5512');
      await dialog(page).getByLabel(/^Quantity/).fill('100');
      await page.keyboard.press('Enter');
      await dialog(page).getByText(/is for SYRUP/).waitFor();
      await dialog(page).getByLabel('Scan the lot').fill('S-302');
      assert.deepEqual(await findings(page), []);
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.keyboard.press('Enter');
      await dialog(page).getByRole('button', { name: 'Ask again: Fill in' }).click();
      await dialog(page).waitFor({ state: 'detached' });
      await page.getByText(/^900.kg$/).first().waitFor();
      assert.equal(await card(page, 'In and out').locator('tbody tr').count(), 4);
    }, ['Failed', '409', '422']));

  test('with a finger: drawn into a lot that is made by it, whose parts are those of the vessel; weighed, emptied', () =>
    on(TANK, { width: 834, height: 1112, ...TOUCH }, async (page) => {
      await deed(page, 'Draw').tap();
      await dialog(page).getByLabel('Scan or type the lot').fill('L-900');
      await dialog(page).getByLabel(/^Quantity/).fill('80');
      await dialog(page).getByRole('button', { name: 'Draw' }).tap();
      await dialog(page).getByText('L-900 is no lot here: say its material, and it is made.').waitFor();
      await dialog(page).getByLabel('Its material').fill('LEMONADE');
      await dialog(page).getByRole('button', { name: 'Draw' }).tap();
      await dialog(page).waitFor({ state: 'detached' });
      assert.deepEqual((await inside(page).allInnerTexts()).map((text) => /([\d.]+).%/.exec(text)?.[1]), ['37.5', '62.5']);
      await deed(page, 'Set the level').tap();
      await dialog(page).getByLabel('What is in it').fill('700');
      await dialog(page).getByRole('button', { name: 'Set the level' }).tap({ force: true });
      await dialog(page).getByText('Say why.').waitFor();
      await dialog(page).getByLabel('Reason').fill('Weighed');
      await dialog(page).getByRole('button', { name: 'Set the level' }).tap();
      await card(page, 'In and out').getByText('Weighed').waitFor();
      await deed(page, 'Empty').tap();
      await dialog(page).getByRole('button', { name: 'Empty' }).tap();
      await page.getByText('It is empty.').waitFor();
      await card(page, 'In and out').getByRole('link', { name: 'L-900' }).tap();
      await page.getByRole('heading', { name: 'Lot L-900' }).waitFor();
      await page.getByRole('button', { name: 'Made of' }).tap();
      await card(page, 'What hangs together').getByText('S-301').first().waitFor();
    }));

  test('an empty one says so; who may only look is told why; none at all says what makes one; an error can be tried again', async () => {
    await on(SILO, { user: 'viewer' }, async (page) => {
      await page.getByText('It is empty.').waitFor();
      await page.getByText('Changing it needs the role operator at a station of units.').waitFor();
      await deed(page, 'Fill in').click({ force: true });
      assert.equal(await dialog(page).count(), 0);
    });
    await on('/trace?view=vessels', { seed: { 'mock.no_units': '1' } }, (page) => page.getByText('No mixing vessel yet').waitFor());
    await on('/trace', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/vessels'));
      await deed(page, 'Mixing vessels').click();
      await page.getByText('the records cannot be read').waitFor();
      await page.evaluate(() => window.andonMock.fail(''));
      await deed(page, 'Try again').click();
      await page.locator('[data-vessel]').first().waitFor();
    }, ['503']);
  });

  for (const width of [360, 834])
    test(`${width} px in German with gloves: nothing is cut off`, () =>
      on('/login', { width, height: 1112, ...TOUCH }, async (page) => {
        await page.evaluate(() => localStorage.setItem('andon.locale', 'de'));
        for (const at of ['/trace?view=vessels', TANK]) {
          await page.goto(`${run.url}${at}`);
          await page.locator('[data-vessel], section[aria-labelledby=vessel-flows] tbody tr').first().waitFor();
          const cut = await page.evaluate(() => [...document.querySelectorAll('html, main *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
          assert.deepEqual(cut, []);
          const small = await page.evaluate(() => [...document.querySelectorAll('main :is(button, input), main [data-vessel]')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 30)}`));
          assert.deepEqual(small, []);
        }
      }));

  for (const theme of ['light', 'dark'])
    test(`axe finds nothing, ${theme}`, () =>
      on(TANK, { theme }, async (page) => {
        await inside(page).first().waitFor();
        assert.deepEqual(await findings(page), []);
      }));
});
