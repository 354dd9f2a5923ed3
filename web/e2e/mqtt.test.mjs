// The MQTT pages: a tree of 100,000 topics, values as they come, who is there, who may, and a message by hand. On the mock.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, open, real, start, visit } from './browser.mjs';

describe('mqtt', { skip: real }, () => {
  let run;
  before(async () => (run = await start()));
  after(() => run.close());

  /** A page, logged in, closed at the end; it must leave no fault. */
  async function on(look, work) {
    const { page, faults } = await open(run, look);
    await enter(run, page, look.user);
    await work(page);
    assert.deepEqual(faults, []);
    await page.close();
  }
  const row = (page, name) => page.getByRole('row').filter({ hasText: name });

  test('the tree is opened, walked and read by keyboard, and the link shows the same topic', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker');
      const grid = page.getByRole('treegrid', { name: 'Topics' });
      await row(page, 'zigbee2mqtt').waitFor();
      assert.deepEqual(await grid.locator('.name .mono').allTextContents(), ['plant', 'spBv1.0', 'works', 'zigbee2mqtt']);
      await grid.getByRole('row', { name: /^Open zigbee2mqtt/ }).focus();
      await page.keyboard.press('ArrowRight');
      await row(page, 'kitchen').waitFor();
      assert.equal(await grid.locator('[aria-expanded=true]').count(), 1);
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      const climate = row(page, 'climate');
      await climate.waitFor();
      assert.equal(await climate.getAttribute('aria-level'), '3');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'zigbee2mqtt/kitchen/climate' }).waitFor();
      await page.getByRole('group', { name: 'Payload' }).getByText('"humidity"').waitFor();
      assert.match(page.url(), /topic=zigbee2mqtt\/kitchen\/climate/);
      await page.reload();
      await page.getByRole('heading', { name: 'zigbee2mqtt/kitchen/climate' }).waitFor();
      await row(page, 'climate').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('heading', { name: 'zigbee2mqtt/kitchen/climate' }).waitFor({ state: 'detached' });
      await grid.getByRole('row', { name: /^Close kitchen/ }).focus();
      await page.keyboard.press('ArrowLeft');
      await climate.waitFor({ state: 'detached' });
    });
  });

  test('values in sight follow what comes; a silent topic is hatched and says since when', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?topic=plant/line1/press-7/vibration');
      const value = row(page, 'vibration').locator('.c-value');
      await value.waitFor();
      const first = await value.textContent();
      await page.waitForFunction((before) => [...document.querySelectorAll('[role=row]')].find((r) => r.textContent.includes('vibration'))?.querySelector('.c-value')?.textContent !== before, first);
      await visit(run, page, '/broker?topic=plant/line2/labeller/glue');
      const glue = row(page, 'glue');
      await glue.locator('.c-value.hatched').waitFor();
      assert.match(await glue.textContent(), /Silent since \d\d:\d\d:\d\d/);
      await page.getByText(/A message usually comes every 2\.0\s?s/).waitFor();
      // While the link is lost, nothing looks fresh.
      assert.equal(await row(page, 'test').locator('.c-value.hatched').count(), 0);
      await page.evaluate(() => window.andonMock.lose());
      await row(page, 'test').locator('.c-value.hatched').waitFor();
    });
  });

  test('100,000 topics: only what is in sight is in the page and asked for, and the end is one key away', async () => {
    await on({ seed: { 'mock.many': '100000' } }, async (page) => {
      await visit(run, page, '/broker');
      await page.getByRole('button', { name: 'Open field' }).click();
      await row(page, 'sensor-000000').waitFor();
      const grid = page.getByRole('treegrid', { name: 'Topics' });
      assert.equal(await grid.getAttribute('aria-rowcount'), '100006');
      assert.ok((await grid.getByRole('row').count()) < 60);
      await grid.getByRole('row').nth(2).focus();
      const began = Date.now();
      await page.keyboard.press('End');
      await row(page, 'zigbee2mqtt').waitFor();
      await row(page, 'sensor-099999').locator('.c-value').waitFor();
      assert.ok(Date.now() - began < 3000, `${Date.now() - began} ms`);
      // Scrolling from end to end in a hundred steps keeps its pace: no frame is as long as a blink.
      const longest = await page.evaluate(async () => {
        const box = document.querySelector('[role=treegrid]');
        let longest = 0;
        let last = performance.now();
        for (let i = 0; i <= 100; i += 1) {
          box.scrollTop = (box.scrollHeight * i) / 100;
          await new Promise((next) => requestAnimationFrame(next));
          const now = performance.now();
          longest = Math.max(longest, now - last);
          last = now;
        }
        return longest;
      });
      assert.ok(longest < 250, `${longest} ms`);
    });
  });

  test('a topic is found by a part of its name; what is not there is said', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker');
      await page.getByRole('searchbox', { name: 'Find a topic by a part of its name' }).fill('TEMP');
      await page.getByText('1 topic found').waitFor();
      await row(page, 'plant/line1/press-7/temperature').waitFor();
      await page.getByRole('searchbox').first().fill('nothing of the kind');
      await page.getByText('No such topic').waitFor();
    });
  });

  test('who has rights on a branch alone sees the topics that become its tags, and nothing that belongs to the whole node', async () => {
    await on({ user: 'line1' }, async (page) => {
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'MQTT' }).click();
      await page.getByText('You see the topics that become tags of yours.').waitFor();
      const grid = page.getByRole('treegrid', { name: 'Topics' });
      await row(page, 'plant').waitFor();
      assert.deepEqual(await grid.locator('.name .mono').allTextContents(), ['plant']);
      assert.deepEqual(await page.getByRole('group', { name: 'What of MQTT' }).getByRole('button').allTextContents(), ['Topics']);
      await visit(run, page, '/broker?topic=plant/line1/filler/pressure');
      await page.getByRole('heading', { name: 'plant/line1/filler/pressure' }).waitFor();
      await page.getByText('line1-gateway', { exact: true }).waitFor();
      await visit(run, page, '/broker?tab=clients');
      await grid.waitFor();
    });
  });

  test('a client tells why it went, and its connection is ended with a reason', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=clients');
      await row(page, 'labeller-2').getByText(/Closed by the server: keep/).waitFor();
      // Who it is comes first, and the identifier that it was given beside it.
      assert.match(await row(page, 'press-9').innerText(), /press-9\s+auto-019f/);
      await row(page, 'press-9').click();
      await page.getByRole('heading', { name: 'press-9' }).waitFor();
      await page.keyboard.press('Escape');
      await row(page, 'press-7').click();
      await page.getByRole('heading', { name: 'press-7' }).waitFor();
      await page.getByRole('button', { name: 'End the connection' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Reason').fill('It repeats itself');
      await dialog.getByRole('button', { name: 'End the connection' }).click();
      await dialog.getByText('The connection was ended').waitFor();
      await page.keyboard.press('Escape');
      await row(page, 'press-7').getByText('Away').waitFor();
    });
  });

  test('who subscribes to a topic is asked by the topic', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=subscriptions');
      await page.getByText('7 subscriptions').waitFor();
      await page.getByRole('searchbox', { name: 'Who gets a message on this topic?' }).fill('works/buffer/valve/set');
      await page.getByText('1 subscription', { exact: true }).waitFor();
      await row(page, 'buffer-valve').waitFor();
      await page.getByRole('searchbox', { name: 'Who gets a message on this topic?' }).fill('nowhere');
      await page.getByText('Nobody subscribes to it').waitFor();
    });
  });

  test('the dry run answers with the right that decides, and its link holds the question', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=permissions');
      await page.getByLabel('Client identifier or user').fill('buffer-valve');
      await page.getByLabel('Topic', { exact: true }).fill('plant/x');
      await page.getByText('No.', { exact: true }).waitFor();
      await page.getByLabel('Topic', { exact: true }).fill('works/buffer/state');
      await page.getByText('Yes.', { exact: true }).waitFor();
      await page.reload();
      await page.getByText('Yes.', { exact: true }).waitFor();
      assert.match(await page.getByRole('status').first().textContent(), /"works\/buffer\/#" lets it publish there/);
      await page.getByLabel('Client identifier or user').fill('nobody-here');
      await page.getByRole('alert').waitFor();
    });
  });

  test('a message is published by hand and seen by who looks; a command is refused with what to do', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=try');
      await page.getByLabel('Topic filter').fill('plant/line1/#');
      await page.getByRole('button', { name: 'Look', exact: true }).click();
      const seen = page.getByRole('list', { name: 'Messages, the newest first' });
      await seen.getByText('plant/line1/filler/pressure').first().waitFor();
      await page.getByRole('button', { name: 'Hold still' }).click();
      const held = await seen.textContent();
      await page.waitForFunction(() => /\(\d+\)/.test([...document.querySelectorAll('button')].find((b) => b.textContent.includes('Hold still')).textContent));
      assert.equal(await seen.textContent(), held, 'the list stands still');
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.getByLabel('Topic filter').fill('a/#/b');
      await page.getByRole('button', { name: 'Look', exact: true }).click();
      await page.getByText('must be the last level').waitFor();

      await page.getByLabel('Topic', { exact: true }).fill('works/buffer/valve/set');
      await page.getByLabel('Payload').fill('open');
      await page.getByRole('button', { name: /^Publish 4/ }).click();
      await page.getByRole('alert').getByText(/commands a tag.*write the tag instead/).waitFor();
      await page.getByLabel('Topic', { exact: true }).fill('plant/by/hand');
      await page.getByRole('button', { name: 'QoS 1' }).click();
      await page.getByRole('button', { name: /^Publish 4/ }).click();
      await page.getByText(/stored, and passed on to 2 clients/).waitFor();
      await page.getByRole('button', { name: 'Topics', exact: true }).click();
      await page.getByRole('searchbox').first().fill('by/hand');
      await row(page, 'plant/by/hand').click();
      await page.getByText('admin, by hand', { exact: true }).waitFor();
    });
  });

  test('who may not configure may look, and is told what publishing takes', async () => {
    await on({ user: 'viewer' }, async (page) => {
      await visit(run, page, '/broker?tab=try');
      await page.getByText('Publishing needs the role engineer').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Permissions' }).count(), 0);
      await visit(run, page, '/broker?tab=clients&client=press-7');
      await page.getByRole('heading', { name: 'press-7' }).waitFor();
      assert.equal(await page.getByRole('button', { name: 'End the connection' }).count(), 0);
    });
  });

  test('a topic rule tells who broke it, and what is in quarantine is released or thrown away with a reason', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=rules');
      await page.getByText('3 rules, 3 messages in quarantine').waitFor();
      await row(page, 'vibration').getByText('Volatile', { exact: true }).waitFor();
      await row(page, 'names').getByText('tells what breaks it').waitFor();
      await row(page, 'names').getByText('Kept for 7\u202fd').waitFor();
      await row(page, 'names').click();
      await page.getByText('7\u202fd, 256\u202fMiB at most').waitFor();
      await row(page, 'labels').click();
      await page.getByRole('heading', { name: 'labels' }).waitFor();
      await page.getByText('The payload is JSON that fits the schema').waitFor();
      const kept = page.locator('li').filter({ has: page.getByRole('button', { name: 'Release' }) });
      await kept.nth(2).waitFor();
      await kept.filter({ hasText: 'B-1127' }).getByRole('button', { name: 'Release' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('although it breaks its rule').waitFor();
      await dialog.getByText('A newer message is retained on this topic').waitFor();
      await dialog.getByLabel('Reason').fill('Counted by hand');
      await dialog.getByRole('button', { name: 'Release' }).click();
      await dialog.getByText('The message was published').waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('B-1127').waitFor({ state: 'detached' });
      await kept.first().getByRole('button', { name: 'Release' }).click();
      await dialog.getByText('although it breaks its rule').waitFor();
      assert.equal(await dialog.getByText('A newer message is retained').count(), 0);
      await page.keyboard.press('Escape');
      await kept.first().getByRole('button', { name: 'Throw away' }).click();
      await dialog.getByLabel('Reason').fill('Nonsense');
      await dialog.getByRole('button', { name: 'Throw away' }).click();
      await dialog.getByText('The message was thrown away').waitFor();
      await page.keyboard.press('Escape');
      await kept.nth(1).waitFor({ state: 'detached' });
      assert.equal(await kept.count(), 1);
    });
  });

  test('all of a publisher, and all of a rule, are thrown away at once, and how many that is stands there before and after', async () => {
    await on({}, async (page) => {
      await visit(run, page, '/broker?tab=rules&rule=labels');
      const kept = page.locator('li').filter({ has: page.getByRole('button', { name: 'Release' }) });
      const dialog = page.getByRole('dialog');
      await kept.filter({ hasText: 'B-1127' }).getByRole('button', { name: 'All 2 of labeller-2' }).click();
      await dialog.getByText('Nobody will get these 2 messages').waitFor();
      await dialog.getByLabel('Reason').fill('Its printer was mended');
      await dialog.getByRole('button', { name: 'Throw away' }).click();
      await dialog.getByText('2 messages were thrown away').waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('B-1127').waitFor({ state: 'detached' });
      assert.equal(await kept.count(), 1);
      assert.equal(await page.getByRole('button', { name: /^Throw away all/ }).count(), 0);
      await page.reload();
      await page.getByRole('button', { name: 'Throw away all 3' }).click();
      await dialog.getByText('Nobody will get these 3 messages').waitFor();
      await dialog.getByLabel('Reason').fill('All nonsense');
      await dialog.getByRole('button', { name: 'Throw away' }).click();
      await dialog.getByText('3 messages were thrown away').waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('Nothing is in quarantine.').waitFor();
    });
  });

  test('without a message and a client the pages say so', async () => {
    await on({ seed: { 'mock.empty': '1' } }, async (page) => {
      await visit(run, page, '/broker');
      await page.getByText('No topic yet').waitFor();
      await visit(run, page, '/broker?tab=clients');
      await page.getByText('No MQTT client', { exact: true }).waitFor();
      await visit(run, page, '/broker?tab=subscriptions');
      await page.getByText('No subscription', { exact: true }).waitFor();
      await visit(run, page, '/broker?tab=rules');
      await page.getByText('No topic rules', { exact: true }).waitFor();
    });
  });
});
