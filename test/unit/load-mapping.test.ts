import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadMapping } from '@unified-kits/data';
import { referenceMapping } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

describe('loading a mapping', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'unified-kits-mapping-'));
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(directory, { recursive: true });
  });
  const file = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  const json = JSON.stringify({ ...referenceMapping, name: 'theirs' });

  it('takes the reference mapping when nothing is named', async () => {
    vi.stubEnv('KITS_MAPPING', '');
    expect(await loadMapping()).toBe(referenceMapping);
  });

  it('takes the file that KITS_MAPPING names, relative to the working directory', async () => {
    const path = await file('theirs.json', json);
    vi.stubEnv('KITS_MAPPING', relative(process.cwd(), path));
    expect((await loadMapping()).name).toBe('theirs');
  });

  it.each(['ts', 'mts', 'js', 'mjs'])('takes the default export of a .%s module', async (kind) => {
    const path = await file(`theirs.${kind}`, `export default ${json};`);
    expect((await loadMapping(path)).name).toBe('theirs');
  });

  it.each([
    ['a file that is not there', 'absent.json', undefined, 'cannot be read'],
    ['a module that is not there', 'absent.ts', undefined, 'cannot be loaded'],
    ['JSON that is none', 'broken.json', '{', 'cannot be read'],
    ['a module that throws', 'throws.mjs', 'throw new Error("no such thing")', 'no such thing'],
    ['a module without a default export', 'bare.mjs', 'export const a = 1;', 'no default export'],
    ['another kind of file', 'mapping.yaml', 'a: 1', '.json file'],
    ['a mapping with faults', 'faulty.json', '{"version": 2}', 'sources'],
  ])('refuses %s, naming the file and the fault', async (_what, name, text, fault) => {
    const path = text === undefined ? join(directory, name) : await file(name, text);
    const error = await loadMapping(path).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'MappingInvalid' });
    expect(String(error)).toContain(path);
    expect(String(error)).toContain(fault);
  });
});
