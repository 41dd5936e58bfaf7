import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiOver, undescribed } from '../support/contract.ts';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { readRecorded, renewalHint, renewing, writeRecorded } from '../support/recorded.ts';
import { goldenDatabase } from './golden/data.ts';
import { GOLDEN, type GoldenFile } from './golden/exchanges.ts';
import { type Exchange, Replay } from './golden/replay.ts';

const fileOf = (name: GoldenFile) => new URL(`golden/${name}.json`, import.meta.url);

/** The legacy binding first: it is the one that is recorded. */
const BINDINGS = [
  ['legacy', {}],
  ['mirrored', { unifiedReads: true }],
  ['dual-write', { unifiedReads: true, unifiedWrites: true, dualWrite: true }],
  ['unified', { unifiedReads: true, unifiedWrites: true }],
  ['closed', { unifiedReads: true, unifiedWrites: true }],
] as const;

describe.each(BINDINGS)('the recorded contract in stage %s', (stage, flags) => {
  let legacy: LegacyDatabase;
  let rig: TestService;
  let replay: Replay;
  let faultsOf: ReturnType<typeof undescribed>;
  beforeAll(async () => {
    legacy = await goldenDatabase();
    rig = await serviceOn(legacy);
    if (stage !== 'legacy') {
      const binding = await installed(legacy);
      await migrateTo(legacy.db, binding, stage);
      if (stage === 'mirrored' || stage === 'dual-write')
        expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
    }
    rig.flags.set(flags);
    await rig.flags.read();
    replay = new Replay(apiOver(rig.service, legacy.mapping));
    faultsOf = undescribed(legacy.mapping, await rig.service.idTypes());
  });
  afterAll(async () => {
    await rig.close();
    await legacy.drop();
  });

  it.each(Object.keys(GOLDEN) as GoldenFile[])('is answered byte for byte: %s', async (name) => {
    const given: Exchange[] = [];
    for (const request of GOLDEN[name]) {
      const { exchange, answer } = await replay.ask(request);
      expect(faultsOf(request.method, answer), request.name).toEqual([]);
      given.push(exchange);
    }
    const file = fileOf(name);
    if (stage === 'legacy' && renewing()) writeRecorded(file, given);
    expect(given, renewalHint(file, 'test/integration/golden.test.ts')).toEqual(readRecorded(file));
  });

  it('was answered by the binding of this stage, without a second try', () => {
    expect(rig.counts).toEqual({ redirected: 0, staleReadAvoided: 0 });
  });
});
