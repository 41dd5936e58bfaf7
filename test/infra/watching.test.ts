import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';
import {
  FLAG_PUT_BACK,
  FLIP_HELD,
  type FunctionMetric,
  MIGRATION_METRICS,
  NAMESPACE,
  SERVICE_METRICS,
} from '../../infra/metrics.ts';
import { anchorOf } from '../../infra/runbook.ts';
import { FUNCTION_FOLDERS } from '../support/deployed.ts';
import { resource, resources, type Synthesised, synthesise, textOf } from '../support/templates.ts';

const RUNBOOK_URL = 'https://docs.example/RUNBOOK.md';

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise({ settings: { runbookUrl: RUNBOOK_URL } });
});

/** Every metric that a function is said to measure. */
const DECLARED: readonly FunctionMetric[] = [
  ...Object.values(MIGRATION_METRICS),
  ...Object.values(SERVICE_METRICS),
  ...FLIP_HELD,
  ...FLAG_PUT_BACK,
];

const alarm = z.object({
  AlarmName: z.string(),
  AlarmDescription: z.string(),
  AlarmActions: z.array(z.unknown()),
  OKActions: z.array(z.unknown()),
  TreatMissingData: z.literal('notBreaching'),
  ComparisonOperator: z.literal('GreaterThanOrEqualToThreshold'),
  Threshold: z.number().min(1),
});

const metric = z.object({
  Namespace: z.string().optional(),
  MetricName: z.string().optional(),
  Dimensions: z.array(z.object({ Name: z.string(), Value: z.unknown() })).default([]),
});
/** What an alarm looks at: one metric, or several with an expression over them. */
const watched = z.union([
  metric
    .extend({ MetricName: z.string() })
    .transform(({ Namespace, MetricName, Dimensions }) => [{ Namespace, MetricName, Dimensions }]),
  z
    .object({ Metrics: z.array(z.object({ MetricStat: z.object({ Metric: metric }).optional() })) })
    .transform(({ Metrics }) => Metrics.flatMap(({ MetricStat }) => MetricStat?.Metric ?? [])),
]);
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

  it('looks at metrics of this environment that functions are known to measure', () => {
    const found = [synthesised.service, synthesised.migration]
      .flatMap((template) => resources(template, 'AWS::CloudWatch::Alarm'))
      .flatMap(([, { Properties }]) => watched.parse(Properties))
      .filter(({ Namespace }) => Namespace === NAMESPACE)
      .map(({ MetricName: name, Dimensions }) => ({
        name,
        ...Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value])),
      }));
    expect(found).toHaveLength(9);
    for (const one of found)
      expect(DECLARED.map((known) => ({ ...known, Environment: 'dev' }))).toContainEqual(one);
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
    const unshown: readonly FunctionMetric[] = [
      MIGRATION_METRICS.monitorBreaches,
      ...FLAG_PUT_BACK,
    ];
    for (const { name, service } of DECLARED.filter((one) => !unshown.includes(one)))
      expect(shown).toContain(
        [NAMESPACE, name, 'Environment', 'dev', 'service', service]
          .map((part) => `\\"${part}\\"`)
          .join(','),
      );
  });

  it('shows no other metric of ours', () => {
    const shown = body().matchAll(
      new RegExp(
        `${['', NAMESPACE, '(\\w+)', 'Environment', 'dev', 'service', '([\\w-]+)', ''].join('\\W+')}`,
        'g',
      ),
    );
    const found = [...shown].map(([, name, service]) => ({ name, service }));
    expect(found.length).toBeGreaterThanOrEqual(DECLARED.length - FLAG_PUT_BACK.length - 1);
    for (const one of found) expect(DECLARED).toContainEqual(one);
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

describe('a metric of many functions', () => {
  /** Folders of the functions that have a module of ours in their bundle. */
  const foldersWith = (module: string): string[] => {
    const { metafile } = buildSync({
      entryPoints: FUNCTION_FOLDERS.map((folder) => `./functions/${folder}/handler.ts`),
      absWorkingDir: ROOT,
      outdir: 'out',
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      metafile: true,
      write: false,
    });
    return Object.values(metafile.outputs)
      .filter(({ inputs }) => (inputs[module]?.bytesInOutput ?? 0) > 0)
      .map(({ entryPoint = '' }) => basename(dirname(entryPoint)))
      .sort();
  };

  it.each([
    ['how long a flip held writers', FLIP_HELD, 'functions/runtime/flip-stage.ts'],
    ['a flag that was put back', FLAG_PUT_BACK, 'functions/runtime/reconcile.ts'],
  ])('%s: all of those that can measure it are declared', (_what, metrics, module) => {
    expect(metrics.map(({ service }) => service).sort()).toEqual(foldersWith(module));
  });
});
