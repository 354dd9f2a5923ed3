// The shift in a real browser: logbook, hand-over, labour, by touch and by keyboard; a lost answer sent again does not double anything.
// Runs on the mock only.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findings, real, shown, start } from './browser.mjs';

const LINE1 = 'works/nord/bottling/line1';
const LINE2 = 'works/nord/bottling/line2';
const TOUCH = { density: 'touch', touch: true };

describe('shift', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const entries = (page) => page.locator('main ol > li article');
  const dialog = (page) => page.getByRole('dialog').filter({ has: page.locator('form') }).last();
  const logbook = (page) => page.getByRole('button', { name: 'Write an entry' });

  test('by touch: three taps and a text write an entry, and it is seen at once', () =>
    shown(run, `/shift?path=${LINE1}`, { width: 820, height: 1180, ...TOUCH, user: 'operator' }, async (page) => {
      await logbook(page).tap();
      await dialog(page).getByRole('button', { name: 'Quality', exact: true }).tap();
      await dialog(page).getByLabel('What happened').fill('Label sits askew.\nSince the new roll.');
      await dialog(page).getByRole('button', { name: 'Write entry' }).tap();
      await entries(page).first().getByText('Label sits askew.').waitFor();
      assert.match(await entries(page).first().innerText(), /Quality[\s\S]*operator/);
      await page.getByRole('status').filter({ hasText: /Entry \d+ is written/ }).waitFor();
    }));

  test('by keyboard: written, pinned, and its order leads to its page', () =>
    shown(run, `/shift?path=${LINE1}`, {}, async (page) => {
      await logbook(page).focus();
      await page.keyboard.press('Enter');
      await dialog(page).getByLabel('What happened').waitFor();
      await page.keyboard.type('4711 waits for caps.');
      await dialog(page).getByRole('button', { name: /Hand this over/ }).focus();
      await page.keyboard.press('Space');
      await dialog(page).locator('summary').focus();
      await page.keyboard.press('Enter');
      await dialog(page).getByLabel('Order number').focus();
      await page.keyboard.type('4711');
      await page.keyboard.press('Enter');
      const first = entries(page).first();
      await first.getByText('4711 waits for caps.').waitFor();
      await first.getByText('to be handed over').waitFor();
      await first.getByRole('link', { name: 'Order 4711' }).focus();
      await page.keyboard.press('Enter');
      await page.waitForURL(/\/orders\?order=4711/);
    }));

  test('filters stand in the address, and pages follow each other without one twice', () =>
    shown(run, `/shift?path=${LINE1}&kind=safety,quality`, {}, async (page) => {
      await entries(page).first().waitFor();
      for (const kind of await entries(page).locator('.kind').allInnerTexts()) assert.match(kind, /Safety|Quality/);
      await page.getByRole('button', { name: 'Only what is open' }).click();
      assert.match(page.url(), /open=1/);
      await page.waitForFunction(() => document.querySelectorAll('main ol > li article').length === 1);
      await page.goto(`${run.url}/shift?q=hourly`);
      await entries(page).first().waitFor();
      const before = await entries(page).count();
      await page.getByRole('button', { name: 'Show earlier ones' }).click();
      await page.waitForFunction((n) => document.querySelectorAll('main ol > li article').length > n, before);
      const numbers = await entries(page).locator('.number').allInnerTexts();
      assert.equal(new Set(numbers).size, numbers.length);
      assert.equal(numbers.length, 60);
    }));

  test('an entry is corrected: the former text stays readable, struck out, and each leads to the other', () =>
    shown(run, `/shift?path=${LINE1}`, { user: 'operator' }, async (page) => {
      await entries(page).filter({ hasText: 'Guard of the packer' }).getByRole('link', { name: /^no\. \d+/ }).click();
      await page.getByRole('button', { name: 'Correct', exact: true }).click();
      assert.match(page.url(), /correct=1/);
      const text = dialog(page).getByLabel('What happened');
      assert.match(await text.inputValue(), /^Guard of the packer/);
      await text.fill('Guard of the labeller was found open.');
      await dialog(page).getByRole('button', { name: 'Write correction' }).click();
      await entries(page).first().getByText('Guard of the labeller').waitFor();
      const former = entries(page).filter({ hasText: 'Guard of the packer' });
      await former.locator('s').waitFor();
      await former.getByText('Corrected: now holds').waitFor();
      // It is corrected once.
      await former.getByRole('link', { name: /^no\. \d+/ }).first().click();
      await page.getByText('It is corrected already.').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Correct', exact: true }).count(), 0);
    }));

  test('a lost answer: the text is kept, the same is sent again, and the entry stands once', () =>
    shown(run, `/shift?path=${LINE1}`, {}, async (page) => {
      await logbook(page).click();
      await dialog(page).getByLabel('What happened').fill('Only once, please.');
      await page.evaluate(() => window.andonMock.loseAnswer());
      await dialog(page).getByRole('button', { name: 'Write entry' }).click();
      await dialog(page).getByText('Whether it was taken is not known.').waitFor();
      // Left and opened again, it is still there.
      await dialog(page).getByRole('button', { name: 'Later' }).click();
      await logbook(page).click();
      assert.equal(await dialog(page).getByLabel('What happened').inputValue(), 'Only once, please.');
      await dialog(page).getByRole('button', { name: 'Send the same again' }).click();
      await dialog(page).waitFor({ state: 'hidden' });
      await entries(page).filter({ hasText: 'Only once, please.' }).first().waitFor();
      assert.equal(await entries(page).filter({ hasText: 'Only once, please.' }).count(), 1);
    }));

  test('records that cannot be written: said with the remedy; what was typed outlives a page loaded anew', () =>
    shown(run, `/shift?path=${LINE1}`, {}, async (page) => {
      await page.evaluate(() => window.andonMock.recordsFail(true));
      await logbook(page).click();
      await dialog(page).getByLabel('What happened').fill('The disk is full.');
      await dialog(page).getByRole('button', { name: 'Write entry' }).click();
      await dialog(page).getByText(/make room on the disk/).waitFor();
      await page.reload();
      await dialog(page).getByLabel('What happened').waitFor();
      assert.equal(await dialog(page).getByLabel('What happened').inputValue(), 'The disk is full.');
      await dialog(page).getByRole('button', { name: 'Send the same again' }).click();
      await entries(page).first().getByText('The disk is full.').waitFor();
    }, ['503']));

  test('the link is lost: said, nothing is sent, the text stays; on return it goes', () =>
    shown(run, `/shift?path=${LINE1}&write=1`, {}, async (page) => {
      await dialog(page).getByLabel('What happened').fill('Written in the dark.');
      await page.evaluate(() => window.andonMock.lose());
      await dialog(page).getByText(/Commands are switched off.*What you typed is kept here/).waitFor();
      await dialog(page).getByRole('button', { name: 'Write entry' }).click({ force: true });
      assert.equal(await dialog(page).getByLabel('What happened').inputValue(), 'Written in the dark.');
      await page.evaluate(() => window.andonMock.restore());
      await dialog(page).getByText(/Commands are switched off/).waitFor({ state: 'hidden', timeout: 40_000 });
      await dialog(page).getByRole('button', { name: 'Write entry' }).click();
      await entries(page).first().getByText('Written in the dark.').waitFor();
    }, ['Failed to fetch']));

  test('what others write waits, and no row moves', () =>
    shown(run, `/shift?path=${LINE1}`, {}, async (page) => {
      const first = await entries(page).first().locator('.number').innerText();
      await page.evaluate((path) => window.andonMock.wroteBy('u2', path, 'Somebody else wrote this.'), LINE1);
      const fresh = page.getByRole('button', { name: '1 new' });
      await fresh.waitFor({ timeout: 20_000 });
      assert.equal(await entries(page).first().locator('.number').innerText(), first);
      await fresh.click();
      await entries(page).first().getByText('Somebody else wrote this.').waitFor();
    }));

  test('handing over by keyboard: what is open is proposed, one entry is kept; who wrote it cannot confirm it and is told why', () =>
    shown(run, `/shift?view=handover&path=${LINE1}`, { user: 'operator' }, async (page) => {
      for (const kind of ['Jobs under way', 'Entries to be handed over', 'Hand-overs not yet confirmed']) await page.getByRole('heading', { name: kind }).waitFor();
      await page.getByLabel('stays open').first().focus();
      await page.keyboard.press('Space');
      await page.getByLabel('Summary for the next shift').focus();
      await page.keyboard.type('Quiet. Caps of C-78 are blocked.');
      await page.getByRole('button', { name: /^Hand over/ }).last().focus();
      await page.keyboard.press('Enter');
      const sheet = page.locator('article.sheet');
      await sheet.getByText('Quiet. Caps of C-78 are blocked.').waitFor();
      await page.getByText('You wrote this hand-over, so you cannot confirm it.').waitFor();
      assert.equal(await page.getByRole('button', { name: /take over/ }).count(), 0);
      assert.equal(await sheet.getByText('stays open').count(), 1);
    }));

  test('a lost answer: handed over once; confirmed by touch with a note, once', () =>
    shown(run, `/shift?view=handover&path=${LINE2}`, { width: 390, height: 844, ...TOUCH }, async (page) => {
      const waiting = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Hand-overs', exact: true }) });
      await waiting.getByRole('link').filter({ hasText: 'preforms run out' }).tap();
      await page.getByLabel('Note of who takes over').fill('Asked the store.');
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.getByRole('button', { name: 'I, admin, take over' }).tap();
      // The page has looked: it was taken.
      await page.getByText('Hand-over 68 is confirmed.').waitFor();
      await page.locator('article.sheet').getByText('Asked the store.').waitFor();
      await page.getByRole('link', { name: 'Hand-overs' }).tap();
      await page.getByLabel('Summary for the next shift').fill('Twice sent, once written.');
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.getByRole('button', { name: /^Hand over/ }).last().tap();
      await page.getByRole('button', { name: 'Send the same again' }).tap();
      await page.locator('article.sheet').getByText('Twice sent, once written.').waitFor();
      await page.getByRole('link', { name: 'Hand-overs' }).tap();
      await waiting.getByRole('link').filter({ hasText: 'Twice sent' }).first().waitFor();
      assert.equal(await waiting.getByRole('link').filter({ hasText: 'Twice sent' }).count(), 1);
    }));

  test('somebody else confirmed meanwhile: who, and what to do', () =>
    shown(run, `/shift?view=handover&path=${LINE2}`, {}, async (page) => {
      await page.getByRole('link').filter({ hasText: 'preforms run out' }).last().click();
      const number = Number(new URL(page.url()).searchParams.get('handover'));
      await page.getByRole('button', { name: 'I, admin, take over' }).waitFor();
      await page.evaluate((number) => window.andonMock.confirmedBy(number, 'u2'), number);
      await page.getByRole('button', { name: 'I, admin, take over' }).click();
      await page.getByText('operator has confirmed it already look at the hand-over as it is now').waitFor();
      await page.locator('article.sheet').getByText('operator').waitFor();
    }, ['409']));

  for (const [theme, locale] of [['light', 'en'], ['dark', 'de']])
    test(`a hand-over printed, ${theme}, ${locale}: one A4 page, the sheet alone, light`, () =>
      shown(run, '/login', { theme }, async (page) => {
        await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
        await page.goto(`${run.url}/shift?view=handover&handover=68`);
        await page.locator('article.sheet').waitFor();
        await page.emulateMedia({ media: 'print' });
        await page.setViewportSize({ width: 703, height: 1000 });
        // Pictures follow the width of the sheet with the next frame.
        await page.waitForFunction(() => [...document.querySelectorAll('article.sheet svg')].every((e) => e.getBoundingClientRect().right <= 703.5));
        const seen = await page.evaluate(() => ({
          wide: [...document.querySelectorAll('article.sheet *')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 703.5).map((e) => e.tagName),
          others: [...document.querySelectorAll('nav, header.top, .noprint, button, textarea')].filter((e) => e.checkVisibility()).map((e) => e.tagName),
          ink: getComputedStyle(document.querySelector('article.sheet')).color,
        }));
        assert.deepEqual(seen, { wide: [], others: [], ink: 'rgb(26, 32, 39)' });
        await page.setViewportSize({ width: 1280, height: 800 });
        const text = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
        assert.equal([...text.matchAll(/\/Type\s*\/Page\b(?!s)/g)].length, 1);
        assert.match(text, /\/MediaBox\s*\[\s*0 0 59[45][\d.]* 84[12]/);
      }));

  test('signed on and off in one tap each, also from the station; the same tap after a lost answer does it once', () =>
    shown(run, `/station?path=${LINE1}/filler`, { width: 820, height: 1180, ...TOUCH }, async (page) => {
      await page.getByText('You are signed on nowhere.').waitFor();
      await page.evaluate(() => window.andonMock.loseAnswer());
      await page.getByRole('button', { name: /^Sign on/ }).tap();
      await page.getByText(/You are signed on here since/).waitFor();
      await page.locator('nav a[href^="/shift"]').first().tap();
      await page.getByRole('button', { name: 'Labour' }).tap();
      await page.getByText(/You are signed on at/).waitFor();
      await page.getByRole('button', { name: 'Sign off' }).tap();
      await page.getByText(/^Signed off at Filler/).waitFor();
      await page.getByText('You are signed on nowhere.').waitFor();
    }));

  test('hours over a range; where nobody attended there is no value; a supervisor corrects and what stood there stays', () =>
    shown(run, `/shift?view=labour&path=${LINE1}&span=8h`, { user: 'line1' }, async (page) => {
      const figure = page.locator('[data-figure=efficiency] dd');
      await figure.waitFor();
      assert.match(await figure.innerText(), /^80(\.0)?\s*%$/);
      await page.getByRole('cell', { name: 'operator' }).waitFor();
      await page.getByRole('button', { name: /^Correct the sign-on of k\.brandt/ }).click();
      assert.match(page.url(), /fix=\d+/);
      await dialog(page).getByLabel('is still signed on').uncheck();
      await dialog(page).getByRole('button', { name: 'Correct sign-on' }).click({ force: true });
      await dialog(page).getByRole('alert').filter({ hasText: /Write times as/ }).waitFor();
      const end = new Date(Date.now() - 20 * 60_000);
      await dialog(page).getByLabel('Ended').fill(`${end.getFullYear()}-${end.getMonth() + 1}-${end.getDate()} ${end.getHours()}:${String(end.getMinutes()).padStart(2, '0')}`);
      await dialog(page).getByLabel('Reason').fill('Left early.');
      await dialog(page).getByRole('button', { name: 'Correct sign-on' }).click();
      await page.locator('[data-span] s').first().waitFor();
      await page.getByText(/corrected by line1,.*Left early\./).waitFor();
      await page.goto(`${run.url}/shift?view=labour&path=${LINE1}&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z`);
      await figure.waitFor();
      assert.equal(await figure.innerText(), 'no value');
    }));

  test('who supervises nobody sees sums and himself, and corrects nothing', () =>
    shown(run, `/shift?view=labour&path=${LINE1}&span=8h`, { user: 'operator' }, async (page) => {
      await page.getByRole('cell', { name: 'operator' }).waitFor();
      assert.equal(await page.getByText('k.brandt').count(), 0);
      assert.equal(await page.getByRole('button', { name: /^Correct the sign-on/ }).count(), 0);
    }));

  test('a viewer reads, and is told what writing needs', () =>
    shown(run, '/shift', { user: 'viewer' }, async (page) => {
      await entries(page).first().waitFor();
      assert.equal(await logbook(page).getAttribute('aria-disabled'), 'true');
      await page.getByText('The role operator on this branch is needed.').waitFor();
      await page.getByRole('button', { name: 'Hand-over', exact: true }).first().click();
      await page.getByText('Handing over needs the role operator').waitFor();
      await page.getByRole('link').filter({ hasText: 'preforms run out' }).first().waitFor();
    }));

  test('an empty plant says so', () =>
    shown(run, '/shift', { seed: { 'mock.empty': '1' } }, async (page) => {
      await page.getByText('No plant in this model').first().waitFor();
      assert.equal(await entries(page).count(), 0);
    }));

  const VIEWS = { log: `/shift?path=${LINE1}`, entry: `/shift?path=${LINE1}&entry=63`, write: `/shift?path=${LINE1}&write=1`, handover: `/shift?view=handover&path=${LINE1}`, sheet: '/shift?view=handover&handover=69', labour: `/shift?view=labour&path=${LINE1}&span=2d`, fix: `/shift?view=labour&path=${LINE1}&span=2d&fix=1` };
  for (const [width, locale] of [[360, 'de'], [390, 'en'], [820, 'de']])
    for (const [view, address] of Object.entries(VIEWS))
      test(`${view}, ${width} px in ${locale}: no sideways scroll of the page, and gloves find room`, () =>
        shown(run, '/login', { width, height: 1000, ...TOUCH }, async (page) => {
          await page.evaluate((locale) => localStorage.setItem('andon.locale', locale), locale);
          await page.goto(`${run.url}${address}`);
          await page.locator(view === 'labour' || view === 'fix' ? '[data-span]' : view === 'handover' ? 'textarea' : view === 'sheet' ? 'article.sheet li' : 'main article').first().waitFor();
          const wide = await page.evaluate(() => [...document.querySelectorAll('html, main, .column, .column *, dialog, dialog *')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .sr, .tablebox') && !e.matches('select, input, textarea')).map((e) => `${e.tagName}.${e.className}: ${e.scrollWidth} of ${e.clientWidth}`));
          assert.deepEqual(wide, []);
          const small = await page.evaluate(() => [...document.querySelectorAll('main :is(a, button, select, textarea, summary, input:not([type=checkbox])), dialog :is(a, button, select, textarea, summary, input:not([type=checkbox]))')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 47.5).map((e) => `${e.tagName} ${e.textContent?.trim().slice(0, 30)} ${Math.round(e.getBoundingClientRect().height)}`));
          assert.deepEqual(small, []);
        }));

  for (const theme of ['light', 'dark'])
    for (const [view, address] of Object.entries(VIEWS))
      test(`axe finds nothing: ${view}, ${theme}`, () =>
        shown(run, address, { theme }, async (page) => {
          await page.locator(view === 'labour' || view === 'fix' ? '[data-span]' : view === 'handover' ? 'textarea' : view === 'sheet' ? 'article.sheet li' : 'main article').first().waitFor();
          assert.deepEqual(await findings(page), []);
        }));
});
