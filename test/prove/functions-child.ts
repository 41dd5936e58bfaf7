/**
 * A process of its own for the functions, as Lambda gives them: it can be killed at any moment. It is told what
 * to call over the channel that its parent opened, and answers there.
 */
import { appendFileSync } from 'node:fs';
import type { Context } from 'aws-lambda';
import pg from 'pg';
import { handler as flagChanged } from '../../functions/flag-changed/handler.ts';
import { handler as phase0 } from '../../functions/phase0-analysis/handler.ts';
import { handler as phase1 } from '../../functions/phase1-schema/handler.ts';
import { handler as phase2 } from '../../functions/phase2-migration/handler.ts';
import { handler as phase3 } from '../../functions/phase3-services/handler.ts';
import { handler as api } from '../../functions/phase4-api/handler.ts';
import { handler as phase4 } from '../../functions/phase4-contract-check/handler.ts';
import { handler as jobs } from '../../functions/phase5-jobs/handler.ts';
import { handler as phase5 } from '../../functions/phase5-queues/handler.ts';
import { handler as relay } from '../../functions/phase5-relay/handler.ts';
import { handler as phase6 } from '../../functions/phase6-validation/handler.ts';
import { handler as phase7 } from '../../functions/phase7-cleanup/handler.ts';
import { handler as rollback } from '../../functions/rollback/handler.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import {
  FunctionError,
  type LambdaHandler,
  localFunctions,
} from '../../infra/local/aws/functions.ts';
import { VARIANTS, type VariantName } from './broken.ts';
import type { FunctionName, ToChild, ToParent } from './function-calls.ts';
import { SMALL_CHUNKS } from './small-chunks.ts';

const HANDLERS: Readonly<Record<FunctionName, LambdaHandler>> = {
  'flag-changed': flagChanged,
  'phase0-analysis': phase0,
  'phase1-schema': phase1,
  'phase2-migration': phase2,
  'phase3-services': phase3,
  'phase4-api': (event, context) => api(event as Parameters<typeof api>[0], context),
  'phase4-contract-check': phase4,
  'phase5-jobs': (event, context) => jobs(event as Parameters<typeof jobs>[0], context),
  'phase5-queues': phase5,
  'phase5-relay': relay,
  'phase6-validation': phase6,
  'phase7-cleanup': phase7,
  rollback,
};

/** The clock that the functions see; it can be made to jump. */
const RealDate = Date;
let offsetMs = 0;
globalThis.Date = class extends RealDate {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(RealDate.now() + offsetMs);
    else super(...(given as [number]));
  }
  static override now(): number {
    return RealDate.now() + offsetMs;
  }
} as DateConstructor;

let variant: VariantName | undefined;
let rewritten = 0;

const rewrite = (text: string): string => {
  const small = SMALL_CHUNKS(text);
  if (variant === undefined) return small;
  const changed = VARIANTS[variant].rewrite(small);
  if (changed !== small) rewritten += 1;
  return changed;
};

/** What the functions say to the database goes through here: that is where a variant is broken. */
const send = pg.Client.prototype.query;
pg.Client.prototype.query = function query(this: pg.Client, ...given: unknown[]) {
  const [first, ...others] = given;
  const changed = typeof first === 'string' ? rewrite(first) : first;
  return Reflect.apply(send, this, [changed, ...others]);
} as typeof send;

const answer = (message: ToParent): void => {
  if (process.connected) process.send?.(message);
};

const call = async ({
  id,
  name,
  event,
  seconds,
  variables,
  log,
}: Extract<ToChild, { do: 'call' }>) => {
  const functions = localFunctions(64 * 1024 * 1024);
  const scope = { variables, log: (line: string) => appendFileSync(log, `${line}\n`) };
  functions.register(
    name,
    (given: unknown, context: Context) =>
      withEnvironment(scope, () => HANDLERS[name](given, context)),
    { timeoutSeconds: seconds },
  );
  const before = rewritten;
  try {
    const result = await functions.invoke(name, event);
    answer({ id, result, rewritten: rewritten - before });
  } catch (error) {
    const { name: errorName, message } =
      error instanceof Error ? error : new FunctionError('Error', String(error));
    answer({ id, error: { name: errorName, message }, rewritten: rewritten - before });
  }
};

process.on('message', (message: ToChild) => {
  switch (message.do) {
    case 'call':
      call(message);
      return;
    case 'clock':
      offsetMs = message.offsetMs;
      return;
    case 'break':
      variant = message.variant;
      return;
    case 'close':
      for (const url of message.urls) closeDatabaseAt(url).catch(() => undefined);
      return;
  }
});
process.on('disconnect', () => process.exit(0));
answer({ id: 0, result: 'ready', rewritten: 0 });
