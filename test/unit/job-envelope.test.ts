import { JobRejected, parseJob } from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';

const NOW = Date.parse('2026-06-02T00:00:00Z');
const whole = {
  jobId: 'job-1',
  type: 'kit.status-changed',
  version: 1,
  occurredAt: '2026-06-01T10:00:00Z',
  data: { status: 'received' },
};
const parse = (given: object) => parseJob(JSON.stringify({ ...whole, ...given }), NOW);
const references = (body: string) => {
  const { kitsId, kitId, practitionerKitId, kitNumber } = parseJob(body, NOW);
  return { kitsId, kitId, practitionerKitId, kitNumber };
};
const rejection = (body: string): string => {
  try {
    parseJob(body, NOW);
  } catch (error) {
    if (error instanceof JobRejected) return `${error.reason}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('the envelope of a job', () => {
  it('takes numeric ids and kit numbers as numbers or as text, to the last digit', () => {
    const body = (id: string) =>
      JSON.stringify(whole).replace(
        '}}',
        `},"kitId":${id},"practitionerKitId":"7","kitNumber":${id}}`,
      );
    for (const id of ['7', '-7', '9007199254740993', '9223372036854775807'])
      expect(references(body(id))).toMatchObject({
        kitId: id,
        practitionerKitId: '7',
        kitNumber: id,
      });
    expect(rejection(body('7.5'))).toContain('malformed: kitId');
    expect(rejection(body('1e400'))).toContain('malformed: kitId');
  });

  it('takes null for a reference that is not there', () => {
    const job = parse({ kitsId: null, kitId: null, practitionerKitId: null, kitNumber: 'K1' });
    expect(job).toMatchObject({ kitNumber: 'K1' });
    expect(job.kitId).toBeUndefined();
    expect(rejection(JSON.stringify({ ...whole, kitId: null }))).toContain('names no kit');
  });

  it('knows a kits id in capitals, and leaves unknown fields alone', () => {
    expect(parse({ kitsId: '01887442-E0C0-8DEE-A894-84E3B29C6231', more: { a: 1 } })).toMatchObject(
      {
        kitsId: '01887442-e0c0-8dee-a894-84e3b29c6231',
      },
    );
  });

  it.each([
    ['no JSON', '{', 'malformed: the body is not JSON'],
    ['null', 'null', 'malformed'],
    ['a list', '[]', 'malformed'],
    ['another type', JSON.stringify({ ...whole, kitId: 1, type: 'kit.lost' }), 'unknown-type'],
    ['another version', JSON.stringify({ ...whole, kitId: 1, version: 2 }), 'unknown-version'],
    ['no kit', JSON.stringify(whole), 'malformed: the job names no kit'],
    ['a null character', JSON.stringify({ ...whole, kitNumber: 'a\0' }), 'malformed: kitNumber'],
    [
      'half a character',
      JSON.stringify({ ...whole, kitNumber: 'a\ud800' }),
      'malformed: kitNumber',
    ],
    ['half a character', JSON.stringify({ ...whole, kitId: '\udc00' }), 'malformed: kitId'],
    ['no time', JSON.stringify({ ...whole, kitId: 1, occurredAt: 'now' }), 'malformed: occurredAt'],
    [
      'no zone',
      JSON.stringify({ ...whole, kitId: 1, occurredAt: '2026-06-01T10:00:00' }),
      'malformed: occurredAt',
    ],
    [
      'a far future',
      JSON.stringify({ ...whole, kitId: 1, occurredAt: '2026-06-03T00:00:01Z' }),
      'malformed: occurredAt',
    ],
    ['a spaced id', JSON.stringify({ ...whole, kitId: 1, jobId: 'a b' }), 'malformed: jobId'],
  ])('rejects %s, and quotes nothing of it', (_what, body, reason) => {
    expect(rejection(body)).toContain(reason);
    expect(rejection(body)).not.toMatch(/lost|a b|\ud800/);
  });

  it('says of every fault where it is, by the names of the fields', () => {
    expect(
      rejection(JSON.stringify({ ...whole, jobId: 1, data: { status: '' }, kitId: 1 })),
    ).toMatch(/^malformed: jobId: .+; data\.status: .+$/);
    expect(rejection('[]')).toMatch(/^malformed: body: .+$/);
    expect(rejection(JSON.stringify({ ...whole, type: 'kit.lost' }))).toBe(
      'unknown-type: no job of this type is known',
    );
    expect(rejection(JSON.stringify({ ...whole, version: 2 }))).toBe(
      'unknown-version: only version 1 of this job is known',
    );
  });

  it('may come from a clock that is a day ahead, and no more', () => {
    const at = (occurredAt: string) =>
      rejection(JSON.stringify({ ...whole, kitId: 1, occurredAt }));
    expect(at('2026-06-03T00:00:00Z')).toBe('accepted');
    expect(at('2026-06-03T00:00:00.001Z')).toBe(
      'malformed: occurredAt: lies more than a day ahead',
    );
  });
});
