import { existsSync } from 'node:fs';
import sparticuz from '@sparticuz/chromium';
import { type Browser, chromium } from 'playwright-core';

const SYSTEM_BROWSERS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
/** Of the bundled browser's: what would hide a fault, and what makes it end with its first page. */
const UNWANTED = ['--single-process', '--disable-web-security', '--allow-running-insecure-content'];

/** The system's Chromium, else the one that comes as a package; undefined where none can start, with the reason. */
export const openBrowser = async (): Promise<
  { readonly browser: Browser } | { readonly browser: undefined; readonly reason: string }
> => {
  const system = SYSTEM_BROWSERS.find((path) => existsSync(path));
  try {
    const browser = await chromium.launch(
      system === undefined
        ? {
            executablePath: await sparticuz.executablePath(),
            args: sparticuz.args.filter((argument) => !UNWANTED.includes(argument)),
          }
        : { executablePath: system, args: ['--no-sandbox'] },
    );
    return { browser };
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return { browser: undefined, reason: `no Chromium can start here: ${reason}` };
  }
};
