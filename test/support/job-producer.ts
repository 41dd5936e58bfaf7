import { type KitsService, kitsService, openDatabase } from '@unified-kits/data';
import type { Source } from '@unified-kits/domain';
import { seededRandom } from '../../infra/local/writers/random.ts';
import type { JobsSystem } from './jobs-system.ts';
import { TestFlags } from './kits-service.ts';

/** The way of every kit here; jobs lead along it. */
const WAY: readonly string[] = [
  'created',
  'registered',
  'collected',
  'received',
  'processing',
  'completed',
];
const placeOf = (status: string | null): number => WAY.indexOf(status ?? '');

export interface ProducedKit {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly kitNumber: string;
  readonly initial: string;
}

/** Every kit as producers know it before any migration. */
export const producedKits = async ({ legacy, serviceUrl }: JobsSystem): Promise<ProducedKit[]> => {
  const db = openDatabase(serviceUrl, 2);
  const service: KitsService = kitsService({
    db,
    mapping: legacy.mapping,
    flags: new TestFlags(),
    observer: { redirected: () => {}, staleReadAvoided: () => {} },
  });
  const { rows: owners } = await legacy.pool.query(`
    select distinct 'client' as "ownerType", user_id::text as id from kit
    union all select distinct 'practitioner', practitioner_id::text from practitioner_kits`);
  const kits: ProducedKit[] = [];
  for (const owner of owners)
    for (const { source, legacyId, kitsId, fields } of await service.list(owner, {
      after: undefined,
      limit: 500,
    }))
      kits.push({
        source,
        legacyId,
        kitsId,
        kitNumber: String(fields.kitNumber),
        initial: WAY[placeOf(fields.status)] ?? 'created',
      });
  await db.close();
  return kits;
};

/** Sends jobs of every shape without end, with duplicates and garbage among them. */
export class JobProducer {
  /** What each job would bring its kit to, by its id. */
  readonly jobs = new Map<string, { readonly kit: ProducedKit; readonly place: number }>();
  /** Bodies that can never be applied. */
  readonly garbage = new Set<string>();
  readonly #given: JobsSystem;
  readonly #kits: readonly ProducedKit[];
  readonly #random: () => number;
  readonly #reached = new Map<ProducedKit, number>();
  readonly #sent: string[] = [];
  #running = true;
  #ended: Promise<void> | undefined;

  constructor(given: JobsSystem, kits: readonly ProducedKit[], seed = 1) {
    this.#given = given;
    this.#kits = kits;
    this.#random = seededRandom(seed);
  }

  #pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#random() * items.length)];
    if (item === undefined) throw new TypeError('something to pick');
    return item;
  }

  #references(kit: ProducedKit): object {
    const legacyId =
      kit.source === 'kit'
        ? { kitId: this.#pick([kit.legacyId, Number(kit.legacyId)]) }
        : { practitionerKitId: kit.legacyId };
    return this.#pick([
      { kitsId: kit.kitsId },
      legacyId,
      { kitNumber: kit.kitNumber },
      { ...legacyId, kitsId: kit.kitsId, kitNumber: kit.kitNumber },
      { kitsId: kit.kitsId, kitNumber: 'nobody has it' },
    ]);
  }

  /** The next step of some kit's, or the one after it, so that what lies between comes too late. */
  #job(): string {
    const kit = this.#pick(this.#kits);
    const reached = this.#reached.get(kit) ?? placeOf(kit.initial);
    const step = this.#pick([-1, 1, 1, 2]);
    const place = Math.min(Math.max(reached + step, 1), WAY.length - 1);
    this.#reached.set(kit, Math.max(reached, place));
    const jobId = `job-${this.jobs.size + 1}`;
    this.jobs.set(jobId, { kit, place });
    const occurredAt = new Date(Date.UTC(2026, 0, 1) + place * 3_600_000).toISOString();
    const ready = place === WAY.length - 1 && this.#random() < 0.5;
    return JSON.stringify({
      jobId,
      type: ready ? 'kit.results-ready' : 'kit.status-changed',
      version: 1,
      occurredAt,
      data: ready ? {} : { status: WAY[place] },
      ...this.#references(kit),
    });
  }

  #nonsense(): string {
    const jobId = `garbage-${this.garbage.size + 1}`;
    const sound = {
      jobId,
      type: 'kit.status-changed',
      version: 1,
      occurredAt: '2026-01-01T00:00:00Z',
      data: { status: 'received' },
      ...this.#references(this.#pick(this.#kits)),
    };
    const body = this.#pick<unknown>([
      jobId,
      { ...sound, type: 'kit.lost' },
      { ...sound, version: 2 },
      { ...sound, data: { status: 'lost' } },
      {
        ...sound,
        kitsId: undefined,
        kitId: 999_999,
        practitionerKitId: undefined,
        kitNumber: 'none',
      },
      { jobId, type: sound.type, version: 1, occurredAt: sound.occurredAt, data: sound.data },
    ]);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    this.garbage.add(text);
    return text;
  }

  async #work(): Promise<void> {
    while (this.#running) {
      const jobs = Array.from({ length: 6 }, () => this.#job());
      this.#sent.push(...jobs);
      const again = [this.#pick(this.#sent), this.#pick(this.#sent)];
      const garbage = this.#random() < 0.3 ? [this.#nonsense()] : [];
      await this.#given.send([...jobs, ...again, ...garbage]);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }

  start(): this {
    this.#ended = this.#work();
    return this;
  }

  /** Resolves when the last batch was sent. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
  }

  /** Where each kit must have come to, by its kits id: as far as any job has led it. */
  expected(): Map<string, string> {
    const places = new Map(this.#kits.map((kit) => [kit, placeOf(kit.initial)]));
    for (const { kit, place } of this.jobs.values())
      places.set(kit, Math.max(places.get(kit) ?? 0, place));
    return new Map([...places].map(([{ kitsId }, place]) => [kitsId, String(WAY[place])]));
  }
}
