// The browser and the way in, shared by all browser tests.
// Without ANDON_URL the mock build is served and used; with it the same tests run against that server
// (ANDON_USER and ANDON_PASSWORD, or ANDON_LINK, log in). MOCK_DIST serves a mock build from another folder.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FOLDER = process.env.MOCK_DIST ?? new URL('../node_modules/.cache/mock-dist', import.meta.url).pathname;

export const real = process.env.ANDON_URL !== undefined;
export const USER = process.env.ANDON_USER ?? 'admin';
export const PASSWORD = process.env.ANDON_PASSWORD ?? 'lantern-light';

export async function start() {
  const server = real ? { url: process.env.ANDON_URL.replace(/\/$/, ''), close: () => undefined } : await serve(FOLDER);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
  return {
    url: server.url,
    browser,
    async close() {
      await browser.close();
      server.close();
    },
  };
}

/**
 * A fresh page that keeps what must not happen: console errors and requests to other origins.
 * `look`: {width, height, theme, density, phone}.
 */
export async function open(run, look = {}) {
  const { width = 1280, height = 800, theme = 'light', density = 'normal', touch = false } = look;
  const context = await run.browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    hasTouch: touch,
    locale: 'en-GB',
    ignoreHTTPSErrors: true,
    reducedMotion: look.reducedMotion ?? 'no-preference',
  });
  await context.addInitScript(
    ([theme, density, seed]) => {
      localStorage.setItem('andon.theme', theme);
      localStorage.setItem('andon.density', density);
      localStorage.setItem('andon.locale', 'en');
      for (const [key, value] of Object.entries(seed)) sessionStorage.setItem(key, value);
    },
    [theme, density, look.seed ?? {}],
  );
  const page = await context.newPage();
  const faults = [];
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`page: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== new URL(run.url).origin) faults.push(`foreign request: ${request.url()}`);
  });
  return { page, faults, context };
}

/** Logs in by name and password, or by the link. */
export async function enter(run, page, user = USER, password = PASSWORD) {
  if (real && process.env.ANDON_LINK) {
    await page.goto(process.env.ANDON_LINK);
  } else {
    await page.goto(`${run.url}/`);
    await page.getByLabel('Name').fill(user);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Log in' }).click();
  }
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
}

/** Opens a page of the UI without losing the session. */
export async function visit(run, page, path) {
  await page.goto(`${run.url}${path}`);
  await page.locator('main h1, header h1').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('main')?.textContent?.includes('Loading'));
}

/** Shows `work` the page at `path` of a calm plant, logged in; no fault may be left but those with a `known` word in them. */
export async function shown(run, path, look, work, known = []) {
  const { page, faults } = await open(run, { ...look, seed: { 'mock.calm': '1', ...look.seed } });
  await enter(run, page, look.user);
  await visit(run, page, path);
  await work(page);
  assert.deepEqual(faults.filter((fault) => !known.some((word) => fault.includes(word))), []);
  await page.close();
}

/** What axe finds, put in through the debugger so that the page's own policy stays as strict as it is. */
export async function findings(page) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(' ')} ${n.any?.[0]?.message ?? ''}`).slice(0, 4).join(' | ')}`);
}
