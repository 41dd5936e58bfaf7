import {
  effectOf,
  type Job,
  JobRejected,
  KIT_STATUSES,
  type Kit,
  liesAhead,
  type Mapping,
  referenceMapping,
  SOURCES,
  TIME_OF_STATUS,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';
import { kitOf, plainMapping, unlikeMapping } from '../support/example-kits.ts';

const AT = '2026-06-01T10:00:00+02:00';
const envelope = { jobId: 'job-1', version: 1, occurredAt: AT, kitNumber: 'K1' } as const;
const status = (word: string): Job => ({
  ...envelope,
  type: 'kit.status-changed',
  data: { status: word },
});
const results = (resultedAt?: string): Job => ({
  ...envelope,
  type: 'kit.results-ready',
  data: resultedAt === undefined ? {} : { resultedAt },
});
const STALE = { kind: 'stale' };
const fieldsOf = (job: Job, kit: Kit, mapping: Mapping = referenceMapping) => {
  const effect = effectOf(job, kit, mapping, false);
  if (effect.kind === 'stale') return 'stale';
  expect(effect.values.attributes).toEqual({});
  return effect.values.fields;
};
const rejection = (job: Job, kit: Kit, mapping: Mapping) => {
  try {
    effectOf(job, kit, mapping, false);
  } catch (error) {
    if (error instanceof JobRejected) return `${error.reason}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('a job', () => {
  it.each(SOURCES)(
    'moves a kit of %s forward, and never back, from any status to any',
    (source) => {
      for (const from of KIT_STATUSES)
        for (const to of KIT_STATUSES) {
          const { kind } = effectOf(
            status(to),
            kitOf(source, { fields: { status: from } }),
            referenceMapping,
            false,
          );
          expect(kind).toBe(liesAhead(from, to) ? 'applied' : 'stale');
        }
    },
  );

  it('never overwrites what happened later', () => {
    expect(effectOf(status('registered'), kitOf('kit'), referenceMapping, true)).toEqual(STALE);
    expect(effectOf(results(), kitOf('kit'), referenceMapping, true)).toEqual(STALE);
  });

  it('does nothing to a kit with a status that is none', () => {
    for (const none of [null, 'nowhere'])
      expect(fieldsOf(status('completed'), kitOf('kit', { fields: { status: none } }))).toBe(
        'stale',
      );
  });

  it('speaks the words of kits or those of the kit`s own table, and is written in the latter', () => {
    const kit = kitOf('practitioner_kits', { fields: { status: 'registered' } });
    const written = { status: 'sampled', collectedAt: { at: AT } };
    expect(fieldsOf(status('collected'), kit)).toEqual(written);
    expect(fieldsOf(status('sampled'), kit)).toEqual(written);
  });

  it('in the words of another table is rejected, and quotes none of it', () => {
    expect(rejection(status('sampled'), kitOf('kit'), referenceMapping)).toBe(
      'unknown-status: data.status is no status of this kit',
    );
  });

  it('with a status that kits of this owner type never have is rejected, unless it comes too late', () => {
    const kit = kitOf('practitioner_kits');
    expect(rejection(status('cancelled'), kit, unlikeMapping)).toBe(
      'unknown-status: kits of this owner type have no such status',
    );
    const completed = kitOf('practitioner_kits', { fields: { status: 'completed' } });
    expect(fieldsOf(status('cancelled'), completed, unlikeMapping)).toBe('stale');
  });

  it('may give any status where the table speaks the words of kits', () => {
    expect(fieldsOf(status('cancelled'), kitOf('kit'), plainMapping)).toEqual({
      status: 'cancelled',
    });
  });

  it('sets the time of its status, to when it happened', () => {
    for (const to of KIT_STATUSES.filter((one) => one !== 'created')) {
      const field = TIME_OF_STATUS[to];
      // From where all the others can be reached.
      const from = to === 'rejected' ? 'received' : 'created';
      expect(fieldsOf(status(to), kitOf('kit', { fields: { status: from } }))).toEqual({
        status: to,
        ...(field === undefined ? {} : { [field]: { at: AT } }),
      });
    }
  });

  it('leaves a time that stands there, and a column that the table has not', () => {
    const timed = kitOf('kit', { fields: { registeredAt: '2026-01-01T00:00:00.000000Z' } });
    expect(fieldsOf(status('registered'), timed)).toEqual({ status: 'registered' });
    expect(fieldsOf(results(), kitOf('kit'), unlikeMapping)).toEqual({ status: 'completed' });
  });
});

describe('results that are ready', () => {
  it('complete a kit, when they say so or else when the job says that it happened', () => {
    const kit = kitOf('practitioner_kits', { fields: { status: 'processing' } });
    expect(fieldsOf(results('2026-05-31T00:00:00Z'), kit)).toEqual({
      status: 'reported',
      resultedAt: { at: '2026-05-31T00:00:00Z' },
    });
    expect(fieldsOf(results(), kit)).toEqual({ status: 'reported', resultedAt: { at: AT } });
  });

  it('of a kit that is completed, rejected or cancelled come too late', () => {
    for (const last of ['completed', 'rejected', 'cancelled'])
      expect(fieldsOf(results(), kitOf('kit', { fields: { status: last } }))).toBe('stale');
  });
});
