// How MQTT devices prove who they are: seen, bound to a certificate, and free of it again. On the mock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, findings, open, real, start, visit } from './browser.mjs';

const PEM = '-----BEGIN CERTIFICATE-----\nCN=press-7.works.example\n-----END CERTIFICATE-----\n';

describe('devices', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  /** The devices, seen by an administrator; the page must leave no fault. */
  async function on(look, work, faulty = []) {
    const { page, faults } = await open(run, look);
    await enter(run, page);
    await visit(run, page, '/users?tab=devices');
    await page.getByRole('row').filter({ hasText: 'kitchen-sensor' }).waitFor();
    await work(page);
    assert.deepEqual(faults.filter((fault) => !faulty.some((known) => fault.includes(known))), []);
    await page.close();
  }
  const row = (page, name) => page.getByRole('row').filter({ hasText: name });
  const proof = (page, name) => row(page, name).locator('td.proof');
  const openDialog = async (page, name) => {
    await page.getByRole('button', { name: `Certificate of ${name}` }).click();
    return page.getByRole('dialog', { name: `Certificate of ${name}` });
  };

  test('each device says how it proves itself, and whose certificate ends soon', async () => {
    await on({}, async (page) => {
      assert.match(await proof(page, 'kitchen-sensor').innerText(), /^Password, also by SCRAM$/);
      assert.match(await proof(page, 'buffer-valve').innerText(), /^Certificate\nbuffer-valve\.works\.example\nuntil .+/);
      assert.match(await proof(page, 'filler-gateway').innerText(), /^Certificate\n66:69:6C:6C…\nEnds in (11|12) days$/);
      const dialog = await openDialog(page, 'filler-gateway');
      await dialog.getByText('CN=filler-gateway, O=Linde works').waitFor();
      assert.match(await dialog.locator('dl').innerText(), /66:69:6C:6C:65:72:[0-9A-F:]+/);
    });
  });

  test('a device is changed and keeps its password: one more topic, and no command any more', async () => {
    await on({}, async (page) => {
      await page.getByRole('button', { name: 'Change buffer-valve' }).click();
      const dialog = page.getByRole('dialog', { name: 'Change buffer-valve' });
      await dialog.getByText('Its password and certificate stay.').waitFor();
      const may = dialog.getByLabel('May publish to (topic filters)');
      assert.equal(await may.inputValue(), 'works/buffer/#');
      await may.fill('works/buffer/#, works/hall/light');
      await dialog.getByLabel('May command tags of').selectOption({ label: 'nowhere' });
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog.waitFor({ state: 'detached' });
      await row(page, 'buffer-valve').getByText('works/buffer/#, works/hall/light').waitFor();
      assert.deepEqual(await row(page, 'buffer-valve').locator('td:nth-child(n + 3):nth-child(-n + 6)').allInnerTexts(), ['–', 'works/buffer/#, works/hall/light', 'works/buffer/valve/set', '–']);
      assert.match(await proof(page, 'buffer-valve').innerText(), /^Certificate/);
    });
  });

  test('by keyboard alone a device is bound to a certificate that was looked at, and freed again', async () => {
    await on({}, async (page) => {
      await page.getByRole('button', { name: 'Certificate of kitchen-sensor' }).focus();
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Certificate of kitchen-sensor' });
      await dialog.getByText('none: its password lets it in').waitFor();
      await dialog.getByLabel('New certificate (PEM)').focus();
      await page.keyboard.insertText(PEM);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await dialog.getByText('This certificate would be let in today.').waitFor();
      await dialog.getByText('CN=press-7.works.example, O=Linde works').waitFor();
      await dialog.getByLabel('only this certificate').focus();
      await page.keyboard.press('ArrowDown');
      assert.ok(await dialog.getByLabel('every certificate with the name press-7.works.example').isChecked());
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await dialog.waitFor({ state: 'detached' });
      await proof(page, 'kitchen-sensor').getByText('press-7.works.example').waitFor();
      const again = await openDialog(page, 'kitchen-sensor');
      await again.getByText('Any with the name').waitFor();
      await again.getByRole('button', { name: 'Remove certificate' }).click();
      await again.getByText('From then on its password alone lets it in').waitFor();
      await again.getByRole('button', { name: 'Remove certificate' }).click();
      await again.waitFor({ state: 'detached' });
      await proof(page, 'kitchen-sensor').getByText('Password, also by SCRAM').waitFor();
    });
  });

  test('what cannot be a device\u2019s certificate is said in words, and a private key does not leave the page', async () => {
    await on(
      {},
      async (page) => {
        const sent = [];
        page.on('request', (request) => sent.push(request.postData() ?? ''));
        const dialog = await openDialog(page, 'kitchen-sensor');
        const field = dialog.getByLabel('New certificate (PEM)');
        const check = dialog.getByRole('button', { name: 'Check' });
        const alert = dialog.getByRole('alert');
        await check.click();
        assert.equal(await alert.innerText(), 'Paste the certificate first.');
        await field.fill(`${PEM}-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----`);
        await check.click();
        await alert.getByText('This holds a private key. It was not sent.').waitFor();
        assert.equal(await field.inputValue(), '');
        assert.ok(sent.every((body) => !body.includes('SECRET')));
        await field.fill('press-7');
        await check.click();
        await alert.getByText('There is no certificate in it').waitFor();
        await field.fill(`${PEM}STRANGER`);
        await check.click();
        await alert.getByText('Nobody whose certificates count here has issued it: it is from CN=Elsewhere. [mqtt] client_ca').waitFor();
        await field.fill(PEM.replace('press-7', 'buffer-valve'));
        await check.click();
        await dialog.getByText('buffer-valve comes with this certificate already.').waitFor();
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        assert.match(await proof(page, 'kitchen-sensor').innerText(), /^Password/);
      },
      ['400'],
    );
  });

  test('where nobody is asked for a certificate the dialog says what is missing, and offers no field', async () => {
    await on({ seed: { 'mock.no_ca': '1' } }, async (page) => {
      const dialog = await openDialog(page, 'buffer-valve');
      await dialog.getByText('MQTT clients are asked for no certificate here').waitFor();
      assert.equal(await dialog.getByRole('textbox').count(), 0);
      await dialog.getByRole('button', { name: 'Remove certificate' }).waitFor();
    });
  });

  for (const theme of ['light', 'dark']) {
    test(`no accessibility finding in any step of the dialog: ${theme}`, async () => {
      await on({ theme }, async (page) => {
        const dialog = await openDialog(page, 'buffer-valve');
        assert.deepEqual(await findings(page), []);
        await dialog.getByRole('button', { name: 'Check' }).click();
        await dialog.getByText('Paste the certificate first.').waitFor();
        assert.deepEqual(await findings(page), []);
        await dialog.getByLabel('New certificate (PEM)').fill(PEM);
        await dialog.getByRole('button', { name: 'Check' }).click();
        await dialog.getByText('only this certificate').waitFor();
        assert.deepEqual(await findings(page), []);
        await dialog.getByRole('button', { name: 'Back' }).click();
        await dialog.getByRole('button', { name: 'Remove certificate' }).click();
        await dialog.getByText('From then on its password alone lets it in').waitFor();
        assert.deepEqual(await findings(page), []);
      });
    });
  }

  test('on a phone nothing is cut off in German, and every button is large enough for a finger', async () => {
    await on({ width: 360, height: 780, density: 'touch', touch: true }, async (page) => {
      await page.addInitScript(() => localStorage.setItem('andon.locale', 'de'));
      await page.reload();
      await page.getByRole('button', { name: 'Zertifikat von buffer-valve' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Neues Zertifikat (PEM)').waitFor();
      const wide = await page.evaluate(() => [document.documentElement.scrollWidth, ...[...document.querySelectorAll('dialog')].map((d) => d.scrollWidth - d.clientWidth)]);
      assert.deepEqual(wide, [360, 0]);
      for (const box of await dialog.getByRole('button').evaluateAll((all) => all.map((e) => e.getBoundingClientRect().toJSON()))) {
        assert.ok(box.height >= 48 && box.left >= 0 && box.right <= 360, JSON.stringify(box));
      }
    });
  });
});
