import type { z } from 'zod';
import { jsonPointer } from './json-pointer.ts';
import { type FieldError, Problem } from './problem.ts';

/** Messages of zod's say what is expected, never what was given, save the names of unknown fields. */
const fieldErrors = (issue: z.core.$ZodIssue): FieldError[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys.map((key) => ({
        pointer: jsonPointer([...issue.path, key]),
        detail: 'there is no such field',
      }))
    : [{ pointer: jsonPointer(issue.path), detail: issue.message }];

/** The problem of a body that is JSON and does not match its schema. */
export const invalidBody = (error: z.ZodError): Problem =>
  new Problem('invalid-body', { errors: error.issues.flatMap(fieldErrors) });
