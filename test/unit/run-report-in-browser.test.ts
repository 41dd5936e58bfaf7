import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type RunState, renderRunReport } from '@unified-kits/domain';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { REPORTS } from '../support/run-reports.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Run in the page, which this compiler does not know. */
const BACKGROUND = 'getComputedStyle(document.body).backgroundColor';
const WIDTH = 'document.documentElement.scrollWidth';
const FOCUSED = '[...document.querySelectorAll("*")].indexOf(document.activeElement)';
const CUT_OFF = `[...document.querySelectorAll('main *')]
  .filter((one) => one.closest('.scroll') === null && one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))`;
/** Where the keyboard stops. */
const STOPS = 'a[href], summary, [tabindex="0"]';

const opened = await openBrowser();
if (opened.browser === undefined) process.emitWarning(`skipped: ${opened.reason}`);
const directory = mkdtempSync(join(tmpdir(), 'run-report-'));
afterAll(async () => {
  await opened.browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(opened.browser === undefined)('a report in a browser', () => {
  const pages: Page[] = [];
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
  });

  /** The report as a file, as people open it; with all that the browser asked for and complained of. */
  const open = async (state: RunState, { width = 1280, bypassCSP = false } = {}) => {
    const file = join(directory, `${state}.html`);
    writeFileSync(file, renderRunReport(REPORTS[state]));
    const context = await opened.browser?.newContext({
      viewport: { width, height: 800 },
      bypassCSP,
    });
    if (context === undefined) throw new TypeError('a browser is open');
    const page = await context.newPage();
    pages.push(page);
    const asked: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    const url = pathToFileURL(file).href;
    await page.goto(url);
    return { page, url, asked, complaints };
  };

  it.each(['no-go', 'stopped', 'rolled-back'] as const)(
    'has nothing that axe objects to, light and dark: "%s"',
    async (state) => {
      // The page lets no script run: axe alone is let in.
      const { page } = await open(state, { bypassCSP: true });
      await page.addScriptTag({ path: AXE });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const { violations, passes } = await page.evaluate<AxeResults>('axe.run()');
        expect(
          violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
          colorScheme,
        ).toEqual([]);
        expect(passes.map(({ id }) => id)).toEqual(
          expect.arrayContaining(['color-contrast', 'svg-img-alt', 'document-title']),
        );
      }
    },
  );

  it('asks for nothing but itself, and is drawn by its own style under its own policy', async () => {
    const { page, url, asked, complaints } = await open('rolled-back');
    expect(asked.filter((one) => one !== 'data:,')).toEqual([url]);
    expect(complaints).toEqual([]);
    await page.emulateMedia({ colorScheme: 'light' });
    expect(await page.evaluate(BACKGROUND)).toBe('rgb(247, 247, 245)');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await page.evaluate(BACKGROUND)).toBe('rgb(20, 22, 26)');
  });

  it.each([375, 1280])('never scrolls sideways as a page, %d pixels wide', async (width) => {
    for (const state of ['no-go', 'stopped', 'rolled-back'] as const) {
      const { page } = await open(state, { width });
      expect(await page.evaluate(WIDTH), state).toBeLessThanOrEqual(width);
      // Nothing is cut off either: what is wider scrolls by itself.
      expect(await page.evaluate(CUT_OFF), state).toEqual([]);
    }
  });

  it('lets the keyboard reach every link, every table, every picture and what is folded', async () => {
    const { page } = await open('rolled-back', { width: 375 });
    const wanted = await page.locator(STOPS).count();
    const reached = new Set<unknown>();
    for (let presses = 0; presses < wanted; presses += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(FOCUSED));
    }
    expect(wanted).toBeGreaterThan(20);
    expect(reached.size).toBe(wanted);
    // Pictures and tables are in what is reached.
    expect(await page.locator('svg, table').count()).toBeGreaterThan(10);
    expect(await page.locator('[tabindex="0"] :is(svg, table)').count()).toBe(
      await page.locator('svg, table').count(),
    );
    await page.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('details').first().getAttribute('open')).not.toBeNull();
  });

  it('prints in whole, what is folded on the screen with it, dark on light', async () => {
    const { page } = await open('rolled-back');
    expect(await page.locator('details table').first().isVisible()).toBe(false);
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await page.evaluate(BACKGROUND)).toBe('rgb(255, 255, 255)');
    expect(await page.locator('details table').first().isVisible()).toBe(true);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect(pdf.length).toBeGreaterThan(20_000);
  });
});
