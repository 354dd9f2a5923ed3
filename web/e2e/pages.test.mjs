// Every page under the real content security policy: accessible in light and dark, normal and touch; no sideways
// scroll at 360 px; controls of at least 48 px for a gloved finger; empty, lost, forbidden and crowded states.
// Runs on the mock only.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { enter, findings, open, real, start, visit } from './browser.mjs';

const TANK = 'works/nord/utilities/energy/buffer';
const HOUR = "SELECT ts, value, quality\nFROM samples\nWHERE path = 'works/nord/bottling/line1/filler/pressure'\n  AND ts >= now() - INTERVAL '1 hour'\nORDER BY ts";
/** The mock's lots and units but for their last two digits. */
const ITEM = '0192f0c0-7000-7000-8000-0000000000';
const PAGES = {
  overview: '/overview',
  'overview with faceplate': `/overview?face=${TANK}`,
  rooms: '/rooms',
  trends: '/trends?pens=works/nord/bottling/line1/filler/pressure,works/nord/bottling/line2/labeller/glue_temperature,works/nord/bottling/line1/filler/state',
  'trends compared, with cursors': `/trends?pens=works/nord/bottling/line1/filler/pressure,works/nord/bottling/line1/labeller/state&cmp=1h&a=${Date.now() - 40 * 60_000}&b=${Date.now() - 20 * 60_000}`,
  'trends without pens': '/trends',
  'trends as a table': '/trends?table=1&pens=works/nord/bottling/line1/filler/pressure',
  alarms: '/alarms',
  'alarms with details': `/alarms?alarm=${TANK}/level:high`,
  timeline: '/timeline',
  andon: '/andon',
  'andon on a wall': '/andon?kiosk=1',
  oee: '/oee',
  'oee of a line, with the way to it': '/oee?path=works/nord/bottling/line1&why=oee&by=stops',
  'oee as tables': '/oee?path=works/nord/bottling/line2&table=strip,losses,reasons,trend&step=shift',
  'work orders': '/orders',
  'work orders as a table': '/orders?view=table',
  'work order': '/orders?view=table&order=4709',
  gantt: '/orders?view=gantt&job=o4713-20',
  'gantt as a table': '/orders?view=gantt&table=1',
  traceability: '/trace',
  'traceability, found': '/trace?find=V-22',
  'a unit': `/trace?item=${ITEM}22`,
  'a lot': `/trace?item=${ITEM}03`,
  'a recall list': `/trace?dir=recall&item=${ITEM}01`,
  stations: '/station',
  'station at work': '/station?path=works/nord/bottling/line1/filler',
  'station held': '/station?path=works/nord/bottling/line1/labeller',
  'station idle': '/station?path=works/nord/bottling/line2/filler',
  query: '/query',
  'query with rows': `/query?q=${encodeURIComponent(HOUR)}`,
  'query as a chart': `/query?chart=1&q=${encodeURIComponent(HOUR)}`,
  'query refused': '/query?q=DROP TABLE samples',
  connectors: '/connectors',
  'connector details': '/connectors?connector=line2-labeller',
  'sparkplug host': '/connectors?found=floor',
  'announced values': '/connectors?found=devices&all=1',
  topics: '/broker',
  'topic details': '/broker?topic=plant/line1/filler/pressure',
  'topics found': '/broker?find=press',
  'mqtt clients': '/broker?tab=clients',
  'mqtt client details': '/broker?tab=clients&client=buffer-valve',
  'mqtt subscriptions': '/broker?tab=subscriptions',
  'mqtt rules': '/broker?tab=rules',
  'mqtt rule': '/broker?tab=rules&rule=labels',
  'mqtt permissions': '/broker?tab=permissions&as=buffer-valve&wish=publish&about=works/buffer/valve/state',
  'mqtt try out': '/broker?tab=try',
  storage: '/storage',
  users: '/users',
  tokens: '/users?tab=tokens',
  devices: '/users?tab=devices',
  audit: '/users?tab=audit',
  'no such page': '/nowhere',
};

describe('pages', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  for (const theme of ['light', 'dark']) {
    for (const density of ['normal', 'touch']) {
      test(`no accessibility finding: ${theme}, ${density}`, async (context) => {
        const { page, faults } = await open(run, { theme, density, touch: density === 'touch' });
        await page.goto(run.url);
        await page.getByRole('button', { name: 'Log in' }).waitFor();
        assert.deepEqual(await findings(page), [], 'log-in');
        await enter(run, page);
        for (const [name, path] of Object.entries(PAGES)) {
          await context.test(name, async () => {
            await visit(run, page, path);
            await page.waitForTimeout(400);
            assert.deepEqual(await findings(page), []);
            assert.deepEqual(faults.splice(0), []);
          });
        }
        await page.close();
      });
    }
  }

  test('no accessibility finding: dialogs and phone', async (context) => {
    const { page } = await open(run, { width: 390, height: 844, touch: true, density: 'touch' });
    await enter(run, page);
    for (const [name, path] of Object.entries(PAGES)) {
      await context.test(name, async () => {
        await visit(run, page, path);
        await page.waitForTimeout(300);
        assert.deepEqual(await findings(page), []);
      });
    }
    await visit(run, page, `/overview?face=${TANK}/valve`);
    await page.getByRole('button', { name: 'Write Inlet valve' }).click();
    await page.getByLabel('New value').fill('300');
    assert.deepEqual(await findings(page), []);
    await page.close();
  });

  test('no sideways scroll at 360 px', async () => {
    for (const density of ['normal', 'touch']) {
      const { page } = await open(run, { width: 360, height: 740, density });
      await enter(run, page);
      for (const [name, path] of Object.entries(PAGES)) {
        await visit(run, page, path);
        await page.waitForTimeout(250);
        const wide = await page.evaluate(() => {
          const guilty = [...document.querySelectorAll('body *')].filter((e) => {
            const box = e.getBoundingClientRect();
            if (box.right <= innerWidth + 1 || box.width === 0 || e.closest('.sr, .skip, [role=grid].wide, svg, .hideable')) return false;
            // Cut off on purpose inside a box of its own.
            for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX === 'hidden' && p.getBoundingClientRect().right <= innerWidth + 1) return false;
            return true;
          });
          return { scrolls: document.documentElement.scrollWidth > innerWidth, guilty: guilty.slice(0, 3).map((e) => `${e.tagName}.${e.className}: ${e.textContent?.slice(0, 40)}`) };
        });
        assert.deepEqual(wide, { scrolls: false, guilty: [] }, `${name}, ${density}`);
      }
      await page.close();
    }
  });

  test('controls are at least 48 px for a finger', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width, height: 844, density: 'touch', touch: true });
      await enter(run, page);
      for (const [name, path] of Object.entries(PAGES)) {
        await visit(run, page, path);
        await page.waitForTimeout(250);
        const small = await page.evaluate(() =>
          [...document.querySelectorAll('button, input:not([type=checkbox]), select, textarea, [role=slider], .rail a, .btn')]
            .filter((e) => e.checkVisibility() && !e.closest('.sr, [popover]:not(:popover-open)'))
            .map((e) => [e, e.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && (box.height < 47.5 || box.width < 47.5))
            .map(([e, box]) => `${e.tagName}.${e.className} "${(e.getAttribute('aria-label') ?? e.textContent ?? '').trim().slice(0, 30)}" ${Math.round(box.width)}×${Math.round(box.height)}`),
        );
        assert.deepEqual(small, [], `${name} at ${width}`);
      }
      await page.close();
    }
  });

  test('the alarm bar keeps the order of the list, and on a phone its action is in reach of the thumb', async () => {
    for (const [width, lines] of [[390, 1], [1280, 3]]) {
      const { page } = await open(run, { width, height: 844, density: 'touch', touch: true });
      await enter(run, page);
      await page.evaluate(() => window.andonMock.flood(300));
      const bar = page.getByRole('region', { name: 'Most urgent unacknowledged alarms' });
      await bar.getByText(/^\+?\d{3}/).waitFor();
      const named = (links) => links.evaluateAll((all) => all.map((a) => new URL(a.href).searchParams.get('alarm')).filter(Boolean));
      const first = await named(bar.getByRole('link'));
      assert.equal(first.length, lines);
      if (width === 390) assert.ok((await bar.getByRole('button', { name: /^Ack/ }).boundingBox()).y > 844 * 0.75);
      await bar.getByRole('link', { name: /more$/ }).click();
      await page.getByRole('grid', { name: 'Alarms' }).waitFor();
      assert.deepEqual((await named(page.locator('[role=row][data-index] a'))).slice(0, lines), first);
      await page.close();
    }
  });

  test('an alarm list that was asked for earlier does not hide what the link has told since', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await page.evaluate(() => {
      const ask = window.fetch;
      window.fetch = async (...wish) => {
        const answer = await ask(...wish);
        if (String(wish[0]).endsWith('/api/alarms')) await new Promise((resolve) => (window.letGo = resolve));
        return answer;
      };
    });
    const bar = page.getByRole('region', { name: 'Most urgent unacknowledged alarms' });
    await bar.getByRole('button', { name: /^Ack/ }).first().click();
    await page.waitForFunction(() => window.letGo);
    await page.evaluate(() => window.andonMock.flood(300));
    await bar.getByText(/^\d{3}/).waitFor();
    await page.evaluate(() => new Promise((drawn) => (window.letGo(), setTimeout(() => requestAnimationFrame(drawn), 50))));
    assert.match(await bar.innerText(), /\d{3} more/);
    await page.close();
  });

  test('the details of an alarm that leaves the list keep its message and say what became of it', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width, height: 844 });
      await enter(run, page);
      await visit(run, page, '/alarms');
      await page.evaluate(() => window.andonMock.flood(300));
      // It is back to normal, and waits only to be acknowledged.
      await page.getByRole('grid', { name: 'Alarms' }).getByRole('link', { name: /^Simulated alarm 8 / }).click();
      const drawer = page.getByRole(width === 390 ? 'dialog' : 'complementary', { name: /^Simulated alarm 8 / });
      await drawer.getByText('Returned, unacknowledged').waitFor();
      await drawer.getByRole('button', { name: 'Acknowledge' }).click();
      await drawer.getByText('Acknowledged. It was back to normal, so it has left the list.').waitFor();
      assert.match(await drawer.getByRole('heading', { level: 2 }).innerText(), /^Simulated alarm 8 /);
      await drawer.getByText('Value at the last change').waitFor();
      assert.equal(await drawer.getByRole('button', { name: 'Acknowledge' }).count(), 0);
      assert.deepEqual(await findings(page), []);
      await page.close();
    }
    // A link to an alarm that had left before.
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/alarms?alarm=linde/ground/kitchen/leak:state');
    const drawer = page.getByRole('complementary', { name: 'Water in the kitchen' });
    await drawer.getByText('it is back to normal and acknowledged').waitFor();
    await drawer.getByRole('link', { name: 'Its story stands in the timeline.' }).click();
    await page.getByRole('heading', { level: 1, name: 'Timeline' }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get('path'), 'linde/ground/kitchen/leak');
    await page.close();
  });

  test('an alarm is acknowledged from its details without scrolling, and what has the focus is not below the buttons', async () => {
    for (const [width, height, density] of [[1280, 800, 'normal'], [1280, 800, 'touch'], [390, 844, 'touch'], [1280, 600, 'normal']]) {
      const { page } = await open(run, { width, height, density, touch: density === 'touch', seed: { 'mock.calm': '1' } });
      await enter(run, page);
      await visit(run, page, `/alarms?alarm=${TANK}/level:high`);
      const drawer = page.getByRole(width === 390 ? 'dialog' : 'complementary', { name: 'Buffer tank level high' });
      const ack = drawer.getByRole('button', { name: 'Acknowledge' });
      for (const part of [ack, drawer.getByLabel(/^Note/)]) {
        const box = await part.boundingBox();
        assert.ok(box.y >= 0 && box.y + box.height <= height, `${width}×${height} ${density}: ${JSON.stringify(box)}`);
      }
      const tag = drawer.getByRole('link', { name: `${TANK}/level` });
      await tag.focus();
      const [link, foot] = [await tag.boundingBox(), await drawer.locator('.foot').boundingBox()];
      assert.ok(link.y + link.height <= foot.y, `${width}×${height} ${density}`);
      await drawer.getByLabel(/^Note/).fill('Valve closed');
      await page.keyboard.press('Enter');
      await ack.waitFor({ state: 'detached' });
      await page.close();
    }
  });

  test('on a phone the content begins in the first third of the screen', async () => {
    const { page } = await open(run, { width: 390, height: 844, density: 'touch', touch: true });
    await enter(run, page);
    for (const [name, content] of [['trends', '.lanes'], ['timeline', '[role=row][data-index]'], ['alarms', '[role=row][data-index]']]) {
      await visit(run, page, PAGES[name]);
      const top = (await page.locator(content).first().boundingBox()).y;
      assert.ok(top <= 844 / 3, `${name} begins at ${top}`);
    }
    await visit(run, page, PAGES.trends);
    await page.getByRole('button', { name: 'Compare, note and files' }).click();
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    assert.match(file.suggestedFilename(), /\.csv$/);
    await page.close();
  });

  test('on a phone what can be switched in a room stands before what only shows', async () => {
    for (const density of ['normal', 'touch']) {
      const { page } = await open(run, { width: 390, height: 844, density, touch: density === 'touch' });
      await enter(run, page);
      await visit(run, page, '/rooms');
      const box = async (what) => what.first().boundingBox();
      const lamp = await box(page.getByRole('button', { name: /^Ceiling lamp/ }));
      assert.ok(lamp.y + lamp.height <= 844 / 2, `${density}: the first lamp ends at ${lamp.y + lamp.height}`);
      assert.ok(lamp.height >= 48 && lamp.width >= 140);
      assert.ok((await box(page.locator('article .climate'))).y > lamp.y);
      assert.ok((await box(page.getByRole('heading', { name: 'Energy and power' }))).y > (await box(page.locator('article').last())).y);
      await page.close();
    }
  });

  test('what is pressed shows no state, and its press is a command whose end is said', async () => {
    const { page, faults } = await open(run);
    await enter(run, page);
    await visit(run, page, '/rooms');
    const line = page.locator('article', { has: page.getByRole('heading', { name: 'Plant room' }) }).locator('li', { hasText: 'Heat pump · Defrost' });
    await line.waitFor();
    assert.equal(await line.locator('.value').count(), 0);
    await line.getByRole('button', { name: 'Press Plant room, Heat pump · Defrost' }).click();
    await line.getByText('pressing …').waitFor();
    await line.getByText(/asked for .*; nothing reports whether it took effect/).waitFor();
    // In its details there is nothing to choose from and no value to look at.
    await visit(run, page, '/rooms?face=linde/cellar/plant_room/heat_pump/defrost');
    const plate = page.getByRole('complementary').filter({ hasText: 'linde/cellar/plant_room/heat_pump' });
    assert.equal(await plate.locator('li', { hasText: 'Defrost' }).locator('.value').count(), 0);
    await plate.getByRole('button', { name: 'Press Defrost' }).click();
    const dialog = page.getByRole('dialog', { name: 'Press Defrost' });
    assert.equal(await dialog.getByText('Allowed to write').isVisible(), false);
    await dialog.getByRole('button', { name: 'Press', exact: true }).click();
    await dialog.locator('[data-outcome=unknown]').waitFor();
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('on a phone the actions of a row are on the screen', async () => {
    const { page } = await open(run, { width: 390, height: 844, density: 'touch', touch: true });
    await enter(run, page);
    for (const name of ['users', 'tokens', 'devices']) {
      await visit(run, page, PAGES[name]);
      const buttons = page.locator('.acts button');
      await buttons.first().waitFor();
      for (const box of await buttons.evaluateAll((all) => all.map((e) => e.getBoundingClientRect().toJSON()))) {
        assert.ok(box.left >= 0 && box.right <= 390, `${name}: ${box.left} to ${box.right}`);
      }
    }
    await page.close();
  });

  test('an empty plant says so on every page', async () => {
    const { page, faults } = await open(run, { seed: { 'mock.empty': '1' } });
    await enter(run, page);
    for (const [path, words] of [
      ['/overview', 'No equipment yet'],
      ['/trends', 'No pen yet'],
      ['/alarms', 'No alarm'],
      ['/timeline', 'Nothing happened'],
      ['/connectors', 'No field connection'],
      ['/oee', 'No machine is defined yet'],
      ['/andon', 'No machine is defined yet'],
    ]) {
      await visit(run, page, path);
      await page.getByText(words, { exact: true }).waitFor();
    }
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('an old good value says when it is from and how long ago, without a mark', async () => {
    const { page } = await open(run);
    await enter(run, page);
    const SP = 'works/nord/bottling/line1/filler/pressure_sp';
    await visit(run, page, `/overview?face=${SP}`);
    const old = /\d \w+ (\d+:){2}\d+, 3\u202fd ago/;
    const tile = page.locator('article').first();
    await tile.getByText(old).last().waitFor();
    assert.equal(await tile.locator('.hatched').count(), 0);
    const plate = page.getByRole('complementary').filter({ hasText: SP });
    await plate.getByText(old).first().waitFor();
    assert.match(await plate.locator('.facts').innerText(), /Quality\s+good/);
    assert.equal(await plate.locator('li', { hasText: 'Syrup flow' }).getByText(/ago/).count(), 0);
    await page.close();
  });

  test('first set-up makes the first administrator', async () => {
    const { page } = await open(run, { seed: { 'mock.setup': '1' } });
    await page.goto(run.url);
    await page.getByRole('heading', { name: 'First set-up' }).waitFor();
    assert.deepEqual(await findings(page), []);
    await page.getByLabel('Set-up code').fill('AND-ON1');
    await page.getByLabel('Your name').fill('anna');
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByLabel('Password again').fill('short');
    await page.getByRole('button', { name: 'Create administrator' }).click();
    await page.getByText('at least 12 characters').waitFor();
    await page.getByLabel('Password', { exact: true }).fill('a lantern at night');
    await page.getByLabel('Password again').fill('a lantern at night');
    await page.getByRole('button', { name: 'Create administrator' }).click();
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    await page.close();
  });

  test('a link logs in once, leaves no code in the address, and asks nothing that is answered with 401', async () => {
    const { page, context } = await open(run);
    // The mock answers inside the page, where no console tells of a 401.
    await context.addInitScript(() => {
      window.statuses = [];
      window.Response = class extends Response {
        constructor(body, init) {
          super(body, init);
          window.statuses.push(init?.status);
        }
      };
    });
    await page.goto(`${run.url}/login?code=once`);
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    assert.ok(!page.url().includes('code'));
    const statuses = await page.evaluate(() => window.statuses);
    assert.ok(statuses.length > 3 && !statuses.includes(401), statuses.join());
    await page.goto(`${run.url}/login?code=used`);
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    const second = await open(run);
    await second.page.goto(`${run.url}/login?code=used`);
    await second.page.getByText('This link no longer works').waitFor();
    await page.close();
    await second.page.close();
  });

  test('a lost link says since when, hatches values and holds commands back; the return catches up', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, `/overview?face=${TANK}/valve`);
    await page.evaluate(() => window.andonMock.lose());
    await page.getByText('No connection to Andon since').first().waitFor();
    assert.ok((await page.locator('article .hatched').count()) > 5);
    await page.getByRole('button', { name: 'Write Inlet valve' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('New value').fill('55');
    await dialog.getByText('Commands are switched off').waitFor();
    assert.equal(await dialog.getByRole('button', { name: /^Write/ }).getAttribute('aria-disabled'), 'true');
    await page.evaluate(() => window.andonMock.restore());
    await page.getByText('No connection to Andon since').first().waitFor({ state: 'detached', timeout: 20_000 });
    await page.waitForFunction(() => document.querySelectorAll('article .num.hatched').length < 5, null, { timeout: 10_000 });
    assert.equal(await dialog.getByRole('button', { name: /^Write/ }).getAttribute('aria-disabled'), 'false');
    await page.close();
  });

  test('a connection that breaks during a command ends as unknown and is not sent again', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, `/overview?face=${TANK}/valve`);
    await page.getByRole('button', { name: 'Write Inlet valve' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('New value').fill('55');
    await dialog.getByRole('button', { name: /^Write/ }).click();
    await dialog.getByText('Sent, waiting').waitFor();
    await page.evaluate(() => window.andonMock.lose());
    await dialog.getByText('It may or may not have taken effect').waitFor();
    await page.close();
  });

  test('a device that keeps its old value ends as failed, with its words', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/overview?face=works/nord/utilities/energy/boiler/pressure_sp');
    await page.getByRole('button', { name: 'Write Pressure set point' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('New value').fill('10');
    await dialog.getByRole('button', { name: /^Write/ }).click();
    await dialog.getByText('local control is switched on').waitFor();
    assert.equal(await dialog.locator('[data-outcome]').getAttribute('data-outcome'), 'failed');
    await page.close();
  });

  test('who may only look is told so, and sees no page for administrators', async () => {
    const { page } = await open(run);
    await enter(run, page, 'viewer');
    assert.equal(await page.getByRole('link', { name: 'Users & audit' }).count(), 0);
    await page.goto(`${run.url}/users`);
    await page.getByText('Your roles do not cover this').waitFor();
    await visit(run, page, '/alarms');
    assert.equal(await page.locator('.c-ack button').count(), 0);
    await page.close();
  });

  test('an ended session leads to the door', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await page.evaluate(() => {
      window.andonMock.endSession();
      window.andonMock.lose();
      window.andonMock.restore();
    });
    await page.getByRole('heading', { name: 'Log in' }).waitFor({ timeout: 15_000 });
    await page.close();
  });

  test('a thousand alarms: few rows in the page, fast, and new ones wait while somebody reads', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/alarms');
    await page.evaluate(() => window.andonMock.flood(1000));
    await page.mouse.move(5, 5);
    await page.waitForFunction(() => Number(document.querySelector('[role=grid]')?.getAttribute('aria-rowcount')) > 1000);
    assert.ok((await page.locator('[role=row]').count()) < 60);
    const grid = page.locator('[role=grid]');
    await grid.evaluate((e) => e.scrollTo(0, 8000));
    await page.waitForTimeout(200);
    const before = await page.locator('[role=row][data-index]').nth(10).locator('.c-message').innerText();
    await page.evaluate(() => window.andonMock.flood(1100));
    await page.getByRole('button', { name: /\d+ new/ }).waitFor();
    assert.equal(await page.locator('[role=row][data-index]').nth(10).locator('.c-message').innerText(), before);
    await page.close();
  });

  test('at 1280 px the alarm list says the whole message, with and without details beside it', async () => {
    for (const density of ['normal', 'touch']) {
      const { page } = await open(run, { density, touch: density === 'touch', seed: { 'mock.calm': '1' } });
      await enter(run, page);
      await visit(run, page, '/alarms');
      await page.evaluate(() => window.andonMock.flood(20));
      await page.mouse.move(5, 5);
      const cut = () => page.locator('[role=row][data-index] :is(.c-message, .c-state)').evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1).map((e) => e.textContent.trim()));
      await page.getByText('Simulated alarm 8 ').last().waitFor();
      assert.deepEqual(await cut(), [], density);
      await visit(run, page, `/alarms?alarm=${TANK}/level:high`);
      await page.getByText('Window open while heating').last().waitFor();
      assert.deepEqual(await cut(), [], `${density}, details`);
      await page.close();
    }
  });

  test('at 1280 px the timeline says all of what happened and where; on a phone the times of alarms stand below each other', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/timeline');
    await page.locator('[role=row][data-index] .c-where').getByText('Steam boiler · Pressure set point').first().waitFor();
    const cut = await page.locator('[role=row][data-index] :is(.c-what, .c-where)').evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1).map((e) => e.textContent.trim()));
    assert.deepEqual(cut, []);
    await page.close();
    const small = await open(run, { width: 390, height: 844, seed: { 'mock.calm': '1' } });
    await enter(run, small.page);
    await visit(run, small.page, '/alarms');
    const lefts = await small.page.locator('[role=row][data-index] .c-time').evaluateAll((all) => all.map((e) => Math.round(e.getBoundingClientRect().left)));
    assert.ok(lefts.length >= 4 && new Set(lefts).size === 1, lefts.join());
    await small.page.close();
  });

  test('a chart of eight pens redraws fast enough to be live', async (context) => {
    const { page } = await open(run, { width: 2490 });
    await enter(run, page);
    const line = 'works/nord/bottling/line1';
    const pens = ['filler/pressure', 'filler/flow', 'filler/temperature', 'capper/torque', 'capper/speed', 'labeller/web_speed', 'packer/air_pressure', 'packer/motor_current'].map((p) => `${line}/${p}`).join(',');
    await visit(run, page, `/trends?pens=${pens}`);
    await page.locator('.lanes canvas').first().waitFor();
    assert.equal(await page.locator('.pens tbody tr').count(), 8);
    assert.equal(await page.locator('.lanes canvas').first().evaluate((e) => e.width), 2000);
    const times = [];
    for (let i = 0; i < 12; i += 1) {
      await page.waitForTimeout(700);
      times.push(await page.evaluate(() => performance.getEntriesByName('andon:redraw').at(-1)?.duration ?? NaN));
    }
    times.sort((a, b) => a - b);
    context.diagnostic(`redraw of 8 pens at 2,000 px: median ${times[6].toFixed(1)} ms, most ${times[11].toFixed(1)} ms`);
    // Software rendering on a busy machine is no measure of 4 ms; three times as much is a fault of ours.
    assert.ok(times[6] < 12, `median ${times[6]} ms`);
    await page.close();
  });

  /**
   * How many of the columns between two parts of a lane's width have a pixel of a colour, in the last `foot` px of the curves' room or
   * in all of it above them. 0 to 1.
   */
  const columnsWith = (page, lane, colour, [left, right], { foot, above = false }) =>
    page.evaluate(
      ([lane, colour, left, right, foot, above]) => {
        const canvas = document.querySelector(`[data-lane="${lane}"] canvas`);
        const last = document.querySelectorAll('[data-lane]').length === lane + 1;
        const bottom = canvas.height - (last ? 26 : 6);
        const [top, end] = above ? [20, bottom - foot] : [bottom - foot, bottom];
        const hex = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
        const wanted = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
        const [a, b] = [left, right].map((part) => Math.round(64 + part * (canvas.width - 78)));
        const { data } = canvas.getContext('2d').getImageData(a, top, b - a, end - top);
        const found = new Set();
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] > 150 && wanted.every((v, c) => Math.abs(v - data[i + c]) <= 24)) found.add((i / 4) % (b - a));
        }
        return found.size / (b - a);
      },
      [lane, colour, left, right, foot, above],
    );

  test('bad quality is drawn for the pen that has it, and covers no other of its lane, in light and dark', async () => {
    for (const theme of ['light', 'dark']) {
      const { page } = await open(run, { theme, seed: { 'mock.calm': '1' } });
      await enter(run, page);
      await visit(run, page, `/trends?pens=works/nord/bottling/line2/labeller/glue_temperature,${FILLER}/flow,${FILLER}/temperature`);
      // It is bad since 23 of the 60 minutes, and the other one is doubtful now and then: two bands of 8 px.
      await page.waitForFunction(() => /%/.test(document.querySelector('.pens [data-label="Good"]')?.textContent ?? ''));
      const [bad, sound] = [[0.65, 0.99], [0.02, 0.6]];
      assert.ok((await columnsWith(page, 0, '--pen-1', bad, { foot: 16 })) > 0.7, `${theme}: the band of the bad pen`);
      assert.equal(await columnsWith(page, 0, '--pen-1', sound, { foot: 16 }), 0, `${theme}: no band where it is good`);
      for (const colour of ['--pen-1', '--line-strong']) assert.equal(await columnsWith(page, 0, colour, bad, { foot: 17, above: true }), 0, `${theme}: ${colour} over the other pen`);
      assert.ok((await columnsWith(page, 0, '--pen-1', sound, { foot: 17, above: true })) > 0.95, `${theme}: its line where it is good`);
      await page.close();
    }
  });

  test('two bad readings in a hundred mark as much of the time and break no line; a pen alone is hatched where it is bad or overdue', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1', 'mock.flaky': '1' } });
    await enter(run, page);
    await visit(run, page, `/trends?span=8h&pens=${FILLER}/flow,${FILLER}/pressure,works/nord/utilities/energy/chiller/return_temperature`);
    await page.waitForFunction(() => document.querySelectorAll('[data-lane]').length === 3 && [...document.querySelectorAll('.pens [data-label="Good"]')].every((e) => /%/.test(e.textContent)));
    const marks = await columnsWith(page, 0, '--line-strong', [0, 1], { foot: 12 });
    assert.ok(marks > 0.02 && marks < 0.2, `marked: ${marks}`);
    assert.ok((await columnsWith(page, 0, '--line-strong', [0, 1], { foot: 13, above: true })) < 0.01, 'nothing over the curve');
    assert.ok((await columnsWith(page, 0, '--pen-1', [0, 1], { foot: 0, above: true })) > 0.97, 'the line goes on');
    // Silent since 30 minutes of eight hours.
    const overdue = await columnsWith(page, 2, '--line-strong', [0.95, 0.99], { foot: 0, above: true });
    assert.ok(overdue > 0.9, `hatched where overdue: ${overdue}`);
    assert.ok((await columnsWith(page, 2, '--line-strong', [0.1, 0.9], { foot: 0, above: true })) < 0.01);
    await page.close();
  });

  test('before the first reading there is no data, and the chart says so', async () => {
    for (const [seed, share] of [['mock.young', 0.95], ['mock.calm', 0]]) {
      // In the dark, where a well and a line of the grid are told apart.
      const { page } = await open(run, { theme: 'dark', seed: { [seed]: '1' } });
      await enter(run, page);
      await visit(run, page, `/trends?pens=${FILLER}/flow`);
      await page.waitForFunction(() => /%/.test(document.querySelector('.pens [data-label="Good"]')?.textContent ?? ''));
      const wells = await columnsWith(page, 0, '--sunken', [0.02, 0.9], { foot: 12 });
      assert.ok(share ? wells > share : wells < 0.05, `${seed}: ${wells}`);
      await page.close();
    }
  });

  test('time behind the last reading is not good', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1', 'mock.flaky': '1' } });
    await enter(run, page);
    await visit(run, page, `/trends?pens=works/nord/utilities/energy/chiller/return_temperature,${FILLER}/temperature`);
    await page.waitForFunction(() => [...document.querySelectorAll('.pens [data-label="Good"]')].every((e) => /%/.test(e.textContent)));
    const good = Number.parseFloat((await figures(page)).Good);
    assert.ok(good > 47 && good < 53, `${good} % of an hour of which half is silent`);
    assert.equal(await page.locator('.pens tbody tr').first().locator('[data-label="Mean"] .hatched').count(), 1, 'a figure of half an hour');
    await page.close();
  });

  const FILLER = 'works/nord/bottling/line1/filler';
  const figures = (page, row = 0) =>
    page.evaluate((row) => Object.fromEntries([...(document.querySelectorAll('.pens tbody tr')[row]?.querySelectorAll('[data-label]') ?? [])].map((cell) => [cell.dataset.label, cell.textContent.trim()])), row);

  test('cursors are set and moved by keys; between them stand figures from the server, and the link shows the same', async () => {
    const { page, faults } = await open(run);
    await enter(run, page);
    await visit(run, page, `/trends?pens=${FILLER}/pressure`);
    // The mock answers inside the page; what it is asked is told by wrapping it once more.
    await page.evaluate(() => {
      const mock = window.fetch;
      window.aggregates = [];
      window.asked = { upTo: 0, pending: 0 };
      window.fetch = async (input, init) => {
        if (!String(input).startsWith('/api/aggregate')) return mock(input, init);
        const query = new URL(String(input), location.href).searchParams;
        window.aggregates.push(query.get('aggregate'));
        window.asked.upTo = Number(query.get('to_ms'));
        window.asked.pending += 1;
        try {
          return await mock(input, init);
        } finally {
          window.asked.pending -= 1;
        }
      };
    });
    const chart = page.locator('.overlay');
    await chart.focus();
    await page.keyboard.press('Home');
    for (let i = 0; i < 4; i += 1) await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Shift+A');
    await page.keyboard.press('End');
    await page.keyboard.press('Shift+B');
    await page.getByText('Between A and B').waitFor();
    const cursor = page.getByRole('slider', { name: 'Cursor B' });
    await cursor.focus();
    const before = Number(await cursor.getAttribute('aria-valuenow'));
    await page.keyboard.press('Shift+ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    const after = Number(await cursor.getAttribute('aria-valuenow'));
    assert.ok(after < before);
    assert.equal(new URL(page.url()).searchParams.get('b'), String(Math.round(after)));
    await page.waitForFunction(() => window.aggregates.includes('TimeAverage2') && window.aggregates.includes('PercentGood') && window.aggregates.includes('StandardDeviationPopulation'));
    // The figures are those up to where the cursor stands now.
    await page.waitForFunction((b) => Math.abs(window.asked.upTo - b) <= 2 && window.asked.pending === 0, Math.round(after));
    await page.waitForFunction(() => !document.querySelector('.figure.old') && /\d/.test(document.querySelector('.pens [data-label="σ"]')?.textContent ?? ''));
    const seen = await figures(page);
    for (const name of ['A', 'B', 'Δy', 'Min', 'Mean', 'Max', 'σ', 'Good']) assert.match(seen[name], /\d/, name);
    const [min, mean, max] = ['Min', 'Mean', 'Max'].map((name) => Number.parseFloat(seen[name]));
    assert.ok(min < mean && mean < max, JSON.stringify(seen));
    await page.reload();
    await page.waitForFunction((mean) => document.querySelector('.pens [data-label="Mean"]')?.textContent?.trim() === mean, seen.Mean, { timeout: 10_000 });
    await page.getByRole('slider', { name: 'Cursor A' }).focus();
    await page.keyboard.press('Delete');
    await page.getByText('Between A and B').waitFor({ state: 'detached' });
    assert.equal(new URL(page.url()).searchParams.get('a'), null);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('figures of incomplete data are marked, and the share of good data says how much there is', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/trends?pens=works/nord/bottling/line2/labeller/glue_temperature');
    await page.waitForFunction(() => /%/.test(document.querySelector('.pens [data-label="Good"]')?.textContent ?? ''));
    const { Good } = await figures(page);
    assert.ok(Number.parseFloat(Good) > 50 && Number.parseFloat(Good) < 70, Good);
    assert.match(await page.locator('.pens [data-label="Mean"]').innerText(), /uncertain/i);
    assert.equal(await page.locator('.pens [data-label="Mean"] .hatched').count(), 1);
    await page.close();
  });

  test('compare with earlier: a ghost of each pen, labelled, with figures of its own, by keyboard and for a chosen time', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, `/trends?pens=${FILLER}/pressure,${FILLER}/flow`);
    const choice = page.getByRole('combobox', { name: 'Compare with earlier' });
    await choice.selectOption({ label: 'Compare: a day earlier' });
    assert.match(page.url(), /cmp=1d/);
    await page.waitForFunction(() => document.querySelectorAll('.pens tbody tr.ghost').length === 2 && [...document.querySelectorAll('.pens tbody tr.ghost [data-label="Mean"]')].every((cell) => /\d/.test(cell.textContent)));
    assert.equal(await page.locator('.lanes .earlier').count(), 2);
    assert.notEqual((await figures(page, 0)).Mean, (await figures(page, 1)).Mean);
    await choice.selectOption({ label: 'Another time …' });
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('The earlier stretch begins at').fill('2999-01-01 00:00:00');
    await page.keyboard.press('Enter');
    await dialog.getByText('Write a time before the chart begins').waitFor();
    const twoHours = new Date(Date.now() - 3 * 3_600_000);
    await dialog.getByLabel('The earlier stretch begins at').fill(twoHours.toLocaleString('sv-SE'));
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    assert.match(page.url(), /cmp=(2h|7\d{3}s|1\d{2}m)/);
    await page.keyboard.press('Shift+T');
    await page.getByRole('columnheader', { name: /earlier/ }).first().waitFor();
    await page.close();
  });

  test('the strip under the lanes shows alarms and events, and each mark opens the list behind it', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/trends?span=8h&pens=works/nord/bottling/line1/labeller/web_speed,works/nord/bottling/line1/filler/pressure');
    const strip = page.getByRole('region', { name: 'Alarms and events' });
    await strip.locator('.bar.p2').waitFor();
    const mark = strip.getByRole('button').last();
    await mark.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('link').first().waitFor();
    await dialog.getByRole('link').first().press('Enter');
    await page.locator('aside.drawer').getByText('Recorded').waitFor();
    await page.close();
  });

  test('a note is written by keyboard about the stretch between the cursors, and stands under the chart and in the timeline', async () => {
    const { page, faults } = await open(run);
    await enter(run, page, 'operator');
    const [a, b] = [Date.now() - 30 * 60_000, Date.now() - 20 * 60_000];
    await visit(run, page, `/trends?pens=${FILLER}/pressure,${FILLER}/flow&a=${b}&b=${a}`);
    const strip = page.getByRole('region', { name: 'Alarms and events' });
    assert.equal(await strip.getByText('Notes').count(), 0);
    await page.getByRole('button', { name: 'Note', exact: true }).press('Enter');
    const dialog = page.getByRole('dialog');
    assert.deepEqual(await findings(page), []);
    await dialog.getByLabel('Pen').selectOption({ label: 'Syrup flow, Filler' });
    await dialog.getByRole('button', { name: 'Write the note' }).press('Enter');
    await dialog.getByRole('alert').getByText('Required').waitFor();
    await dialog.getByLabel('What was it?').fill('Flow meter cleaned,\nold value kept');
    await dialog.getByRole('button', { name: 'Write the note' }).press('Enter');
    await dialog.waitFor({ state: 'detached' });
    await strip.getByText('Notes').waitFor();
    assert.ok((await strip.locator('.bar.stretch').boundingBox()).width > 100, 'ten of sixty minutes');
    await strip.getByRole('button', { name: /Flow meter cleaned/ }).press('Enter');
    await page.getByRole('dialog').getByRole('link', { name: /Flow meter cleaned/ }).press('Enter');
    await page.locator('aside.drawer').getByText('until').waitFor();
    assert.deepEqual(faults, []);
    await page.close();
    const other = await open(run);
    await enter(run, other.page, 'viewer');
    await visit(run, other.page, `/trends?pens=${FILLER}/pressure`);
    await other.page.getByRole('button', { name: 'CSV' }).waitFor();
    assert.equal(await other.page.getByRole('button', { name: 'Note', exact: true }).count(), 0);
    await other.page.close();
  });

  test('storage shows its figures with units, reads them again by itself, and says when it cannot', async () => {
    const { page, faults } = await open(run);
    await enter(run, page);
    await visit(run, page, '/storage');
    const tile = (name) => page.getByRole('region', { name, exact: true });
    assert.match((await tile('Per point').innerText()).replaceAll('\n', ' '), /1\.56\s+B/);
    assert.match(await tile('Write amplification').innerText(), /budget 4/);
    assert.match((await tile('Coming in').innerText()).replaceAll('\n', ' '), /140 points\/s/);
    assert.match(await tile('Tidying files').innerText(), /merges wait/);
    const row = (name) => page.getByRole('row', { name });
    assert.match(await row('Line 2 PLC').innerText(), /31\s+min/);
    assert.match(await row('Chiller').innerText(), /none since the start/);
    assert.match(await row('Imports').innerText(), /of the past/);
    assert.match(await row('90 days').innerText(), /line1[\s\S]*about 41,300/);
    assert.match(await row('for ever').innerText(), /home\/energy\/total/);
    await page.getByText('one that has fallen silent beside others is not seen here').waitFor();
    assert.equal(await tile('What needs attention').count(), 0);
    const taken = await tile('Since Andon started').innerText();
    await page.waitForFunction((taken) => [...document.querySelectorAll('.tile')].at(-1).innerText !== taken, taken, { timeout: 12_000 });
    await page.evaluate(() => window.andonMock.lose());
    await page.getByText('These figures are from').waitFor({ timeout: 12_000 });
    assert.ok(await page.locator('.tiles.stale').count());
    await page.evaluate(() => window.andonMock.restore());
    await page.getByText('These figures are from').waitFor({ state: 'detached', timeout: 20_000 });
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a full disk and a damaged file are said first, with what to do', async () => {
    const { page } = await open(run, { seed: { 'mock.sick': '1' } });
    await enter(run, page);
    await visit(run, page, '/storage');
    const trouble = page.getByRole('region', { name: 'What needs attention' });
    await trouble.getByText('no space left on device').waitFor();
    await trouble.getByText('Free space or give Andon a larger disk').waitFor();
    await trouble.getByText('1 damaged file').waitFor();
    const row = trouble.getByRole('row', { name: /4a1\.parquet/ });
    assert.match(await row.innerText(), /row group 3 does not fit its checksum[\s\S]*\d+ \w+ 00:00:00 to \d+ \w+ 23:59:59[\s\S]*2,419,200 readings/);
    assert.match(await trouble.innerText(), /Bring each file back from the last backup[\s\S]*andon doctor/);
    assert.equal(await trouble.locator('.damage').evaluate((e) => getComputedStyle(e).borderInlineStartColor), await trouble.locator('.prio .body').evaluate((e) => getComputedStyle(e).stroke), 'in the colour of an alarm');
    await trouble.getByText('History is 19').waitFor();
    await page.getByText('over budget').waitFor();
    assert.deepEqual(await findings(page), []);
    // Who has no backup of it says so, with a reason.
    await row.getByRole('button', { name: 'Give up …' }).click();
    const dialog = page.getByRole('dialog', { name: 'Give up this file' });
    const submit = dialog.getByRole('button', { name: 'Give up the file' });
    assert.deepEqual(await findings(page), []);
    assert.equal(await submit.getAttribute('aria-disabled'), 'true');
    await dialog.getByLabel('Reason').press('Enter');
    await dialog.getByRole('alert').getByText('Required').waitFor();
    await dialog.getByLabel('Reason').fill('The disk broke');
    await page.keyboard.press('Enter');
    await dialog.getByText('Given up. It stands on the timeline.').waitFor();
    await dialog.getByRole('button', { name: 'Done' }).click();
    const given = page.getByRole('region', { name: '1 file given up' });
    assert.match(await given.innerText(), /4a1\.parquet[\s\S]*2,419,200 readings/);
    await trouble.getByText('1 damaged file').waitFor({ state: 'detached' });
    assert.deepEqual(await findings(page), []);
    await page.close();
  });

  test('after a start without any source, the storage page says what history holds and where readings come from', async () => {
    for (const [seed, words] of [['mock.restarted', /No source has brought a reading since Andon started\. History holds 184,2\d\d,\d{3} points from before\. Readings come from/], ['mock.empty', /since Andon started\. History holds|Nothing brings readings yet\. Readings come from/]]) {
      const { page } = await open(run, { seed: { [seed]: '1' } });
      await enter(run, page);
      await visit(run, page, '/storage');
      assert.match(await page.getByRole('region', { name: 'How far each source has come' }).innerText(), words);
      await page.close();
    }
  });

  test('who may not configure is told so on the storage page', async () => {
    const { page } = await open(run);
    await enter(run, page, 'operator');
    assert.equal(await page.getByRole('link', { name: 'Storage' }).count(), 0);
    await page.goto(`${run.url}/storage`);
    await page.getByText('Your roles do not cover this').waitFor();
    await page.close();
  });

  test('a stretch of history is deleted: shown before, with a reason, and gone after', async () => {
    const { page } = await open(run);
    await enter(run, page);
    const [a, b] = [Date.now() - 30 * 60_000, Date.now() - 20 * 60_000];
    await visit(run, page, `/trends?pens=${FILLER}/pressure,${FILLER}/flow&a=${b}&b=${a}`);
    await page.getByRole('button', { name: 'Delete from history …' }).press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Pen').selectOption({ label: 'Syrup flow, Filler' });
    const submit = dialog.getByRole('button', { name: /^Delete 6\d\d good readings/ });
    await submit.waitFor();
    assert.deepEqual(await findings(page), []);
    await dialog.getByRole('img', { name: /what will be deleted/ }).waitFor();
    assert.equal(await submit.getAttribute('aria-disabled'), 'true');
    await dialog.getByLabel('Reason').press('Enter');
    await dialog.getByRole('alert').getByText('Required').waitFor();
    await dialog.getByLabel('Reason').fill('Flow meter was cleaned');
    await page.keyboard.press('Enter');
    await dialog.locator('[data-outcome=done]').waitFor();
    const left = (tag) => page.evaluate(async ([tag, a, b]) => (await (await fetch(`/api/history?tag=${tag}&from_ms=${a}&to_ms=${b - 1}&max_points=4000`)).json()).points.length, [tag, a, b]);
    assert.equal(await left(`${FILLER}/flow`), 0);
    assert.ok((await left(`${FILLER}/pressure`)) > 500, 'the other pen is untouched');
    await dialog.getByRole('button', { name: 'Done' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.pens [data-label="Mean"]')[1]?.textContent.trim() === '–');
    await page.close();
  });

  test('the details of an event say nothing twice, and a time in its words stands as everywhere else', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await visit(run, page, '/timeline');
    await page.evaluate((tag) => {
      const at_ms = Date.now();
      return Promise.all([
        fetch('/api/history/delete', { method: 'POST', body: JSON.stringify({ tag, from_ms: at_ms - 120_000, to_ms: at_ms - 60_000, reason: 'Sensor in the air' }) }),
        fetch('/api/notes', { method: 'POST', body: JSON.stringify({ path: tag, text: 'Seen at 2026-11-01T10:00:00Z', at_ms }) }),
      ]);
    }, `${FILLER}/pressure`);
    for (const [words, shape] of [['Sensor in the air', /from (\d+ \w+ )?\d\d:\d\d:\d\d(\.\d{3})? to /], ['Seen at', /2026-11-01T10:00:00Z/]]) {
      await page.mouse.move(5, 5);
      await page.getByRole('gridcell').getByText(words).first().click();
      const drawer = page.getByRole('complementary', { name: words });
      const text = await drawer.innerText();
      assert.equal(text.split(words).length - 1, 1, text);
      assert.match(text, shape);
      await page.keyboard.press('Escape');
    }
    await page.close();
  });

  test('a delete without an answer is not called done or failed; who may not configure is not offered it', async () => {
    const { page } = await open(run);
    await enter(run, page);
    const [a, b] = [Date.now() - 30 * 60_000, Date.now() - 20 * 60_000];
    const path = `/trends?pens=${FILLER}/pressure&a=${a}&b=${b}`;
    await visit(run, page, path);
    await page.getByRole('button', { name: 'Delete from history …' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('Test');
    await dialog.getByRole('button', { name: /^Delete \d/ }).click();
    await dialog.getByText('Sent, waiting').waitFor();
    await page.evaluate(() => window.andonMock.lose());
    await dialog.getByText('may or may not be deleted').waitFor();
    await page.close();
    const other = await open(run);
    await enter(run, other.page, 'operator');
    await visit(run, other.page, path);
    await other.page.getByText('Between A and B').waitFor();
    assert.equal(await other.page.getByRole('button', { name: 'Delete from history …' }).count(), 0);
    await other.page.close();
  });

  test('a query is written, run and read by keyboard; its link shows the same answer', async () => {
    const { page, faults } = await open(run);
    await enter(run, page);
    await visit(run, page, '/query');
    const editor = page.getByRole('textbox', { name: 'Query in SQL' });
    await editor.focus();
    await page.keyboard.insertText(HOUR);
    await page.keyboard.press('Control+Enter');
    const grid = page.getByRole('grid', { name: 'Answer' });
    await grid.waitFor();
    const count = Number(await grid.getAttribute('aria-rowcount'));
    assert.ok(count > 1000, `${count} rows`);
    assert.ok((await page.locator('[role=row]').count()) < 60, 'only the visible rows are in the page');
    assert.equal(await page.locator('[role=gridcell]').nth(1).evaluate((e) => getComputedStyle(e).textAlign), 'end');
    assert.match(await page.locator('[role=gridcell]').first().innerText(), /\d\d:\d\d:\d\d/);
    await page.locator('[role=row][data-index]').first().focus();
    await page.keyboard.press('End');
    await page.waitForFunction((last) => document.activeElement?.dataset.index === String(last), count - 2);
    await page.reload();
    await grid.waitFor();
    assert.equal(await editor.inputValue(), HOUR);
    await page.getByRole('button', { name: 'Chart' }).press('Enter');
    await page.getByRole('img', { name: /^value, / }).waitFor();
    assert.match(page.url(), /chart=1/);
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    const lines = (await readFile(await file.path(), 'utf8')).split('\n');
    assert.equal(lines[0], 'ts,value,quality');
    assert.ok(lines.length > 1000);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('the columns of an answer stand below each other and are as wide as what is in them; its head stays in sight', async () => {
    const path = 'works/nord/bottling/line2/labeller/glue_temperature';
    for (const [width, density] of [[1280, 'normal'], [390, 'normal'], [390, 'touch']]) {
      const { page } = await open(run, { width, height: 844, density, touch: density === 'touch' });
      await enter(run, page);
      await visit(run, page, `/query?q=${encodeURIComponent(`SELECT * FROM samples WHERE path = '${path}' AND ts >= now() - INTERVAL '1 hour'`)}`);
      const grid = page.getByRole('grid', { name: 'Answer' });
      await grid.waitFor();
      const seen = () => grid.evaluate((e) => ({ lefts: [...e.querySelectorAll('[role=row]')].map((row) => [...row.children].map((c) => Math.round(c.getBoundingClientRect().left)).join()), top: e.querySelector('.head').getBoundingClientRect().top - e.getBoundingClientRect().top }));
      const early = await seen();
      assert.equal(new Set(early.lefts.map((l) => (width === 390 ? l.split(',').slice(1).join() : l))).size, 1, `${width} ${density}: ${early.lefts.slice(0, 3).join(' | ')}`);
      // The bad rows at the end have longer words.
      await grid.evaluate((e) => e.scrollTo(90, e.scrollHeight));
      await page.getByText('BadNoCommunication').first().waitFor();
      const late = await seen();
      assert.equal(new Set(late.lefts.map((l) => (width === 390 ? l.split(',').slice(1).join() : l))).size, 1, `${width} ${density}: ${late.lefts.slice(0, 3).join(' | ')}`);
      assert.ok(Math.abs(late.top) < 2, 'the head is in sight');
      if (width === 1280) {
        await grid.evaluate((e) => e.scrollTo(0, 0));
        await page.waitForFunction(() => document.querySelector('[data-index="1"]'));
        const rights = await grid.evaluate((e) => [...e.querySelectorAll('[role=columnheader]')].map((c) => [c.textContent, c.getBoundingClientRect().right, e.getBoundingClientRect().right]));
        for (const name of ['ts', 'value', 'quality']) {
          const [, right, edge] = rights.find(([text]) => text === name);
          assert.ok(right <= edge, `${name} ends at ${right} of ${edge}`);
        }
      }
      await page.close();
    }
  });

  test('what no number can hold is shown as what it is', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, `/query?q=${encodeURIComponent(HOUR.replace('ts, value,', 'ts, value / 0 AS value,'))}`);
    await page.getByRole('gridcell', { name: '∞', exact: true }).first().waitFor();
    await page.close();
  });

  test('a chart of several days says the dates, fills its panel, and its line breaks where the reading was bad', async () => {
    const { page } = await open(run);
    await enter(run, page);
    const ask = (path, hours) => `/query?chart=1&q=${encodeURIComponent(HOUR.replace('works/nord/bottling/line1/filler/pressure', path).replace("'1 hour'", `'${hours} hours'`))}`;
    await visit(run, page, ask(`${FILLER}/flow`, 72));
    const chart = page.getByRole('img', { name: /^value, / });
    await chart.waitFor();
    const texts = await chart.locator('text').allTextContents();
    assert.ok(texts.filter((text) => /^\d+ \w{3}$/.test(text)).length >= 2, texts.join());
    assert.match(await chart.getAttribute('aria-label'), /from \d+ \w+ \d\d:\d\d:\d\d to \d+ \w+ \d\d/);
    const [box, room] = [await chart.boundingBox(), await page.locator('.answer .lanes').boundingBox()];
    assert.ok(box.height > room.height * 0.7, `${box.height} of ${room.height}`);
    assert.ok(box.y + box.height <= room.y + room.height);
    // Bad for the last 23 of 60 minutes, and a gap in the other: the line has nothing there, and says so.
    await visit(run, page, ask('works/nord/bottling/line2/labeller/glue_temperature', 1));
    await chart.waitFor();
    const line = await chart.evaluate((e) => [e.querySelector('.line').getBBox().width, e.getBoundingClientRect().width, e.querySelectorAll('rect[fill^=url]').length]);
    assert.ok(line[0] > line[1] * 0.5 && line[0] < line[1] * 0.65, line.join());
    assert.equal(line[2], 1);
    await page.close();
  });

  test('a long query is wrapped where it is written and among the earlier ones, and its lines keep their numbers', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width, height: 844 });
      await enter(run, page);
      await visit(run, page, '/query');
      const editor = page.getByRole('textbox', { name: 'Query in SQL' });
      const long = `SELECT ${Array.from({ length: 20 }, (_, i) => `'a_rather_long_text_${i}'`).join(', ')}`;
      await editor.fill(`${long}\n, 1\n, 2`);
      const seen = await page.locator('.editor').evaluate((e) => {
        const [area, numbers] = [e.querySelector('textarea'), [...e.querySelectorAll('.copy b')].map((b) => b.getBoundingClientRect().top)];
        return { cut: area.scrollWidth > area.clientWidth, numbers, text: area.scrollHeight - 16, copy: e.querySelector('.copy > div').getBoundingClientRect().height };
      });
      assert.equal(seen.cut, false);
      assert.equal(seen.numbers.length, 3);
      assert.ok(seen.numbers[1] - seen.numbers[0] >= 40, 'the first line takes several rows');
      assert.ok(Math.abs(seen.text - seen.copy) < 1 || seen.copy < 80, `the copy is as high as the text: ${seen.copy} and ${seen.text}`);
      await editor.press('Control+Enter');
      await page.getByRole('button', { name: 'Earlier queries' }).click();
      const entry = page.getByRole('dialog').locator('.asked .words').first();
      assert.equal(await entry.evaluate((e) => e.scrollWidth > e.clientWidth || e.getBoundingClientRect().right > e.closest('dialog').getBoundingClientRect().right), false);
      await page.close();
    }
  });

  test('where there is room, no number of an answer is cut', async () => {
    for (const density of ['normal', 'touch']) {
      const { page } = await open(run, { density, touch: density === 'touch' });
      await enter(run, page);
      await visit(run, page, `/query?q=${encodeURIComponent(HOUR.replace('ts, value,', 'ts, value / 3 AS value,'))}`);
      await page.getByText(/[\d,]+ rows/).waitFor();
      const cells = await page.locator('[role=row][data-index] [role=gridcell].right').evaluateAll((all) => all.map((e) => ({ text: e.textContent, cut: e.scrollWidth > e.clientWidth })));
      assert.ok(cells.some((c) => c.text.length >= 11), JSON.stringify(cells.slice(0, 3)));
      assert.deepEqual(cells.filter((c) => c.cut), [], density);
      await page.close();
    }
  });

  test('on a phone time, value and quality of an answer are on the screen, below the path', async () => {
    const SEVERAL = "SELECT path, ts, value, quality FROM samples WHERE path LIKE 'works/nord/bottling/line1/filler/%' AND ts >= now() - INTERVAL '1 hour'";
    for (const [query, density] of [[SEVERAL, 'normal'], [SEVERAL, 'touch'], [HOUR, 'normal'], ['SELECT path, value, unit, quality, ts FROM last_values', 'touch']]) {
      const { page } = await open(run, { width: 390, height: 844, density, touch: density === 'touch' });
      await enter(run, page);
      await visit(run, page, `/query?q=${encodeURIComponent(query)}`);
      const grid = page.getByRole('grid', { name: 'Answer' });
      await grid.waitFor();
      const seen = await grid.evaluate((e) => ({ wide: e.scrollWidth > e.clientWidth, cells: [...e.querySelectorAll('[data-index="3"] [role=gridcell], [role=columnheader]')].map((c) => ({ text: c.textContent, cut: c.scrollWidth > c.clientWidth, right: c.getBoundingClientRect().right })) }));
      assert.equal(seen.wide, false, query);
      assert.deepEqual(seen.cells.filter((c) => c.cut || c.right > 390), [], query);
      assert.ok(seen.cells.some((c) => /\d\d:\d\d:\d\d/.test(c.text)));
      assert.deepEqual(await findings(page), []);
      await page.close();
    }
    // A path that is longer than the screen is cut at its beginning: its end tells one from the next.
    const { page } = await open(run, { width: 360, height: 740, density: 'touch' });
    await enter(run, page);
    await visit(run, page, `/query?q=${encodeURIComponent("SELECT path, value, unit, quality, ts FROM last_values WHERE path LIKE '%/chiller/return_temperature'")}`);
    const path = page.getByRole('gridcell', { name: 'works/nord/utilities/energy/chiller/return_temperature' });
    const [cell, text] = await path.evaluate((e) => [e, e.firstElementChild].map((one) => one.getBoundingClientRect().toJSON()));
    assert.ok(text.left < cell.left && Math.abs(text.right - cell.right) < 1, JSON.stringify([cell, text]));
    await page.close();
  });

  test('a query is never silently empty: refused, without rows, broken off and cancelled each say so', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/query');
    const editor = page.getByRole('textbox', { name: 'Query in SQL' });
    const ask = async (text) => {
      await editor.fill(text);
      await editor.press('Control+Enter');
    };
    await ask('DELETE FROM samples');
    await page.getByRole('alert').getByText('Only SELECT, WITH, VALUES, SHOW and EXPLAIN are answered, not DELETE.').waitFor();
    await ask('SELECT * FROM equipment');
    await page.getByText('No rows', { exact: true }).waitFor();
    await ask(`${HOUR} -- x`.replace('ts, value', 'ts, value /* break_off */'));
    await page.getByRole('alert').getByText('The server broke off: The query took longer than 60').waitFor();
    await page.getByRole('grid', { name: 'Answer' }).waitFor();
    await ask('SELECT sleep(60)');
    await page.getByText(/1\.\d.s/).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).press('Enter');
    await page.getByText('Cancelled', { exact: true }).waitFor();
    await page.evaluate(() => window.andonMock.lose());
    await ask('SELECT 1');
    await page.getByRole('alert').getByText('could not be reached').waitFor();
    await page.evaluate(() => window.andonMock.restore());
    await page.getByRole('button', { name: 'Earlier queries' }).click();
    await page.getByRole('dialog').getByRole('button', { name: /^DELETE FROM samples/ }).click();
    assert.equal(await editor.inputValue(), 'DELETE FROM samples');
    await page.close();
  });

  test('the views and their columns stand beside the query, and a press puts a name into it', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width, height: 844 });
      await enter(run, page);
      await visit(run, page, '/query');
      if (width === 390) await page.getByRole('button', { name: 'Views' }).click();
      await page.locator('summary', { hasText: 'last_values' }).click();
      await page.getByRole('button', { name: /^stale/ }).click();
      await page.waitForFunction(() => document.querySelector('textarea').value === 'stale');
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'TEXTAREA');
      await page.close();
    }
  });

  test('the menu of the account says which version this is, and under which licence', async () => {
    const { page } = await open(run, { width: 390, height: 844, touch: true, density: 'touch' });
    await enter(run, page);
    await page.getByRole('button', { name: /^Your account/ }).click();
    const line = page.getByText('Andon 0.1.0 · Licence: Apache-2.0', { exact: true });
    await line.waitFor();
    const box = await line.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 390 && box.y + box.height <= 844, JSON.stringify(box));
    assert.deepEqual(await findings(page), []);
    await page.close();
  });

  test('the keyboard help opens at its title, and its end is reached by keys', async () => {
    for (const [width, height, density] of [[390, 844, 'touch'], [1280, 800, 'normal'], [1280, 600, 'touch']]) {
      const { page } = await open(run, { width, height, density, touch: density === 'touch' });
      await enter(run, page);
      await page.keyboard.press('?');
      const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
      await dialog.waitFor();
      assert.equal(await dialog.evaluate((e) => e.scrollTop), 0, `${width} px`);
      assert.ok((await dialog.getByRole('heading').boundingBox()).y >= 0);
      await page.keyboard.press('Tab');
      const close = dialog.getByRole('button', { name: 'Close' });
      assert.equal(await close.evaluate((e) => e === document.activeElement), true);
      // Its end is reached by keys, and then the title and the way out are still in sight. Every page has its key.
      await page.keyboard.press('End');
      await page.waitForFunction(() => {
        const box = document.querySelector('dialog[open]');
        return box.scrollTop + box.clientHeight >= box.scrollHeight - 1;
      });
      await dialog.getByText('g u', { exact: true }).waitFor();
      const edge = await dialog.boundingBox();
      assert.ok(edge.y >= 0 && edge.y + edge.height <= height, `${width}×${height}: the dialog is on the screen`);
      for (const part of [dialog.getByRole('heading'), close, dialog.locator('dd').last()]) {
        const box = await part.boundingBox();
        assert.ok(box.y >= edge.y && box.y + box.height <= edge.y + edge.height, `${width}×${height}`);
      }
      await page.keyboard.press('Enter');
      await dialog.waitFor({ state: 'detached' });
      await page.close();
    }
  });

  test('German says all of it, without sideways scroll', async () => {
    const { page, context, faults } = await open(run, { width: 360, height: 740 });
    await enter(run, page);
    await context.addInitScript(() => localStorage.setItem('andon.locale', 'de'));
    for (const path of Object.values(PAGES)) {
      await visit(run, page, path);
      await page.waitForTimeout(200);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, path);
    }
    await page.getByRole('heading', { name: 'Diese Seite gibt es nicht' }).waitFor();
    assert.deepEqual(faults, []);
    await page.close();
  });

  /** How much of its width each curve of the overview fills, and what stands below it. */
  const curves = (page) =>
    page.evaluate(() =>
      [...document.querySelectorAll('article svg[preserveAspectRatio=none]')].slice(0, 6).map((svg) => {
        const box = svg.querySelector('path').getBBox();
        const left = Math.max(0, box.x);
        return { filled: (Math.min(240, box.x + box.width) - left) / 240, words: svg.closest('article').querySelector('.caption').textContent };
      }),
    );

  test('a young curve fills its room and says how much it shows; an old one shows an hour', async () => {
    const young = await open(run, { seed: { 'mock.young': '1' } });
    await enter(run, young.page);
    await visit(run, young.page, '/overview');
    await young.page.waitForFunction(() => [...document.querySelectorAll('article svg[preserveAspectRatio=none] path')].slice(0, 6).every((path) => path.getAttribute('d').length > 100));
    for (const { filled, words } of await curves(young.page)) {
      assert.ok(filled > 0.9, `${words} fills ${filled}`);
      assert.match(words, /last \d0\u202fs/);
      assert.match(words, /\d.?…/, 'low and high');
    }
    await young.page.close();
    const old = await open(run);
    await enter(run, old.page);
    await visit(run, old.page, '/overview');
    await old.page.waitForFunction(() => [...document.querySelectorAll('article svg[preserveAspectRatio=none] path')].slice(0, 6).every((path) => path.getAttribute('d').length > 100));
    for (const { words } of await curves(old.page)) assert.match(words, /last 1\u202fh/);
    await old.page.close();
  });

  test('tiles leave no hole, stand on one line, and an alarm moves none of them', async () => {
    for (const [width, height, columns] of [[390, 844, 1], [1280, 800, 2], [1920, 1080, 4], [3840, 2160, 4]]) {
      const { page } = await open(run, { width, height });
      await enter(run, page);
      await visit(run, page, '/overview');
      const places = () =>
        page.evaluate(() =>
          [...document.querySelectorAll('.tiles')].map((group) =>
            [...group.querySelectorAll('article')].map((tile) => {
              const box = tile.getBoundingClientRect();
              const numbers = [...tile.querySelectorAll('.num b')].map((e) => Math.round(e.getBoundingClientRect().bottom - box.top));
              return { x: Math.round(box.x), y: Math.round(box.y), tall: Math.round(box.height), numbers: numbers.join() };
            }),
          ),
        );
      const before = await places();
      for (const group of before) {
        assert.equal(new Set(group.map((t) => t.x)).size, columns, `${width} px: columns`);
        assert.equal(group.length % columns, 0, `${width} px: a hole`);
        for (const { y, tall } of group) assert.ok(group.every((t) => t.y !== y || t.tall === tall), `${width} px: heights`);
      }
      const tiles = before.flat();
      assert.equal(new Set(tiles.map((t) => t.numbers)).size, 1, `${width} px: numbers of all tiles stand at the same height`);
      if (width >= 1920) {
        const end = await page.evaluate(() => [...document.querySelectorAll('article')].at(-1).getBoundingClientRect().bottom / innerHeight);
        assert.ok(end > 0.85 && end <= 1, `${width} px: the screen is used, to ${end}`);
      }
      await page.evaluate(() => window.andonMock.flood(1000));
      await page.waitForFunction(() => [...document.querySelectorAll('article')].every((tile) => tile.querySelector('.alarm')));
      assert.deepEqual(await places(), before, `${width} px: an alarm moved a tile`);
      await page.close();
    }
  });

  test('the demo takes one line, says all of it when asked, and leaves a mark when hidden', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width });
      await enter(run, page);
      const line = page.locator('.demo');
      assert.ok((await line.boundingBox()).height <= 34, `${width} px`);
      await line.getByRole('button', { name: 'Details' }).click();
      await page.getByText('Commands reach no device.').last().waitFor({ state: 'visible' });
      await page.getByRole('button', { name: 'Hide this line' }).click();
      await line.waitFor({ state: 'detached' });
      await page.reload();
      const mark = page.getByRole('button', { name: 'What is simulated' });
      await mark.click();
      await page.getByText('Commands reach no device.').last().waitFor({ state: 'visible' });
      await page.close();
    }
  });

  test('a failed connector says in the list what happened, for how long, and what to do', async () => {
    for (const width of [390, 1000, 1280]) {
      const { page } = await open(run, { width });
      await enter(run, page);
      await visit(run, page, '/connectors');
      const row = page.getByRole('row', { name: /Line 2 labeller/ }).or(page.locator('tr', { hasText: 'Line 2 labeller' })).first();
      const words = (await row.innerText()).replaceAll('\u202f', ' ');
      assert.match(words, /for 23 min/);
      assert.match(words, /No connection to 10\.20\.1\.31:502: the host cannot be reached\./);
      assert.match(words, /What to do:\s+Check that the device is on/);
      assert.match(await page.locator('tr', { hasText: 'Line 2 PLC' }).innerText(), /over since then/);
      await page.close();
    }
  });

  test('a device that refuses a tag is connected in part, and what to do is not taken for done', async () => {
    for (const width of [390, 1280]) {
      const { page } = await open(run, { width });
      await enter(run, page);
      await visit(run, page, '/connectors');
      const words = await page.locator('tr', { hasText: 'Packer' }).innerText();
      assert.match(words, /Connected in part/);
      assert.match(words, /What to do:\s+Check `table` and `address`/);
      assert.doesNotMatch(words, /over since then/);
      await page.getByRole('button', { name: 'Packer', exact: true }).click();
      const drawer = page.getByRole('dialog', { name: 'Packer' }).or(page.locator('aside', { hasText: 'Packer' })).first();
      assert.match(await drawer.innerText(), /4, 1 refused by the device/);
      await page.close();
    }
  });

  test('whom a Sparkplug host hears, what no tag takes, and the document for it are found from the list', async () => {
    for (const width of [390, 1280]) {
      const { page, context, faults } = await open(run, { width });
      await context.grantPermissions(['clipboard-read', 'clipboard-write']).catch(() => null);
      await enter(run, page);
      await visit(run, page, '/connectors');
      await page.getByRole('button', { name: 'Line 3, Sparkplug' }).click();
      await page.getByRole('link', { name: 'Edge nodes and found metrics' }).click();
      const nodes = page.locator('section', { has: page.getByRole('heading', { name: 'Edge nodes and devices of Line 3, Sparkplug' }) });
      const first = (await nodes.locator('tbody tr').first().innerText()).replaceAll('\n', ' ');
      assert.match(first, /Not online.*line3\/palletiser.*3.*are missing from number 117 on/);
      assert.match(await nodes.locator('tbody tr').nth(1).innerText(), /Device of line3\/palletiser:\s*robot/);
      const found = page.locator('section', { has: page.getByRole('heading', { name: 'Found, and no tag takes it' }) });
      assert.equal(await found.locator('tbody tr').count(), 100, 'not all rows at once');
      await found.getByRole('button', { name: 'Show more (100)' }).click();
      assert.equal(await found.locator('tbody tr').count(), 200);
      assert.match(await found.locator('tr', { hasText: 'Recipe/table' }).innerText(), /becomes no tag/);
      assert.equal(await found.locator('tr', { hasText: 'scale/weight' }).count(), 0, 'it is a tag');
      await page.getByRole('searchbox', { name: 'Find a metric' }).fill('scale');
      await page.getByText('No metric has this in its name.').waitFor();
      await page.getByRole('button', { name: 'With those of tags' }).click();
      assert.match(await page.locator('tr', { hasText: 'scale/weight' }).innerText(), /is a tag[\s\S]*12\.5/);
      assert.ok(page.url().includes('find=scale') && page.url().includes('all=1'), page.url());
      const document = page.getByRole('group', { name: 'Proposed document' });
      assert.match(await document.innerText(), /metric = "Motor\/speed"/);
      const saved = page.waitForEvent('download');
      await page.getByRole('button', { name: 'Download' }).click();
      assert.equal((await saved).suggestedFilename(), 'floor.toml');
      await page.getByRole('link', { name: 'All connections' }).click();
      await page.getByRole('heading', { name: 'Field connections' }).waitFor();
      assert.deepEqual(faults, []);
      await page.close();
    }
  });

  test('what devices announce is listed with what becomes of it and why, also two values of one name', async () => {
    for (const width of [390, 1280]) {
      const { page, faults } = await open(run, { width });
      await enter(run, page);
      await visit(run, page, '/connectors');
      await page.getByRole('button', { name: 'Devices that announce themselves' }).click();
      await page.getByRole('link', { name: 'Announced values' }).click();
      const found = page.locator('section', { has: page.getByRole('heading', { name: 'Announced, and no tag takes it' }) });
      await found.locator('tbody tr').first().waitFor();
      assert.equal(await found.locator('tbody tr').count(), 6);
      assert.match(await found.locator('tbody tr').first().innerText(), /Proposed\s+home\/cellar\/pump\/temperature/);
      assert.match(await found.locator('tbody tr').nth(1).innerText(), /Same as another[\s\S]*The same value is proposed/);
      assert.match(await found.locator('tr', { hasText: 'Boiler room' }).innerText(), /Refused[\s\S]*want it commanded differently/);
      assert.match(await found.locator('tr', { hasText: 'Stairs' }).innerText(), /becomes no tag[\s\S]*Not understood[\s\S]*off_delay/);
      assert.match(await found.locator('tr', { hasText: 'Old meter' }).innerText(), /Taken back/);
      await found.getByText('At least 12 more are not listed.').waitFor();
      assert.doesNotMatch(await page.locator('main').innerText(), /edge node|metric|birth/i);
      await page.getByRole('button', { name: 'With those of tags' }).click();
      const lamp = page.locator('tr', { hasText: 'Living room/Lamp' });
      assert.match(await lamp.innerText(), /Is a tag[\s\S]*true/);
      assert.deepEqual(faults, []);
      await page.close();
    }
  });

  test('a value has the digits of its tag in the timeline, too, in the language of the page', async () => {
    for (const [locale, pressure, level] of [['en', '3.10', /level high: \d\d\.\d\u202f%/], ['de', '3,10', /level high: \d\d,\d\u202f%/]]) {
      const { page, context } = await open(run);
      await context.addInitScript((locale) => localStorage.setItem('andon.locale', locale), locale);
      await page.goto(run.url);
      await page.locator('input[autocomplete=username]').fill('admin');
      await page.locator('input[type=password]').fill('lantern-light');
      await page.keyboard.press('Enter');
      await page.locator('nav').first().waitFor();
      await visit(run, page, '/timeline?path=works/nord/bottling/line1/filler/pressure_sp');
      const told = `Pressure set point → ${pressure}\u202fbar, confirmed`;
      await page.getByRole('link', { name: told, exact: true }).first().click();
      const drawer = page.getByRole('complementary', { name: told });
      assert.match(await drawer.locator('dl').innerText(), new RegExp(`${pressure}\u202fbar`));
      await visit(run, page, `/timeline?path=${TANK}/level`);
      await page.locator('[role=row][data-index] .c-what').getByText(level).first().waitFor();
      await page.close();
    }
  });

  test('events of one millisecond stand in the order they happened, newest first, each once', async () => {
    const { page } = await open(run);
    await enter(run, page);
    await visit(run, page, '/timeline');
    const steps = () => page.evaluate(() => [...document.querySelectorAll('[role=row][data-index] .c-what')].map((e) => e.textContent.trim()).filter((text) => text.startsWith('Step')));
    await page.mouse.move(5, 5);
    await page.evaluate(() => window.andonMock.burst(5));
    await page.getByText('Step 1 of 5').waitFor();
    const wanted = ['Step 5 of 5', 'Step 4 of 5', 'Step 3 of 5', 'Step 2 of 5', 'Step 1 of 5'];
    assert.deepEqual(await steps(), wanted);
    // The same while a page is being loaded, and as the server tells it.
    await page.evaluate(() => {
      [...document.querySelectorAll('.kinds button')].find((button) => button.textContent.trim() === 'System').click();
      window.andonMock.burst(3);
    });
    await page.getByText('Step 1 of 3').waitFor();
    await page.waitForTimeout(300);
    assert.deepEqual(await steps(), ['Step 3 of 3', 'Step 2 of 3', 'Step 1 of 3', ...wanted]);
    await page.close();
  });

  test('the timeline says that it loads only while it does, and loads what is earlier near the end of the list', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    await page.evaluate(() => window.andonMock.burst(250));
    await page.evaluate((path) => {
      history.pushState(null, '', path);
      dispatchEvent(new PopStateEvent('popstate'));
    }, '/timeline');
    const count = () => page.locator('[role=grid]').getAttribute('aria-rowcount').then(Number);
    const foot = page.locator('.foot[role=status]');
    await page.locator('[role=row][data-index]').first().waitFor();
    assert.equal(await count(), 101);
    await page.waitForTimeout(400);
    assert.equal(await foot.innerText(), 'Scroll down for earlier events.');
    await page.mouse.move(700, 500);
    for (const rows of [201, 301]) {
      await page.locator('[role=grid]').evaluate((e) => e.scrollTo(0, e.scrollHeight - e.clientHeight - 80));
      await page.waitForFunction((rows) => Number(document.querySelector('[role=grid]').getAttribute('aria-rowcount')) >= rows, rows);
    }
    for (let i = 0; i < 5 && (await foot.innerText()) !== 'These are all events of the range.'; i += 1) {
      await page.locator('[role=grid]').evaluate((e) => e.scrollTo(0, e.scrollHeight));
      await page.waitForTimeout(200);
    }
    assert.equal(await foot.innerText(), 'These are all events of the range.');
    await page.close();
  });

  test('nothing jumps while a page comes in', async () => {
    const { page } = await open(run, { seed: { 'mock.calm': '1' } });
    await enter(run, page);
    for (const path of ['/overview', '/alarms', '/timeline', '/connectors', '/storage', '/query', '/orders', '/orders?view=gantt', '/trace', '/station?path=works/nord/bottling/line1/filler']) {
      await visit(run, page, path);
      const shift = await page.evaluate(
        () =>
          new Promise((done) => {
            let sum = 0;
            new PerformanceObserver((list) => list.getEntries().forEach((e) => (sum += e.hadRecentInput ? 0 : e.value))).observe({ type: 'layout-shift', buffered: true });
            setTimeout(() => done(sum), 1200);
          }),
      );
      assert.ok(shift <= 0.02, `${path} shifted by ${shift}`);
    }
    await page.close();
  });
});
