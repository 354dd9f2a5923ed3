// The main jobs of a person at the screen, on the mock or (ANDON_URL) on a real server. The flow takes what it finds:
// the first writable number, the first unacknowledged alarm.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, open, real, start, visit } from './browser.mjs';

let run;
let page;
let faults;
let plant;

before(async () => {
  run = await start();
  ({ page, faults } = await open(run));
  if (!process.env.ANDON_LINK) {
    await page.goto(run.url);
    await page.getByRole('heading', { name: /Log in|First set-up/ }).waitFor();
  }
});
after(() => run.close());

const api = (path) => page.evaluate(async (path) => (await fetch(path)).json(), path);

test('a wrong password is refused in words, the right one opens the plant', async () => {
  if (!process.env.ANDON_LINK) {
    await page.getByLabel('Name').fill('nobody');
    await page.getByLabel('Password').fill('wrong-password');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('Name or password is wrong').waitFor();
  }
  await enter(run, page);
  // "Not logged in" is an answer, not a fault; browsers log every 401 of a real server to the console. A link brings none.
  if (!process.env.ANDON_LINK) faults.splice(0, faults.length, ...faults.filter((fault) => !/status of 401/.test(fault)));
  plant = await api('/api/plant');
  assert.ok(plant.tags.length > 0);
});

test('live values change by themselves', async () => {
  const home = plant.equipment.every((e) => e.profile === 'home' || e.level === 'enterprise');
  await visit(run, page, home ? '/rooms' : '/overview');
  await page.locator('main .value b').first().waitFor();
  const texts = () => [...document.querySelectorAll('main .value b')].map((e) => e.textContent).join('|');
  await page.waitForFunction(() => /\d/.test(document.querySelector('main')?.textContent ?? ''));
  const first = await page.evaluate(texts);
  await page.waitForFunction((first) => [...document.querySelectorAll('main .value b')].map((e) => e.textContent).join('|') !== first, first, { timeout: 30_000 });
});

test('a trend shows history and follows the live value; its link shows the same', async () => {
  const tag = plant.tags.find((t) => t.data_type === 'double' && !t.write) ?? plant.tags[0];
  await visit(run, page, `/trends?pens=${encodeURIComponent(tag.path)}&span=15m`);
  await page.locator('.lanes canvas').first().waitFor();
  const row = page.locator('.pens tbody tr').first();
  await page.waitForFunction(() => /\d/.test(document.querySelector('.pens tbody [data-label="Max"]')?.textContent ?? ''), null, { timeout: 20_000 });
  assert.match(await row.innerText(), /\d/);
  const chart = page.locator('.overlay');
  const box = await chart.boundingBox();
  await page.mouse.click(box.x + box.width * 0.3, box.y + 40);
  await page.mouse.click(box.x + box.width * 0.7, box.y + 40);
  await page.getByText('Between A and B').waitFor();
  assert.match(page.url(), /a=\d+.*b=\d+/);
  await page.reload();
  await page.getByText('Between A and B').waitFor();
  await page.keyboard.press('Shift+T');
  await page.getByRole('grid').waitFor();
  assert.match(page.url(), /table=1/);
});

test('an alarm is acknowledged, and the list does not jump', async (context) => {
  await visit(run, page, '/alarms?state=unacknowledged');
  const ack = page.locator('[role=row] .c-ack button').first();
  try {
    await ack.waitFor({ timeout: real ? 60_000 : 5000 });
  } catch {
    context.skip('no unacknowledged alarm on this server');
    return;
  }
  const row = page.locator('[role=row][data-index]').first();
  const message = await row.locator('.c-message').innerText();
  await row.hover();
  await ack.click();
  await page.waitForFunction(
    (message) => {
      const first = document.querySelector('[role=row][data-index="0"]');
      return first?.querySelector('.c-message')?.textContent?.includes(message) && /Acknowledged|Gone/.test(first.textContent ?? '');
    },
    message,
    { timeout: 10_000 },
  );
});

test('the alarm list works by keyboard alone', async (context) => {
  await visit(run, page, '/alarms');
  const rows = page.locator('[role=row][data-index]');
  try {
    await rows.first().waitFor({ timeout: 5000 });
  } catch {
    context.skip('no alarm on this server');
    return;
  }
  await rows.first().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Home');
  // The focus follows with the next frame.
  await page.waitForFunction(() => document.activeElement?.dataset.index === '0');
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  const opened = await focused();
  await page.keyboard.press('Enter');
  await page.locator('aside.drawer').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('aside.drawer').waitFor({ state: 'detached' });
  // The row itself, not its place: a new alarm may have come above it meanwhile.
  assert.equal(await focused(), opened);
});

test('a value beyond the limit is refused by name, never clipped; a good one is written and confirmed', async (context) => {
  const tag = plant.tags.find((t) => t.write && t.data_type === 'double' && t.write.min !== null && t.write.max !== null);
  if (!tag) {
    context.skip('no writable number on this server');
    return;
  }
  const home = plant.equipment.find((e) => e.path === tag.equipment)?.profile === 'home';
  await visit(run, page, `${home ? '/rooms' : '/overview'}?face=${encodeURIComponent(tag.path)}`);
  await page.locator('aside').getByRole('button', { name: `Write ${tag.title}` }).first().click();
  const dialog = page.getByRole('dialog');
  const field = dialog.getByLabel('New value');
  await field.fill(String(tag.write.max + 1));
  await dialog.getByText('Above the limit: at most').waitFor();
  assert.equal(await field.inputValue(), String(tag.write.max + 1));
  assert.equal(await dialog.getByRole('button', { name: /^Write/ }).getAttribute('aria-disabled'), 'true');
  const middle = Math.round((tag.write.min + (tag.write.max - tag.write.min) * 0.4) * 10) / 10;
  await field.fill(String(middle));
  await dialog.getByLabel('Reason').fill('Browser test');
  await dialog.getByRole('button', { name: /^Write .*\d/ }).click();
  await dialog.getByText(/^Sent|^Confirmed/).waitFor();
  await dialog.locator('[data-outcome]').waitFor({ timeout: 30_000 });
  assert.equal(await dialog.locator('[data-outcome]').getAttribute('data-outcome'), 'confirmed', await dialog.innerText());
  await dialog.getByRole('button', { name: 'Done' }).click();
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''), /^Write /);
});

test('what was done stands in the timeline', async () => {
  await visit(run, page, '/timeline?kind=command,alarm');
  await page.locator('[role=row][data-index]').first().waitFor({ timeout: 10_000 });
  await page.locator('[role=row][data-index] .c-what a').first().click();
  await page.locator('aside.drawer').getByText('Recorded').waitFor();
});

test('the search goes to a tag by keyboard', async () => {
  await visit(run, page, '/alarms');
  await page.keyboard.press('Control+k');
  const tag = plant.tags[0];
  await page.getByRole('combobox', { name: 'Search tags' }).fill(tag.path);
  await page.keyboard.press('Enter');
  await page.locator('aside.drawer').waitFor();
  assert.ok(decodeURIComponent(page.url()).includes(`face=${tag.path}`));
});

test('connectors and users can be read', async () => {
  await visit(run, page, '/connectors');
  await page.getByRole('heading', { name: 'Field connections' }).waitFor();
  await visit(run, page, '/users');
  await page.getByRole('heading', { name: 'Users', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Audit' }).click();
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByText('The chain is whole.').waitFor({ timeout: 60_000 });
});

test('no console error and no request outside the origin', () => assert.deepEqual(faults, []));
