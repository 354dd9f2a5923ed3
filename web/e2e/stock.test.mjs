// What lies where: a place and its contents, things brought and packed by scan, moved, taken out, exchanged. On the mock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const item = (n) => `/trace?item=0192f0c0-7000-7000-8000-0000000000${n}`;
const [GOOD_LOT, PUMP, BOX] = ['02', '26', '90'].map(item);
const TOUCH = { touch: true, density: 'touch' };

describe('stock', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const card = (page, name) => page.getByRole('region', { name, exact: true });
  const dialog = (page) => page.getByRole('dialog');

  test('places, what lies in one, and a scanned label of a place opens it', () =>
    on('/trace?view=stock', {}, async (page) => {
      await card(page, 'All places').getByRole('link', { name: /store\/quarantine/ }).click();
      await page.getByRole('heading', { name: 'Place store/quarantine' }).waitFor();
      assert.match(page.url(), /place=store\/quarantine/);
      assert.match(await page.getByRole('row').filter({ hasText: 'EV-20' }).first().innerText(), /EV-20[\s\S]*pcs[\s\S]*0.pcs/);
      assert.deepEqual(await findings(page), []);
      await page.keyboard.type('STORE/A12');
      await page.keyboard.press('Enter');
      await page.getByText('“STORE/A12” is no unit and no lot here.').waitFor();
      await page.getByRole('textbox', { name: 'Scan or type a number' }).fill('store/b03');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Place store/b03' }).waitFor();
      await page.getByRole('link', { name: 'B-0930' }).click();
      await page.getByRole('heading', { name: 'Lot B-0930' }).waitFor();
      await page.getByRole('link', { name: 'store/b03' }).click();
      await page.getByRole('heading', { name: 'Place store/b03' }).waitFor();
    }));

  test('scan after scan is brought to a place: a unit at once, of a lot how much; what does not go says why', () =>
    on('/trace?place=store/a12', {}, async (page) => {
      await page.getByRole('button', { name: 'Bring here' }).click();
      await page.keyboard.type('CP25-0004709');
      await page.keyboard.press('Enter');
      await dialog(page).getByRole('listitem').filter({ hasText: 'CP25-0004709: 1' }).waitFor();
      await page.keyboard.type('B-0930');
      await page.keyboard.press('Enter');
      const amount = dialog(page).getByRole('textbox', { name: /^Quantity/ });
      assert.equal(await amount.inputValue(), '108');
      await amount.fill('8');
      assert.deepEqual(await findings(page), []);
      await page.keyboard.press('Enter');
      await dialog(page).getByRole('listitem').filter({ hasText: 'B-0930: 8' }).waitFor();
      // Packed on a pallet: the pallet goes, not it.
      await page.keyboard.type('CP25-0004701');
      await page.keyboard.press('Enter');
      await dialog(page).getByText(/is packed in PALLET PAL-118/).waitFor();
      await dialog(page).getByRole('textbox').fill('0815');
      await page.keyboard.press('Enter');
      await dialog(page).getByText('“0815” is no unit and no lot here.').waitFor();
      await dialog(page).getByRole('button', { name: 'Done' }).click();
      await card(page, 'What lies here').getByRole('link', { name: 'CP25-0004709' }).waitFor();
    }, ['409']));

  test('part of a lot is moved; after a lost answer the same is asked again and done once', () =>
    on(GOOD_LOT, {}, async (page) => {
      await page.getByRole('button', { name: 'Move', exact: true }).click();
      await dialog(page).getByLabel('Scan or type the place').fill('line/1');
      await dialog(page).getByLabel(/^Quantity/).fill('25');
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.keyboard.press('Enter');
      await dialog(page).getByText('nobody knows whether it was done').waitFor();
      await dialog(page).getByRole('button', { name: 'Ask again: Move' }).click();
      await dialog(page).waitFor({ state: 'detached' });
      await page.getByRole('definition').filter({ hasText: /line\/1 \(25/ }).waitFor();
      const moves = card(page, 'Movements').locator('tbody tr');
      await moves.first().waitFor();
      assert.equal(await moves.count(), 1);
      assert.match(await moves.first().innerText(), /store\/a12[\s\S]*line\/1[\s\S]*25[\s\S]*admin/);
    }, ['Failed']));

  test('with a finger: a pallet moved with all on it, something taken out, and it may be packed again', () =>
    on(BOX, { width: 834, height: 1112, ...TOUCH }, async (page) => {
      const contents = card(page, 'What lies in it');
      await contents.getByRole('link', { name: 'CP25-0004702' }).waitFor();
      const before = await contents.locator('tbody tr').count();
      await page.getByRole('button', { name: 'Move', exact: true }).tap();
      await dialog(page).getByText('All that lies in it goes along.').waitFor();
      await dialog(page).getByLabel('Scan or type the place').fill('gate/2');
      await dialog(page).getByRole('button', { name: 'Move', exact: true }).tap();
      await page.getByRole('link', { name: 'gate/2' }).first().waitFor();
      await contents.getByRole('button', { name: 'Take out CP25-0004702' }).tap();
      await contents.getByRole('link', { name: 'CP25-0004702' }).waitFor({ state: 'detached' });
      assert.equal(await contents.locator('tbody tr').count(), before - 1);
      await contents.getByRole('button', { name: 'Pack something in' }).tap();
      await dialog(page).getByRole('textbox').fill('CP25-0004702');
      await page.keyboard.press('Enter');
      await dialog(page).getByRole('listitem').filter({ hasText: 'CP25-0004702' }).waitFor();
      await dialog(page).getByRole('button', { name: 'Done' }).tap();
      await contents.getByRole('link', { name: 'CP25-0004702' }).waitFor();
      assert.deepEqual(await findings(page), []);
    }));

  test('a part is exchanged on the unit’s page: another that is barred is refused, and why is asked', () =>
    on(`${PUMP}&parts=now`, {}, async (page) => {
      await page.getByRole('button', { name: 'Exchange K-88126' }).click();
      await dialog(page).getByText('What comes out is in quarantine then').waitFor();
      await page.keyboard.press('Enter');
      await dialog(page).getByText('Say why.').waitFor();
      await dialog(page).getByLabel('Reason').fill('Loud bearing');
      await dialog(page).getByLabel('Scan the part').fill('K-88127');
      await page.keyboard.press('Enter');
      await dialog(page).getByText(/K-88127 is in HP-16 .* already/).waitFor();
      await dialog(page).getByLabel('Scan the part').fill('');
      await dialog(page).getByRole('button', { name: 'Take it out' }).click();
      await dialog(page).waitFor({ state: 'detached' });
      await card(page, 'Parts').getByText('K-88126').waitFor({ state: 'detached' });
    }, ['409']));

  test('a new container: what is missing is said; then its page opens', () =>
    on('/trace?view=stock', {}, async (page) => {
      await page.getByRole('button', { name: 'New container' }).click();
      await page.keyboard.press('Enter');
      await dialog(page).getByText('Scan or type the container’s number.').waitFor();
      await dialog(page).getByLabel('Number (SSCC').fill('(00)340123450000000024');
      await dialog(page).getByLabel('What it is').fill('BOX-20');
      await dialog(page).getByLabel('Where it stands').fill('gate/2');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Container 340123450000000024' }).waitFor();
      await page.getByText('It is empty.').waitFor();
    }));

  test('who may only look is told why; an empty place says what fills it; an error can be tried again', async () => {
    await on('/trace?place=store/a12', { user: 'viewer' }, async (page) => {
      await page.getByText('Changing it needs the role operator at a station of units.').waitFor();
      await page.getByRole('button', { name: 'Bring here' }).click({ force: true });
      assert.equal(await dialog(page).count(), 0);
    });
    await on('/trace?place=nowhere', {}, (page) => page.getByText('Nothing lies here').waitFor());
    await on('/trace?view=stock', { seed: { 'mock.no_units': '1' } }, (page) => page.getByText('Nothing is known to lie anywhere').waitFor());
    await on('/trace', {}, async (page) => {
      await page.evaluate(() => window.andonMock.fail('/api/mes/stock'));
      await page.getByRole('button', { name: 'Where things lie' }).click();
      await page.getByText('the records cannot be read').waitFor();
      await page.evaluate(() => window.andonMock.fail(''));
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.getByRole('link', { name: /store\/a12/ }).waitFor();
    }, ['503']);
  });

  const VIEWS = ['/trace?view=stock', '/trace?place=store/a12', BOX, `${PUMP}&parts=now`];
  for (const [width, locale] of [[360, 'de'], [834, 'de']])
    for (const address of VIEWS)
      test(`${address} at ${width} px in ${locale}: nothing is cut off, and gloves find room`, () =>
        on('/login', { width, height: 1112, ...TOUCH }, async (page) => {
          await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
          await page.goto(`${run.url}${address}`);
          await page.locator('main .card tbody tr, main .card li a').first().waitFor();
          const cut = await page.evaluate(() => [...document.querySelectorAll('html, main *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox, select')).map((e) => `${e.tagName}.${e.className} ${e.textContent?.trim().slice(0, 40)}`));
          assert.deepEqual(cut, []);
          const small = await page.evaluate(() => [...document.querySelectorAll('main :is(button, select), main .card li a')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 30)}`));
          assert.deepEqual(small, []);
        }));

  for (const theme of ['light', 'dark'])
    for (const address of VIEWS)
      test(`axe finds nothing: ${address}, ${theme}`, () =>
        on(address, { theme }, async (page) => {
          await page.locator('main .card tbody tr, main .card li a').first().waitFor();
          assert.deepEqual(await findings(page), []);
        }));
});
