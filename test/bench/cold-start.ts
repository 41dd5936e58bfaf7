// What a cold start of each function costs before any of its code is called: how large the bundle is, and
// how long a fresh process takes to import it, with its layers. Run it with `node test/bench/cold-start.ts`.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FUNCTION_FOLDERS, layOut } from '../support/deployed.ts';

/** Fresh processes a function; the median of their times counts. */
const RUNS = 7;

const AIM = { importMs: 300, bundleBytes: 1_000_000 };

const MODULE = `
  const [began, before] = [performance.now(), process.cpuUsage()];
  await import('./var/task/index.mjs');
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ ms: performance.now() - began, cpuMs: (user + system) / 1000 }));
  process.exit();
`;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const bytesOf = (directory: string): number =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(directory, name)))
    .reduce((sum, found) => sum + (found.isFile() ? found.size : 0), 0);

const kilobytes = (bytes: number): string => (bytes / 1000).toFixed(0);

/** What an import took: on the clock, and of processors, which other work on the machine does not stretch. */
const importTime = z.object({ ms: z.number(), cpuMs: z.number() });

const deployed = layOut();
try {
  const times = new Map<string, z.output<typeof importTime>[]>(
    FUNCTION_FOLDERS.map((folder) => [folder, []]),
  );
  // Interleaved, so that whatever else the machine does falls on all of them.
  for (let run = 0; run < RUNS; run += 1)
    for (const [folder, measured] of times)
      measured.push(importTime.parse(JSON.parse(await deployed.run(folder, MODULE))));

  console.log(
    `| Function | Bundle, kB | Import, ms (median of ${RUNS}) | least – most | of processors, ms |`,
  );
  console.log('|---|---|---|---|---|');
  let late = 0;
  for (const [folder, measured] of times) {
    const bytes = deployed.metafiles.get(folder)?.outputs['index.mjs']?.bytes ?? Number.NaN;
    const clock = measured.map((one) => one.ms);
    const ms = median(clock);
    const cpuMs = median(measured.map((one) => one.cpuMs));
    if (!(ms <= AIM.importMs && bytes <= AIM.bundleBytes)) late += 1;
    console.log(
      `| ${folder} | ${kilobytes(bytes)} | ${ms.toFixed(0)} | ${Math.min(...clock).toFixed(0)} – ${Math.max(...clock).toFixed(0)} | ${cpuMs.toFixed(0)} |`,
    );
  }
  console.log(
    `\nLayers, merged and with their source maps: ${kilobytes(bytesOf(deployed.opt))} kB. ` +
      `Aim: import within ${AIM.importMs} ms, bundles below ${kilobytes(AIM.bundleBytes)} kB: ${late === 0 ? 'met by all' : `missed by ${late}`}.`,
  );
} finally {
  deployed.remove();
}
