import { DatabaseUnwell, InvalidInput } from '@unified-kits/domain';
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { invalidBody } from '../../functions/phase4-api/http/invalid-body.ts';
import { jsonPointer } from '../../functions/phase4-api/http/json-pointer.ts';
import {
  asProblem,
  methodNotAllowed,
  PROBLEM_KINDS,
  Problem,
  problemResponse,
  tryAgain,
} from '../../functions/phase4-api/http/problem.ts';

const bodyOf = (problem: Problem, instance?: string): Record<string, unknown> =>
  JSON.parse(problemResponse(problem, instance).body ?? '');

const SECRET = 'KIT-4711 of Ada Lovelace';

describe('a problem', () => {
  it.each(PROBLEM_KINDS)('%s is a problem document with its own type and status', (kind) => {
    const { statusCode, headers, body } = problemResponse(new Problem(kind));
    expect(headers).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
    });
    const document = JSON.parse(body ?? '');
    expect(Object.keys(document)).toEqual(['type', 'title', 'status']);
    expect(document).toMatchObject({ type: `/problems/${kind}`, status: statusCode });
    expect(statusCode).toBeGreaterThanOrEqual(400);
  });

  it('carries its detail, its instance and its errors', () => {
    const errors = [{ pointer: '/status', detail: 'is missing' }];
    const problem = new Problem('invalid-body', { detail: 'one field is missing', errors });
    expect(bodyOf(problem, 'urn:request:1')).toEqual({
      type: '/problems/invalid-body',
      title: 'The body is not valid',
      status: 422,
      detail: 'one field is missing',
      instance: 'urn:request:1',
      errors,
    });
  });

  it('lists at most twenty errors', () => {
    const errors = Array.from({ length: 21 }, (_, n) => ({ pointer: `/${n}`, detail: 'is wrong' }));
    expect(bodyOf(new Problem('invalid-body', { errors })).errors).toEqual(errors.slice(0, 20));
  });

  it.each([
    [new Problem('unauthorized'), 'www-authenticate', 'Bearer'],
    [methodNotAllowed(['GET', 'PATCH']), 'allow', 'GET, PATCH'],
    [new Problem('unsupported-media-type'), 'accept', 'application/json'],
    [new Problem('idempotency-key-in-use'), 'retry-after', '1'],
    [tryAgain(7), 'retry-after', '7'],
  ])('%s has the header that its status asks for', (problem, name, value) => {
    expect(problemResponse(problem).headers).toMatchObject({ [name]: value });
  });

  it('cannot have its media type changed by a header', () => {
    const problem = new Problem('forbidden', { headers: { 'content-type': 'text/html' } });
    expect(problemResponse(problem).headers?.['content-type']).toBe('application/problem+json');
  });
});

describe('any error', () => {
  it.each([
    new Error(SECRET),
    new InvalidInput(SECRET),
    Object.assign(new pg.DatabaseError(SECRET, 1, 'error'), { code: '23505', detail: SECRET }),
    SECRET,
    undefined,
  ])('%# is an internal problem that says nothing of itself', (error) => {
    const { statusCode, body } = problemResponse(asProblem(error), 'urn:request:1');
    expect(statusCode).toBe(500);
    expect(JSON.parse(body ?? '')).toEqual({
      type: '/problems/internal',
      title: 'The request could not be answered',
      status: 500,
      instance: 'urn:request:1',
    });
  });

  it.each([
    new DatabaseUnwell('too many connections'),
    Object.assign(new pg.DatabaseError(SECRET, 1, 'error'), { code: '57P01' }),
    new Error('connect ECONNREFUSED 127.0.0.1:5432'),
  ])('%# that passes by itself asks for another try', (error) => {
    const problem = asProblem(error);
    expect(problem.status).toBe(503);
    expect(problem.headers['retry-after']).toBe('1');
    expect(JSON.stringify(problemResponse(problem))).not.toContain(SECRET);
  });

  it('that is a problem already stays what it is', () => {
    const problem = new Problem('not-found');
    expect(asProblem(problem)).toBe(problem);
  });
});

describe('a JSON pointer', () => {
  it('escapes tildes and slashes', () => {
    expect(jsonPointer(['metadata', 'a/b~c', 0])).toBe('/metadata/a~1b~0c/0');
    expect(jsonPointer([])).toBe('');
  });

  it('keeps a hundred characters and cuts the hundred and first', () => {
    expect(jsonPointer(['a'.repeat(99)])).toBe(`/${'a'.repeat(99)}`);
    expect(jsonPointer(['a'.repeat(100)])).toBe(`/${'a'.repeat(98)}…`);
  });

  it('is never cut within an escape or a character', () => {
    const names = fc.array(fc.string({ unit: fc.constantFrom('~', '/', '𝄞', 'a', '\ud800') }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(names, (path) => {
        const pointer = jsonPointer(path);
        expect(pointer.length).toBeLessThanOrEqual(100);
        expect(pointer.isWellFormed()).toBe(true);
        expect(pointer).toMatch(/^(\/([^~/]|~[01])*)+$/);
      }),
    );
  });
});

describe('a body that does not match its schema', () => {
  const schema = z.strictObject({
    status: z.enum(['registered', 'collected']),
    notes: z.string().max(10).optional(),
    collectedAt: z.iso.datetime().optional(),
  });
  const errorsOf = (body: unknown) => {
    const result = schema.safeParse(body);
    if (result.success) throw new TypeError('the schema takes this body');
    return invalidBody(result.error).errors;
  };

  it('names each field and what is expected of it', () => {
    expect(errorsOf({ notes: 7 })).toEqual([
      { pointer: '/status', detail: expect.stringContaining('registered') },
      { pointer: '/notes', detail: expect.stringContaining('string') },
    ]);
  });

  it('names each unknown field by its pointer alone', () => {
    expect(errorsOf({ status: 'collected', 'a/b': 1, c: 2 })).toEqual([
      { pointer: '/a~1b', detail: 'there is no such field' },
      { pointer: '/c', detail: 'there is no such field' },
    ]);
  });

  it('never repeats a value', () => {
    const body = { status: SECRET, notes: SECRET, collectedAt: SECRET };
    const errors = errorsOf(body);
    expect(errors).toHaveLength(3);
    expect(JSON.stringify(errors)).not.toContain(SECRET);
  });
});
