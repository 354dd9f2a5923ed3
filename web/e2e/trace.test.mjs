// Traceability: a unit or lot by its number, where a lot went, the recall list, and a decision. On the mock.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { enter, findings, open, real, shown, start, visit } from './browser.mjs';

const item = (n) => `/trace?item=0192f0c0-7000-7000-8000-0000000000${n}`;
const [STEEL, GOOD_LOT, BARRED_LOT, UNIT, EIGHTH, LAST_BUT_ONE] = ['01', '02', '03', '22', '27', '30'].map(item);

describe('traceability', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  const on = (...asked) => shown(run, ...asked);
  const card = (page, name) => page.getByRole('region', { name, exact: true });
  const rows = (page, name) => card(page, name).locator('tbody tr');

  test('the field has the focus: a scanned number opens its unit, what begins so is listed, what is not known is said', async () => {
    await on('/trace', {}, async (page) => {
      await card(page, 'Newest units').getByText('CP25-0004712').waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.getAttribute('placeholder')), 'Scan or type a number');
      await page.keyboard.type('CP25-0004703');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Unit CP25-0004703' }).waitFor();
      assert.match(page.url(), /item=0192f0c0/);
      await page.getByRole('textbox', { name: 'Scan or type a number' }).focus();
      await page.keyboard.type('V-22');
      await page.keyboard.press('Enter');
      const found = card(page, 'Found for “V-22”');
      await found.getByRole('link', { name: 'V-2212' }).waitFor();
      assert.equal(await found.locator('tbody tr').count(), 2);
      await page.keyboard.type('0815');
      await page.keyboard.press('Enter');
      await page.getByText('“0815” is no unit and no lot here.').waitFor();
      await found.getByRole('link', { name: 'V-2212' }).click();
      await page.getByRole('heading', { name: 'Lot V-2212' }).waitFor();
      await page.goBack();
      await found.waitFor();
    });
  });

  test('a unit: stations with results and values, parts as built and as maintained, findings, label', async () => {
    await on(UNIT, {}, async (page) => {
      assert.match(await rows(page, 'Stations passed').first().innerText(), /mount[\s\S]*good[\s\S]*torque 12\.6\s*tightness dry/);
      const valve = rows(page, 'Parts').filter({ hasText: 'valve_lot' });
      assert.match(await valve.innerText(), /V-2211[\s\S]*2.pcs[\s\S]*Released[\s\S]*taken out/);
      await page.getByRole('button', { name: 'As maintained' }).click();
      await valve.getByText('V-2212').waitFor();
      assert.match(await valve.innerText(), /Quarantine/);
      assert.match(page.url(), /parts=now/);
      await card(page, 'What cannot be right').getByText('Not released', { exact: true }).waitFor();
      const code = page.getByRole('img', { name: 'QR code of CP25-0004703' });
      await code.waitFor();
      assert.ok(await code.evaluate((e) => e.complete && e.naturalWidth > 0));
      assert.match(await rows(page, 'What hangs together').filter({ hasText: 'C-5512' }).first().innerText(), /step 2[\s\S]*40.kg/);
      assert.deepEqual(await findings(page), []);
    });
    // A pass that was not good keeps its place before the one that was.
    await on(EIGHTH, {}, async (page) => {
      const results = await rows(page, 'Stations passed').allInnerTexts();
      assert.deepEqual(results.map((text) => /not good/.test(text)), [false, true, false]);
      assert.match(results[1], /leak_rate 3\.81/);
      assert.match(results[1], /firmware of controller HPC-2\.4\.1/);
    });
  });

  test('its certificate: which holds, the file byte for byte, how it is verified; and why there is none', async () => {
    await on(UNIT, {}, async (page) => {
      const here = card(page, 'Certificate');
      assert.deepEqual((await here.getByRole('listitem').allInnerTexts()).map((text) => /holds|replaced by HP16-2026-004703-2/.exec(text)?.[0]), ['holds', 'replaced by HP16-2026-004703-2']);
      await here.getByText('andon verify certificate CP25-0004703.json --key andon-certificates.pem', { exact: true }).waitFor();
      const [file] = await Promise.all([page.waitForEvent('download'), here.getByRole('button', { name: 'File as signed: HP16-2026-004703-2' }).click()]);
      assert.equal(file.suggestedFilename(), 'CP25-0004703.json');
      const saved = await readFile(await file.path(), 'utf8');
      assert.equal(saved, await page.evaluate(async () => (await fetch('/api/mes/certificates/HP16-2026-004703-2')).text()));
      const [pem] = await Promise.all([page.waitForEvent('download'), here.getByRole('button', { name: 'Public key' }).click()]);
      assert.match(await readFile(await pem.path(), 'utf8'), /^-----BEGIN PUBLIC KEY-----/);
    });
    await on(LAST_BUT_ONE, {}, (page) => card(page, 'Certificate').getByText('It could not be made: the material HP-16 has no GTIN and no id.').waitFor());
  });

  test('a lot forward at any depth, at a date or ever, and backward', async () => {
    await on(STEEL, {}, async (page) => {
      const tree = rows(page, 'What hangs together');
      await tree.filter({ hasText: 'PAL-118' }).first().waitFor();
      assert.match(await tree.first().innerText(), /step 1[\s\S]*V-2211[\s\S]*40.kg/);
      assert.match(await tree.filter({ hasText: 'PAL-118' }).first().innerText(), /step 3/);
    });
    await on(BARRED_LOT, {}, async (page) => {
      const tree = rows(page, 'What hangs together');
      await tree.filter({ hasText: 'CP25-0004703' }).waitFor();
      const all = await tree.count();
      const before = await page.evaluate(() => {
        const d = new Date(Date.now() - 3_600_000);
        return `${d.getFullYear()}-${d.getMonth() + 1}-${d.getDate()} ${d.getHours()}:${String(d.getMinutes()).padStart(2, '0')}`;
      });
      await page.getByRole('textbox', { name: 'At', exact: true }).fill(before);
      await page.keyboard.press('Enter');
      await tree.filter({ hasText: 'CP25-0004703' }).waitFor({ state: 'detached' });
      await tree.first().waitFor();
      assert.ok((await tree.count()) < all);
      assert.match(page.url(), /at=\d+/);
      await page.getByRole('textbox', { name: 'At', exact: true }).fill('noon');
      await page.keyboard.press('Enter');
      await page.getByText(/^Write the time as 20/).waitFor();
      await page.getByRole('button', { name: 'Ever', exact: true }).click();
      await tree.filter({ hasText: 'CP25-0004703' }).waitFor();
      await page.getByRole('button', { name: 'Made of' }).click();
      await tree.filter({ hasText: 'C-5512' }).waitFor();
    });
  });

  test('the recall list is counted, and its file has the same rows', async () => {
    await on(`${BARRED_LOT}&dir=recall`, {}, async (page) => {
      const here = card(page, 'What hangs together');
      await here.getByText('5 units to call back, 1 lot that may have something left.').waitFor();
      assert.match(await rows(page, 'What hangs together').filter({ hasText: 'CP25-0004703' }).innerText(), /container PALLET PAL-118/);
      const [file] = await Promise.all([page.waitForEvent('download'), here.getByRole('button', { name: 'Download CSV' }).click()]);
      assert.equal(file.suggestedFilename(), 'recall-V-2212.csv');
      const lines = (await readFile(await file.path(), 'utf8')).trimEnd().split('\r\n');
      assert.equal(lines.length - 1, await rows(page, 'What hangs together').count());
      await here.getByText('The list was saved as recall-V-2212.csv.').waitFor();
      assert.deepEqual(await findings(page), []);
    });
  });

  test('a change of disposition needs a reason, and after a lost answer the same is sent and done once', async () => {
    await on(
      GOOD_LOT,
      {},
      async (page) => {
        await page.getByRole('button', { name: 'Change disposition' }).click();
        const dialog = page.getByRole('dialog');
        const send = dialog.getByRole('button', { name: /^Set V-2211 to/ });
        await dialog.getByRole('button', { name: 'Hold' }).click();
        assert.equal(await send.getAttribute('aria-disabled'), 'true');
        await dialog.getByLabel('Reason').fill('Swarf in the bore');
        assert.equal(await send.innerText(), 'Set V-2211 to Hold');
        assert.deepEqual(await findings(page), []);
        await page.evaluate(() => window.andonMock.loseAnswer());
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        await page.getByRole('button', { name: 'Change disposition' }).click();
        await dialog.getByRole('button', { name: 'Hold' }).click();
        await dialog.getByLabel('Reason').fill('Swarf in the bore');
        await page.keyboard.press('Enter');
        await dialog.getByText(/^No answer: whether it was done is not known/).waitFor();
        await dialog.getByRole('button', { name: 'Send again' }).click();
        await dialog.getByText('V-2211 is now: Hold.').waitFor();
        await page.keyboard.press('Enter');
        await dialog.waitFor({ state: 'detached' });
        await page.getByText(/Hold · .* · admin · Swarf in the bore/).waitFor();
        assert.equal(await rows(page, 'Who decided what').count(), 2);
      },
      ['Failed'],
    );
  });

  test('a lot is received with a finger: what is missing is said, and after a lost answer it comes once', async () => {
    await on(
      '/trace',
      { touch: true, density: 'touch' },
      async (page) => {
        await page.getByRole('button', { name: 'Receive a lot' }).tap();
        const dialog = page.getByRole('dialog');
        const field = (name) => dialog.getByRole(name === 'Material' ? 'combobox' : 'textbox', { name });
        await dialog.getByRole('button', { name: 'Receive', exact: true }).tap();
        await dialog.getByText('Choose a material.').waitFor();
        await field('Material').fill('NONE-1');
        await dialog.getByText('No material has this number.').waitFor();
        const offered = await dialog.locator('datalist option').evaluateAll((all) => all.map((e) => e.value));
        assert.ok(offered.length > 1);
        await field('Material').fill(offered[0]);
        await dialog.getByRole('button', { name: 'Receive', exact: true }).tap();
        await dialog.getByText('Scan or type the lot’s number.').waitFor();
        await field('Lot number').fill('L-77');
        await field(/^Quantity/).fill('1200');
        await field('Place').fill('store/a12');
        await dialog.getByRole('button', { name: 'Quarantine' }).tap();
        assert.deepEqual(await findings(page), []);
        await page.evaluate(() => window.andonMock.loseAnswer());
        await dialog.getByRole('button', { name: /^Receive 1,200/ }).tap();
        await dialog.getByText(/^No answer: whether it was received is not known/).waitFor();
        await dialog.getByRole('button', { name: /^Receive 1,200/ }).tap();
        await page.getByRole('heading', { name: 'Lot L-77' }).waitFor();
        await page.getByText('store/a12 (1,200').waitFor();
        await page.getByText('Quarantine').first().waitFor();
        // What has come stands there, and another of its name is not made of it.
        await page.getByRole('link', { name: 'Newest units and findings' }).tap();
        const come = rows(page, 'Newest lots').filter({ hasText: 'L-77' });
        await come.first().waitFor();
        assert.equal(await come.count(), 1);
        await page.getByRole('button', { name: 'Receive a lot' }).tap();
        await field('Material').fill(offered[0]);
        await field('Lot number').fill('L-77');
        await field(/^Quantity/).fill('5');
        await page.keyboard.press('Enter');
        await dialog.getByText(/another delivery of it gets a lot number of its own/i).waitFor();
      },
      ['Failed', '409'],
    );
    await on('/trace', { user: 'viewer' }, async (page) => {
      await page.getByText('Receiving needs the role operator at a station of units.').waitFor();
      await page.getByRole('button', { name: 'Receive a lot' }).click({ force: true });
      assert.equal(await page.getByRole('dialog').count(), 0);
    });
  });

  test('a certificate made anew takes the place of the one before; a unit gets its account once, and the password is shown once', async () => {
    await on(
      item('20'),
      {},
      async (page) => {
        const here = card(page, 'Certificate');
        await here.getByRole('button', { name: 'Make the certificate anew' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Make and sign it' }).click();
        await here.getByText('replaced by HP16-2026-004701-2').waitFor();
        assert.equal(await here.getByRole('listitem').count(), 2);
        // Without an answer nothing is asked for a second time, and the page says what became of it.
        await page.evaluate(() => window.andonMock.loseAnswer());
        await here.getByRole('button', { name: 'Make the certificate anew' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Make and sign it' }).click();
        await page.getByRole('dialog').getByText(/^No answer: whether it was made is not known/).waitFor();
        assert.equal(await page.getByRole('dialog').getByRole('button', { name: 'Make and sign it' }).count(), 0);
        await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
        await here.getByRole('button', { name: 'Let this unit connect' }).click();
        assert.deepEqual(await findings(page), []);
        await page.getByRole('dialog').getByRole('button', { name: 'Make the account' }).click();
        const secret = page.getByRole('dialog', { name: 'What CP25-0004701 connects with' });
        await secret.getByText(/^units\/0192f0c0-.*\/#$/).waitFor();
        assert.equal(await secret.locator('code').count(), 3);
        assert.deepEqual(await findings(page), []);
        await secret.getByRole('button', { name: 'Done' }).click();
        await here.getByText(/^It was given an account to connect with/).waitFor();
        assert.equal(await here.getByRole('button', { name: 'Let this unit connect' }).count(), 0);
      },
      ['Failed'],
    );
    await on(item('20'), { user: 'operator' }, async (page) => {
      await card(page, 'Certificate').getByText('HP16-2026-004701').first().waitFor();
      assert.equal(await page.getByRole('button', { name: /Make the certificate anew|Let this unit connect/ }).count(), 0);
    });
  });

  test('who may not decide is told why: by the page, or by the server', async () => {
    await on(GOOD_LOT, { user: 'viewer' }, async (page) => {
      await page.getByText('Changing it needs the role operator at a station of units.').waitFor();
      await page.getByRole('button', { name: 'Change disposition' }).click({ force: true });
      assert.equal(await page.getByRole('dialog').count(), 0);
    });
    await on(
      GOOD_LOT,
      { user: 'operator' },
      async (page) => {
        await page.getByRole('button', { name: 'Change disposition' }).click();
        await page.getByRole('dialog').getByLabel('Reason').fill('Swarf');
        await page.keyboard.press('Enter');
        await page.getByRole('dialog').getByText(/^not allowed: Operate on/).waitFor();
      },
      ['403'],
    );
  });

  test('no station and no unit say what to do; what is not known too; what cannot be renewed says since when', async () => {
    await on('/trace', { seed: { 'mock.no_stations': '1' } }, (page) => page.getByText('Say under [machine.unit] of a [[machine]]').waitFor(), ['404']);
    await on('/trace', { seed: { 'mock.no_units': '1' } }, (page) => page.getByText('Each good reading of the tag that [machine.unit] names as serial').waitFor());
    await on(item('99'), {}, (page) => page.getByText('This lot or unit is not known').waitFor(), ['404']);
    await on(
      '/trace',
      {},
      async (page) => {
        await card(page, 'Newest units').getByText('CP25-0004712').waitFor();
        await page.evaluate(() => window.andonMock.fail('/api/mes/units'));
        await page.getByText(/^As of \d\d:\d\d:\d\d: this could not be renewed\./).waitFor({ timeout: 20_000 });
        assert.ok((await page.locator('.state.hatched').count()) > 0);
      },
      ['503'],
    );
  });

  test('on a phone nothing scrolls sideways, in German neither; a gloved finger hits every control', async () => {
    for (const width of [360, 390]) {
      const { page } = await open(run, { width, height: 844, touch: true, density: 'touch', seed: { 'mock.calm': '1' } });
      await enter(run, page);
      if (width === 360) await page.addInitScript(() => localStorage.setItem('andon.locale', 'de'));
      for (const path of ['/trace', '/trace?find=V-22', UNIT, STEEL, `${BARRED_LOT}&dir=recall`]) {
        await visit(run, page, path);
        await page.waitForTimeout(500);
        const seen = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth - innerWidth,
          cut: [...document.querySelectorAll('.column *')].filter((e) => !e.closest('.sr, svg') && e.getBoundingClientRect().right > innerWidth + 1).map((e) => `${e.tagName} ${e.textContent.slice(0, 30)}`),
          small: [...document.querySelectorAll('.column button, .column input, .column .btn, .column td a')].map((e) => [e, e.getBoundingClientRect()]).filter(([, box]) => box.height < 47.5).map(([e, box]) => `${e.textContent.trim()} ${box.width}×${box.height}`),
        }));
        assert.deepEqual(seen, { wide: 0, cut: [], small: [] }, `${path} at ${width}`);
        assert.deepEqual(await findings(page), []);
      }
      await page.close();
    }
  });
});
