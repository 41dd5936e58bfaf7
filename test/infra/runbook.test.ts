import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadMapping } from '@unified-kits/data';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../infra/code/layers.ts';
import { nameOf } from '../../infra/constructs/foundation.ts';
import { anchorOf } from '../../infra/runbook.ts';
import { readSettings, SETTING_NAMES } from '../../infra/settings.ts';
import { resources, synthesise } from '../support/templates.ts';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const withoutCode = (text: string): string => text.replaceAll(/^```.*?^```$/gms, '');

describe.each(['README.md', 'RUNBOOK.md'])('%s', (file) => {
  it('links only to headings and files that are there', () => {
    const links = [...withoutCode(read(file)).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    expect(links.length).toBeGreaterThan(0);
    for (const [link, path, anchor] of links) {
      const target = path === undefined || path === '' ? file : path;
      expect(existsSync(join(ROOT, target)), link).toBe(true);
      if (anchor === undefined) continue;
      const headings = [...withoutCode(read(target)).matchAll(/^#+ (.*)$/gm)];
      expect(headings.map(([, heading = '']) => anchorOf(heading))).toContain(anchor);
    }
  });

  it('has no two headings that one link would mean', () => {
    const anchors = [...withoutCode(read(file)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      anchorOf(heading),
    );
    expect(anchors.toSorted()).toEqual([...new Set(anchors)].sort());
  });
});

describe('what is written of the deployment', () => {
  const [, readme = ''] = read('README.md').split('## Deploy\n');
  const [, runbook = ''] = read('RUNBOOK.md').split('## Deployment\n');

  it('names every setting there is', () => {
    const named = `${readme}${runbook}`;
    expect(SETTING_NAMES.length).toBeGreaterThan(20);
    for (const name of SETTING_NAMES) expect(named).toMatch(new RegExp(`[\`"]${name}[\`"]`));
  });

  it('has an example of an existing database that can be synthesised as it stands', async () => {
    const [, example = ''] = runbook.match(/^```json\n(.*?)^```$/ms) ?? [];
    const settings = readSettings(JSON.parse(example), 'prod');
    const mapping = await loadMapping(settings.mapping ?? '');
    const { app, service } = synthesise({ settings: JSON.parse(example).prod, mapping });
    expect(app.synth().manifest.missing).toBeUndefined();
    expect(resources(service, 'AWS::ApiGatewayV2::Api')).toHaveLength(1);
    const called = runbook.match(/--function-name (\S+)/)?.[1];
    expect(called).toBe(nameOf(settings, 'phase5-queues'));
  });
});
