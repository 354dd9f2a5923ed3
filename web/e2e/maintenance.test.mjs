// Maintenance in a real browser: in two taps with gloves and by keyboard, from an alarm in one, nothing twice after a lost answer. Runs on the
// mock only.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, findings, open, real, shown, start, visit } from './browser.mjs';

const LABELLER = 'works/nord/bottling/line1/labeller';

describe('maintenance', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const drawer = (page) => page.locator('[data-state]');
  const deed = (page, name) => page.getByRole('button', { name, exact: true });

  test('failures first; begin, pause, go on and finish by finger, each in two taps at most', async () => {
    const { page, faults } = await open(run, { width: 820, height: 1180, density: 'touch', touch: true, seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/maintenance');
    const first = page.locator('[data-work]').first();
    await first.getByText('Label web tears').waitFor();
    await first.getByText('Failure').waitFor();
    await first.tap();
    await deed(page, 'Begin').tap();
    await page.locator('[data-state=Running]').waitFor();
    await deed(page, 'Pause').tap();
    await page.getByRole('dialog', { name: 'Pause M-1' }).getByRole('button', { name: 'Waiting for something else' }).tap();
    await page.locator('[data-state=Interrupted]').waitFor();
    await deed(page, 'Go on').tap();
    await page.locator('[data-state=Running]').waitFor();
    await deed(page, 'Finish').tap();
    await page.getByRole('dialog', { name: 'Finish M-1' }).getByRole('button', { name: 'Finish' }).tap();
    await page.locator('[data-state=Ended]').waitFor();
    await page.locator('[data-work=M-1]').waitFor({ state: 'detached' });
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('by keyboard: finished with failure code and remedy, a part used, and the ledger says so', () =>
    shown(run, '/maintenance?order=M-4', {}, async (page) => {
      await page.locator('[data-state=Running]').waitFor();
      await page.locator('form.part select').selectOption('CAP-28');
      await page.getByLabel('Lot').fill('C-77');
      await page.keyboard.press('Enter');
      await page.getByText('Screw cap 28 mm, C-77').waitFor();
      await deed(page, 'Finish').focus();
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Finish M-4' });
      await dialog.getByLabel('Failure code').selectOption('Electrical/Sensor dirty');
      await dialog.getByLabel('Remedy').fill('Wiped');
      await page.keyboard.press('Enter');
      await page.locator('[data-state=Ended]').waitFor();
      await page.getByRole('definition').filter({ hasText: 'Electrical › Sensor dirty' }).waitFor();
      await page.getByRole('listitem').filter({ hasText: 'part used' }).waitFor();
      await page.getByRole('listitem').filter({ hasText: 'finished' }).waitFor();
    }));

  test('finishing says since when it runs again: not before it failed, not later than now', () =>
    shown(run, '/maintenance?order=M-1', {}, async (page) => {
      await deed(page, 'Begin').click();
      await page.locator('[data-state=Running]').waitFor();
      await deed(page, 'Finish').click();
      const dialog = page.getByRole('dialog', { name: 'Finish M-1' });
      const ago = (minutes) => page.evaluate((minutes) => {
        const d = new Date(Date.now() - minutes * 60_000);
        return `${d.getFullYear()}-${d.getMonth() + 1}-${d.getDate()} ${d.getHours()}:${String(d.getMinutes()).padStart(2, '0')}`;
      }, minutes);
      const typed = dialog.getByLabel('Runs again since');
      for (const [minutes, said] of [[120, 'That is before it failed.'], [-10, 'That is later than now.']]) {
        await typed.fill(await ago(minutes));
        await page.keyboard.press('Enter');
        await dialog.getByText(said).waitFor();
      }
      const at = await ago(15);
      await typed.fill(at);
      await page.keyboard.press('Enter');
      await page.locator('[data-state=Ended]').waitFor();
      await page.getByRole('definition').filter({ hasText: `${at.split(' ')[1].padStart(5, '0')}:00` }).waitFor();
    }));

  test('a lost answer does nothing twice: the same is asked again with the same key', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/maintenance?order=M-4');
    await page.locator('[data-state=Running]').waitFor();
    await page.locator('form.part select').selectOption('CAP-28');
    await page.evaluate(() => {
      window.andonMock.loseAnswer();
      const ask = window.fetch;
      window.keys = [];
      window.fetch = (...wish) => (String(wish[0]).endsWith('/parts') && window.keys.push(JSON.parse(wish[1].body).key), ask(...wish));
    });
    await deed(page, 'Enter as used').click();
    await page.getByText('nobody knows whether it was done').waitFor();
    await page.getByRole('button', { name: 'Ask again: Enter as used' }).click();
    await page.getByText('nobody knows whether it was done').waitFor({ state: 'detached' });
    const keys = await page.evaluate(() => window.keys);
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    assert.equal(await page.getByText('used 1 pcs Screw cap').count(), 1);
    await page.close();
  });

  test('somebody was faster: what it is now is shown, and nothing is sent by itself', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/maintenance?order=M-3');
    await deed(page, 'Begin').waitFor();
    await page.evaluate(() => window.andonMock.mend('M-3', 'begin', 'Jonas Weber'));
    await deed(page, 'Begin').click();
    await page.getByRole('alert').filter({ hasText: 'was changed meanwhile' }).waitFor();
    await page.locator('[data-state=Running]').waitFor();
    await page.getByRole('listitem').filter({ hasText: 'begun' }).first().waitFor();
    assert.equal(await page.getByRole('listitem').filter({ hasText: 'begun' }).count(), 1);
    await page.close();
  });

  test('an instruction is read before the work begins', () =>
    shown(run, '/maintenance?order=M-2', {}, async (page) => {
      await deed(page, 'Begin').click();
      await page.getByRole('alert').filter({ hasText: 'not yet confirmed as seen: rinse' }).waitFor();
      await deed(page, 'Read it').click();
      await page.getByText('Rinse for three minutes').waitFor();
      await page.getByRole('button', { name: /^I have read revision 3/ }).click();
      await page.getByText('read', { exact: true }).waitFor();
      await deed(page, 'Begin').click();
      await page.locator('[data-state=Running]').waitFor();
    }, ['409']));

  test('an order is cancelled only after one was asked, and who works on it does not join', () =>
    shown(run, '/maintenance?order=M-3', {}, async (page) => {
      await deed(page, 'Begin').click();
      await page.locator('[data-state=Running]').waitFor();
      assert.equal(await deed(page, 'Join in').count() + (await deed(page, 'Leave').count()), 0);
      await deed(page, 'Cancel the order').click();
      const dialog = page.getByRole('dialog', { name: 'Cancel M-3' });
      await dialog.getByText('its failure is not counted').waitFor();
      assert.equal(await page.locator('[data-state=Running]').count(), 1);
      await dialog.getByLabel('Reason').fill('Reported twice');
      await dialog.getByRole('button', { name: 'Cancel the order' }).click();
      await page.locator('[data-state=Aborted]').waitFor();
      await page.getByRole('listitem').filter({ hasText: 'Reported twice' }).waitFor();
    }));

  test('from an alarm to its order in one tap, and the link to it stands there; asked again it is the same one', async () => {
    const { page, faults } = await open(run, { width: 820, height: 1180, density: 'touch', touch: true, seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/alarms?alarm=works/nord/utilities/energy/buffer/level:high');
    await page.getByRole('button', { name: 'Make a maintenance order' }).tap();
    await page.getByRole('link', { name: 'Open maintenance order M-5' }).tap();
    await page.getByRole('heading', { name: 'Buffer tank level high' }).waitFor();
    assert.match(page.url(), /\/maintenance\?order=M-5/);
    await page.goBack();
    await page.getByRole('button', { name: 'Make a maintenance order' }).tap();
    await page.getByRole('link', { name: 'Open maintenance order M-5' }).waitFor();
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a failure is reported, plans say how much is used, figures what they are made of', () =>
    shown(run, '/maintenance', {}, async (page) => {
      await deed(page, 'Report a failure').click();
      const dialog = page.getByRole('dialog', { name: 'Report a failure' });
      await dialog.getByLabel('Where').selectOption(LABELLER);
      await dialog.getByLabel('What is wrong').fill('Smells of glue');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Smells of glue' }).waitFor();
      const plan = page.locator('[data-plan=filler-seals]');
      await plan.getByText('Overdue').waitFor();
      await plan.getByText('1,893,000 of 2,000,000').waitFor();
      await page.locator('[data-figure=mttr]').getByText(/h \/ \d/).waitFor();
      assert.deepEqual(await page.locator('[data-plan] .state').allInnerTexts().then((all) => all.map((text) => text.split('\n')[0])), ['Overdue', 'Due', 'Soon', 'Not yet']);
      await page.locator('[data-plan=packer-chain]').getByRole('button', { name: 'Make the order now' }).click();
      await page.getByRole('heading', { name: 'Grease the chain' }).waitFor();
    }));

  test('who may only look is told why, and stale is said', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page, 'viewer');
    await visit(run, page, '/maintenance?order=M-1');
    await page.getByText('work needs the role operator').first().waitFor();
    assert.equal(await deed(page, 'Begin').count(), 0);
    await page.evaluate(() => window.andonMock.lose());
    await page.getByText(/^As of \d\d:/).first().waitFor();
    assert.ok((await drawer(page).count()) === 1);
    await page.close();
  });

  for (const width of [360, 820])
    test(`${width} px in German with gloves: nothing is cut off, and what is done is 64 px high`, () =>
      shown(run, '/login', { width, height: 1180, density: 'touch', touch: true }, async (page) => {
        await page.evaluate(() => localStorage.setItem('andon.locale', 'de'));
        for (const at of ['/maintenance', '/maintenance?order=M-4']) {
          await page.goto(`${run.url}${at}`);
          await page.locator('[data-work]').first().waitFor();
          if (at.includes('order')) await page.locator('[data-state]').waitFor();
          const cut = await page.evaluate(() => [...document.querySelectorAll('main *, dialog[open] *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select, option')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
          assert.deepEqual(cut, []);
          const low = await page.evaluate(() => [...document.querySelectorAll('.deeds .btn, .item')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 63.5).map((e) => e.textContent?.trim()));
          assert.deepEqual(low, []);
        }
      }));

  for (const [theme, touch] of [['light', false], ['dark', false], ['light', true], ['dark', true]])
    test(`axe finds nothing, ${theme}${touch ? ', touch' : ''}`, () =>
      shown(run, '/maintenance?order=M-4', { theme, touch, density: touch ? 'touch' : 'normal', width: touch ? 390 : 1280, height: 844 }, async (page) => {
        await page.locator('[data-state=Running]').waitFor();
        assert.deepEqual(await findings(page), []);
      }));
});
