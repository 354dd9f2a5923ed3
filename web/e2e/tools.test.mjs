// Tools and moulds in Maintenance: their life, where they are, mounted and renewed. On the mock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const TOUCH = { touch: true, density: 'touch' };
const LABELLER2 = 'works/nord/bottling/line2/labeller';

describe('tools', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const deed = (page, name) => page.getByRole('button', { name, exact: true });
  const dialog = (page) => page.getByRole('dialog').filter({ has: page.locator('form') });

  test('what is at its end comes first, in words and as a bar; a branch shows what is mounted below it', () =>
    on('/maintenance', {}, async (page) => {
      await deed(page, 'Tools').click();
      await page.locator('[data-tool]').first().waitFor();
      assert.match(page.url(), /view=tools/);
      assert.deepEqual(await page.locator('[data-tool]').evaluateAll((all) => all.map((e) => e.dataset.tool)), ['CH-04', 'M-17', 'N-2', 'M-18', 'G-1']);
      assert.match(await page.locator('[data-tool=CH-04]').innerText(), /At its end[\s\S]*100\.5\s*%[\s\S]*4,021,300 of 4,000,000 cycles/);
      assert.match(await page.locator('[data-tool=N-2]').innerText(), /Good[\s\S]*run time/);
      await page.getByRole('combobox').selectOption('works/nord/bottling/line2');
      await page.getByText('No tool is mounted here').waitFor();
      await page.getByRole('combobox').selectOption('');
      await page.locator('[data-tool=M-17]').click();
      await page.getByText('Overhauled by the tool shop').waitFor({ state: 'detached' });
      await page.locator('[data-tool-state=warn]').waitFor();
      await page.getByText('Told near its end').waitFor();
      // It stands beside the page, not in it.
      assert.equal(await page.locator('.column aside').count(), 0);
      assert.equal(await page.getByRole('complementary', { name: 'Label drum mould' }).count(), 1);
    }));

  test('with a finger: unmounted, and mounted at the other machine; after a lost answer the same is asked again, once', () =>
    on('/maintenance?view=tools&tool=M-17', { width: 834, height: 1112, ...TOUCH }, async (page) => {
      await deed(page, 'Unmount').tap();
      await deed(page, 'Mount').tap();
      await dialog(page).getByRole('button', { name: 'Mount' }).tap({ force: true });
      await dialog(page).getByText('Choose a machine.').waitFor();
      assert.equal(await dialog(page).locator('option').count(), 3);
      await dialog(page).getByLabel('Where').selectOption(LABELLER2);
      await page.evaluate(() => window.andonMock.loseAnswer());
      await dialog(page).getByRole('button', { name: 'Mount' }).tap();
      await dialog(page).getByRole('button', { name: 'Ask again: Mount' }).tap();
      await dialog(page).waitFor({ state: 'detached' });
      await deed(page, 'Unmount').waitFor();
      assert.equal(await page.getByRole('listitem').filter({ hasText: / – now/ }).count(), 1);
      await page.locator('[data-tool=M-17]').getByText('Line 2 · Labeller').waitFor();
    }, ['Failed']));

  test('by keyboard: a renewal says why and begins a new life', () =>
    on('/maintenance?view=tools&tool=CH-04', {}, async (page) => {
      await page.locator('[data-tool-state=end]').waitFor();
      await deed(page, 'Renew').focus();
      await page.keyboard.press('Enter');
      await dialog(page).getByText('is 0 from now on').waitFor();
      await dialog(page).getByLabel('Reason').focus();
      await page.keyboard.press('Enter');
      await dialog(page).getByText('Say why.').waitFor();
      await page.keyboard.type('Heads ground');
      assert.deepEqual(await findings(page), []);
      await page.keyboard.press('Enter');
      await page.locator('[data-tool-state=ok]').waitFor();
      await page.getByRole('listitem').filter({ hasText: 'renewed · Heads ground' }).waitFor();
    }));

  test('what it had used is set in cycles or hours, and what was not touched stays', () =>
    on('/maintenance?view=tools&tool=N-2', {}, async (page) => {
      await deed(page, 'Set what it has used').click();
      await dialog(page).getByLabel('Run time in hours').fill('1900');
      await dialog(page).getByLabel('Reason').fill('Ran at the old plant');
      await page.keyboard.press('Enter');
      await page.locator('[data-tool-state=warn]').waitFor();
      await page.locator('[data-tool=N-2]').getByText(/95(\.0)?\s*%/).waitFor();
    }));

  test('who may only look is told why; a tool that is not known and an error are said', async () => {
    await on('/maintenance?view=tools&tool=M-17', { user: 'viewer' }, async (page) => {
      await page.getByText('work needs the role operator').first().waitFor();
      assert.equal(await deed(page, 'Unmount').count(), 0);
    });
    await on('/maintenance?view=tools&tool=X', {}, (page) => page.getByText('this tool is not known here').waitFor(), ['404']);
    await on('/maintenance', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/tools'));
      await deed(page, 'Tools').click();
      await page.getByText('the records cannot be read').waitFor();
      await page.evaluate(() => window.andonMock.fail(''));
      await deed(page, 'Try again').click();
      await page.locator('[data-tool]').first().waitFor();
    }, ['503']);
  });

  for (const width of [360, 834])
    test(`${width} px in German with gloves: nothing is cut off`, () =>
      on('/login', { width, height: 1112, ...TOUCH }, async (page) => {
        await page.evaluate(() => localStorage.setItem('andon.locale', 'de'));
        for (const at of ['/maintenance?view=tools', '/maintenance?view=tools&tool=CH-04']) {
          await page.goto(`${run.url}${at}`);
          await page.locator('[data-tool]').first().waitFor();
          if (at.includes('tool=')) await page.locator('[data-tool-state]').waitFor();
          const cut = await page.evaluate(() => [...document.querySelectorAll('html, main *, dialog[open] *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select, option')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
          assert.deepEqual(cut, []);
          const low = await page.evaluate(() => [...document.querySelectorAll('main .btn, main select, dialog[open] .btn, .item')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => e.textContent?.trim()));
          assert.deepEqual(low, []);
        }
      }));

  for (const theme of ['light', 'dark'])
    test(`axe finds nothing, ${theme}`, () =>
      on('/maintenance?view=tools&tool=M-17', { theme }, async (page) => {
        await page.locator('[data-tool-state]').waitFor();
        assert.deepEqual(await findings(page), []);
      }));
});
