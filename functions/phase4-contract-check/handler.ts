import { randomUUID } from 'node:crypto';
import { bindService, notedAmong, readStage, recordEvent, sampleKits } from '@unified-kits/data';
import { type Kit, type Mapping, SOURCES, type Store } from '@unified-kits/domain';
import { z } from 'zod';
import { createApi } from '../phase4-api/api.ts';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { kitsServiceOf } from '../runtime/kits-service.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { callersOf } from './callers.ts';
import { assertInStep, checkContract, keyText } from './check-contract.ts';
import { contractRequests, REQUEST_KINDS } from './contract-requests.ts';
import { judgeContract, MOST_TOLD } from './judge-contract.ts';

const PHASE = 'phase4-contract-check';

const event = z.object({
  action: z.literal('check').default('check'),
  /** Kits of each source. */
  sample: z.int().min(1).max(2_000).default(200),
  /** The same seed asks for the same kits; any by default. */
  seed: z.string().min(1).max(100).optional(),
  kinds: z
    .array(z.enum(REQUEST_KINDS))
    .min(1)
    .default([...REQUEST_KINDS]),
  actor: z.string().trim().min(1).max(200).default('operator'),
  /** Of a workflow that it is a step of. */
  run: z.object({ execution: z.string(), actor: z.string() }).optional(),
  batchId: z.string().optional(),
});
type Asked = z.output<typeof event>;

const apiOf = async ({ environment }: Call, store: Store) => {
  const { service, mapping } = await kitsServiceOf(environment, PHASE, store);
  const deprecation = environment.legacyApi;
  return { mapping, answers: createApi({ service, mapping, deprecation, shown: () => {} }) };
};

/** Real kits of both sources by turns, and which of them wait to be re-synchronised. */
const sampled = async (
  { db }: Call,
  mapping: Mapping,
  { sample, seed }: { readonly sample: number; readonly seed: string },
) =>
  db.transaction({ asEngine: true, readOnly: true }, async (session) => {
    const { stage } = await readStage(session);
    assertInStep(stage);
    const service = await bindService(session, mapping);
    const found: (readonly Kit[])[] = [];
    for (const source of SOURCES)
      found.push(await sampleKits(session, service, source, { rows: sample, seed }));
    const kits = Array.from({ length: sample }, (_, n) =>
      found.flatMap((of) => of[n] ?? []),
    ).flat();
    const noted = new Set((await notedAmong(session, kits)).map(keyText));
    return { stage, noted, kits: kits.filter((kit) => !noted.has(keyText(kit))) };
  });

const check = async (asked: Asked, call: Call) => {
  const { run, batchId, kinds, sample, seed = randomUUID() } = asked;
  if (run !== undefined && batchId !== undefined)
    await enterPhase(call, run.execution, batchId, { guarded: false });
  const legacy = await apiOf(call, 'legacy');
  const unified = await apiOf(call, 'kits');
  const { mapping } = legacy;
  const { stage, kits, noted } = await sampled(call, mapping, { sample, seed });
  const findings = await checkContract({
    db: call.db,
    apis: { legacy: legacy.answers, kits: unified.answers },
    requests: contractRequests(kits, callersOf(mapping, kits), kinds),
    skipped: noted,
    deadline: call.deadline,
  });
  const { requests, skipped, complete } = findings;
  const differences = findings.differences.slice(0, MOST_TOLD);
  const counted = {
    stage,
    seed,
    compared: findings.kits,
    requests,
    skipped: skipped.length,
    differing: findings.differences.length,
    complete,
  };
  await call.db.transaction({ asEngine: true }, (session) =>
    recordEvent(session, {
      phase: PHASE,
      action: 'contract-checked',
      actor: run?.actor ?? asked.actor,
      batchId,
      detail: { ...counted, differences },
    }),
  );
  return { ...counted, differences, ...judgeContract(findings, seed) };
};

/**
 * Phase 4: the API gives the same answers whichever store it reads, byte for byte, to whoever asks. It asks
 * both bindings the same, about real kits and about nothing; it never writes.
 */
export const handler = phaseHandler(PHASE, event, check);
