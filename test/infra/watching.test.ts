import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';
import { FLIP_HELD, MIGRATION_METRICS, NAMESPACE, SERVICE_METRICS } from '../../infra/metrics.ts';
import { anchorOf } from '../../infra/runbook.ts';
import { resource, resources, type Synthesised, synthesise, textOf } from '../support/templates.ts';

const RUNBOOK_URL = 'https://docs.example/RUNBOOK.md';

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise({ settings: { runbookUrl: RUNBOOK_URL } });
});

const alarm = z.object({
  AlarmName: z.string(),
  AlarmDescription: z.string(),
  AlarmActions: z.array(z.unknown()),
  OKActions: z.array(z.unknown()),
  TreatMissingData: z.literal('notBreaching'),
  ComparisonOperator: z.literal('GreaterThanOrEqualToThreshold'),
  Threshold: z.number().min(1),
  Dimensions: z.array(z.object({ Name: z.string(), Value: z.unknown() })).default([]),
});
const alarms = () =>
  [synthesised.service, synthesised.migration].flatMap((template) =>
    resources(template, 'AWS::CloudWatch::Alarm').map(([, { Properties }]) =>
      alarm.parse(Properties),
    ),
  );

describe('an alarm', () => {
  const headings = () =>
    [...readFileSync(join(ROOT, 'RUNBOOK.md'), 'utf8').matchAll(/^#+ (.*)$/gm)].map(
      ([, heading]) => heading,
    );
  const headingOf = (name: string) => name.replace('unified-kits dev: ', '');

  it('is there for everything that calls an operator', () => {
    expect(
      alarms()
        .map(({ AlarmName }) => headingOf(AlarmName))
        .sort(),
    ).toEqual([
      'BacklogStuck: backlog not draining',
      'Dead letters: DLQ not empty',
      'Events not handed on',
      'Fence refusals do not fade',
      'FlagsUnreadable: guard unreadable',
      'IllegalWish, flag put back',
      'Jobs wait: oldest message age',
      'Mirror failing',
      'MonitorBreach: monitor breach',
      'ParityMismatch: parity mismatch',
      'The API fails',
      'When something fails',
    ]);
  });

  it('has the name of a heading of the runbook, and leads to it', () => {
    const known = headings();
    expect(known.length).toBeGreaterThan(20);
    for (const { AlarmName, AlarmDescription } of alarms()) {
      const heading = headingOf(AlarmName);
      expect(known).toContain(heading);
      expect(AlarmDescription).toMatch(
        new RegExp(`^[A-Z].*\\. ${RUNBOOK_URL}#${anchorOf(heading)}$`),
      );
    }
  });

  it('tells the alarms’ topic when it goes off, and when it is over', () => {
    for (const { AlarmName, AlarmActions, OKActions } of alarms())
      for (const actions of [AlarmActions, OKActions])
        expect(actions, AlarmName).toEqual([
          { 'Fn::ImportValue': expect.stringContaining('Alarms') },
        ]);
  });
});

it.each([
  ['ParityMismatch: parity mismatch', 'paritymismatch-parity-mismatch'],
  ['IllegalWish, flag put back', 'illegalwish-flag-put-back'],
  ['When something fails', 'when-something-fails'],
])('links %s as #%s', (heading, anchor) => {
  expect(anchorOf(heading)).toBe(anchor);
});

describe('the dashboard', () => {
  const body = () =>
    textOf(resource(synthesised.migration, 'AWS::CloudWatch::Dashboard').Properties.DashboardBody);

  it('is one, and shows every metric there is of migration and service', () => {
    const shown = body();
    // What has happened at all is the alarms' to show.
    const { flagPutBack: _putBack, monitorBreaches: _breaches, ...migration } = MIGRATION_METRICS;
    for (const { name, service } of [
      ...Object.values(migration),
      ...Object.values(SERVICE_METRICS),
      ...FLIP_HELD,
    ])
      expect(shown).toContain(
        [NAMESPACE, name, 'Environment', 'dev', 'service', service]
          .map((part) => `\\"${part}\\"`)
          .join(','),
      );
  });

  it('shows every alarm', () => {
    const shown = body();
    const ids = [synthesised.service, synthesised.migration].flatMap((template) =>
      resources(template, 'AWS::CloudWatch::Alarm').map(([id]) => id),
    );
    expect(ids.length).toBe(alarms().length);
    for (const id of ids) expect(shown).toContain(id);
  });
});
