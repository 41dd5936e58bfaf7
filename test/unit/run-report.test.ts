import { createHash } from 'node:crypto';
import { RUN_STATES, renderRunReport, runReport } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timeAxis } from '../../layers/domain/src/run-report/time-axis.ts';
import { duration } from '../../layers/domain/src/run-report/words.ts';
import { analysisReport, at, findingOf, migrationReport, REPORTS } from '../support/run-reports.ts';

/** Text without its markup, as a reader without pictures has it. */
const textOf = (page: string): string =>
  page
    .replace(/<style>.*<\/style>/s, '')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ');

const idsOf = (page: string): string[] =>
  [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id ?? '');

describe.each(RUN_STATES)('the report of a run that is "%s"', (state) => {
  const page = renderRunReport(REPORTS[state]);

  it('holds what its data say, and says so at the top', () => {
    expect(REPORTS[state].state).toBe(state);
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/undefined|NaN|\[object|Invalid Date|null/);
  });

  it('loads nothing, runs nothing, and lets nothing but its own style take effect', () => {
    expect(page).not.toMatch(/<script|<iframe|<object|<form|javascript:|@import|url\(| on\w+="/i);
    expect([...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, link]) => link)).toSatisfy(
      (links: string[]) => links.every((link) => link.startsWith('#') || link === 'data:,'),
    );
    const style = page.match(/<style>(.*)<\/style>/s)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    const policy = page.match(/Content-Security-Policy" content="([^"]+)"/)?.[1] ?? '';
    expect(policy).toContain('default-src &#39;none&#39;');
    expect(policy).toContain(`style-src &#39;sha256-${hash}&#39;`);
    expect(page).not.toMatch(/ style="/);
  });

  it('has every place that its contents name, once', () => {
    const ids = idsOf(page);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    for (const [, named] of page.matchAll(/aria-labelledby="([^"]+)"/g))
      for (const id of named?.split(' ') ?? []) expect(ids).toContain(id);
  });
});

describe('what a report says', () => {
  it('NO-GO: what to do about each blocker, where, and for which keys', () => {
    const text = textOf(renderRunReport(REPORTS['no-go']));
    expect(text).toContain('found 2 kinds of problem that must be corrected first');
    expect(text).toContain('Nothing was changed');
    expect(text).toContain('Kits with the same kit number, within kit: 31');
    expect(text).toContain('Decide which of these rows keeps the kit number');
    expect(text).toMatch(/Keys: 4 9 and 29 more/);
  });

  it('an analysis: who approved which digest, when; or that nobody has', () => {
    expect(textOf(renderRunReport(REPORTS['awaiting-approval']))).toContain('Approval nobody yet');
    const approved = textOf(renderRunReport(REPORTS.approved));
    expect(approved).toContain('Approval Ada 2026-05-06 00:01:00');
    expect(approved).toContain('d1'.repeat(32));
  });

  it('a migration: what moved, what differs, what was lost, how long writes waited', () => {
    const text = textOf(renderRunReport(REPORTS.closed));
    expect(text).toContain('All 120,000 kits are moved');
    expect(text).toContain('Rows that differ 0 of 120,000 compared');
    expect(text).toContain('Writes lost 0 of 500 made meanwhile');
    expect(text).toContain('Longest wait of a write 12.5 ms');
    expect(text).toContain('From beginning to end 1 h 2 min');
    expect(text).toContain('every answer was the same, byte for byte');
    expect(text).toContain('288 times');
  });

  it('a migration that stopped: by which error, where production works, and what differs', () => {
    const text = textOf(renderRunReport(REPORTS.stopped));
    expect(text).toContain('The migration stopped (ParityMismatch)');
    expect(text).toContain('Production goes on, from the old tables');
    expect(text).toContain('kit 4711 status, updatedAt');
    expect(text).toContain('3 parts equal, 1 with differences, 1 not compared yet');
  });

  it('a rollback: its proof, line by line, and never that all is well when something is left', () => {
    expect(textOf(renderRunReport(REPORTS['rolled-back']))).toContain(
      'Rows in the new table 0 as it must be',
    );
    const { rollback } = REPORTS['rolled-back'];
    const left = migrationReport({
      state: 'stopped',
      rollback: { ...rollback, proof: { ...rollback?.proof, rowsLeft: 3 } },
    });
    expect(textOf(renderRunReport(left))).toContain('Rows in the new table 3 NOT as it must be');
  });

  it('that nobody measured the API from outside, where nobody did', () => {
    expect(textOf(renderRunReport(REPORTS.stopped))).toContain('nobody measured them from outside');
  });

  it('how many entries of the audit log it leaves out', () => {
    const text = textOf(renderRunReport(migrationReport({ eventsOmitted: 1_200 })));
    expect(text).toContain('1,200 older entries are left out');
  });
});

describe('whatever a name or a key holds', () => {
  const hostile = `"><img src=x onerror=alert(1)></style></title>'&\u202e\u0000`;

  it('is shown as text', () => {
    const page = renderRunReport(
      migrationReport({
        environment: hostile,
        stoppedBy: hostile,
        batch: { ...REPORTS.closed.batch, actor: hostile },
        analysis: {
          ...REPORTS.closed.analysis,
          approvedBy: hostile,
          mappingName: hostile,
          findings: [{ ...findingOf('DUPLICATE_IN_KIT', [hostile]), column: hostile }],
        },
        events: [
          {
            at: at(1),
            until: null,
            times: 1,
            phase: hostile,
            action: hostile,
            actor: hostile,
            detail: { [hostile]: hostile },
          },
        ],
      }),
    );
    expect(page).not.toContain('<img');
    expect(page).not.toContain('\u202e');
    expect(page).not.toContain('\u0000');
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(page.match(/<\/title>/g)?.length).toBe(page.match(/<title/g)?.length);
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;');
  });

  it('leaves the tags of the page as they are', () => {
    const tags = (page: string) => [...page.matchAll(/<\/?[a-z][a-z0-9]*/g)].map(([tag]) => tag);
    const of = (text: string) => tags(renderRunReport(analysisReport({ mappingName: text })));
    const plain = of('x');
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        expect(of(text)).toEqual(plain);
      }),
      { numRuns: 15 },
    );
  });
});

describe('the axis of time', () => {
  const minutes = fc.integer({ min: 0, max: 10_000 }).map((minute) => minute * 60_000);
  const stretches = fc
    .array(fc.tuple(minutes, minutes), { maxLength: 12 })
    .map((pairs) => pairs.map(([a, b]) => ({ from: Math.min(a, b), until: Math.max(a, b) })));

  it('keeps the order of moments inside its picture, and finds each one again', () => {
    fc.assert(
      fc.property(stretches, fc.array(minutes, { minLength: 2 }), (busy, moments) => {
        const sorted = moments.toSorted((a, b) => a - b);
        const whole = { from: sorted[0] ?? 0, until: (sorted.at(-1) ?? 0) + 1 };
        const axis = timeAxis(whole, busy, { left: 100, right: 900 });
        const places = sorted.map((moment) => axis.place(moment));
        expect(places).toEqual(places.toSorted((a, b) => a - b));
        for (const place of places) {
          expect(place).toBeGreaterThanOrEqual(100 - 1e-6);
          expect(place).toBeLessThanOrEqual(900 + 1e-6);
        }
        for (const moment of sorted)
          expect(axis.momentAt(axis.place(moment))).toBeCloseTo(moment, -2);
      }),
    );
  });

  it('gives an hour of work the better part of the picture beside a day of watching', () => {
    const hour = 3_600_000;
    const axis = timeAxis({ from: 0, until: 25 * hour }, [{ from: 0, until: hour }], {
      left: 0,
      right: 100,
    });
    expect(axis.place(hour)).toBeCloseTo(70);
  });
});

it.each([
  [0.02, '20 ms'],
  [12.34, '12.3 s'],
  [59.97, '1 min 0 s'],
  [3_599.7, '1 h 0 min'],
  [90_000, '1 d 1 h'],
])('says %d seconds as "%s"', (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});

it('refuses data that are no report', () => {
  expect(runReport.safeParse({ ...REPORTS.closed, state: 'fine' }).success).toBe(false);
});
