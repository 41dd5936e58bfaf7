import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Caller,
  isNeighbour,
  type Source,
  STAGE_DEFINITIONS,
  type Stage,
} from '@unified-kits/domain';
import fc from 'fast-check';
import type { ApiClient, ApiResponse, ApiRig } from './api.ts';
import {
  type Content,
  keptFields,
  kitKey,
  legacyWord,
  readStore,
  type StoredKit,
  shownKit,
  unifiedWord,
} from './store-content.ts';

/** What an event of the outbox must say; the same whichever store led. */
interface ExpectedEvent {
  readonly type: string;
  readonly source: Source;
  readonly legacyId: string;
  readonly ownerType: string;
  readonly status: string;
  readonly previousStatus: string | null;
  readonly changed: readonly string[];
}

/** A kit as it was last acknowledged. One writer at a time has it; who reads meanwhile learns nothing of it. */
export class ModelKit {
  readonly source: Source;
  readonly id: string;
  /** Undefined once it has been deleted. */
  content: Content | undefined;
  /** Never changes, not even when it is rolled back and migrated again. */
  kitsId: string | undefined;
  readonly events: ExpectedEvent[] = [];
  /** Odd while somebody writes it. */
  version = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ source, id, content }: StoredKit) {
    this.source = source;
    this.id = id;
    this.content = content;
  }

  /** Writes it alone. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#last.then(async () => {
      this.version += 1;
      try {
        return await work();
      } finally {
        this.version += 1;
      }
    });
    this.#last = mine.catch(() => {});
    return mine;
  }
}

/** All kits as they were last acknowledged, and what happened to them. */
export class Model {
  readonly kits = new Map<string, ModelKit>();
  /** What was done, in order, for whoever must understand a failure: keys and verdicts. */
  readonly trace: string[] = [];
  readonly #births = { begun: 0, ended: 0 };

  constructor(stored: Iterable<StoredKit>) {
    for (const kit of stored) this.kits.set(kitKey(kit.source, kit.id), new ModelKit(kit));
  }

  note(line: string): void {
    this.trace.push(line);
  }

  /** @throws with the last of the trace. */
  fail(message: string): never {
    throw new Error(`${message}\n${this.trace.slice(-60).join('\n')}`);
  }

  /** What differs of a kit, by names. */
  differences(kit: ModelKit, seen: Content | undefined): readonly string[] {
    const { content } = kit;
    if (content === undefined || seen === undefined)
      return content === seen ? [] : [content === undefined ? 'is still there' : 'is not there'];
    return [...new Set([...Object.keys(content), ...Object.keys(seen)])].filter(
      (name) => content[name] !== seen[name],
    );
  }

  assertSeen(kit: ModelKit, seen: Content | undefined, where: string): void {
    const names = this.differences(kit, seen);
    if (names.length === 0) return;
    const told = names.map((name) => `${name}: ${kit.content?.[name]} → ${seen?.[name]}`);
    this.fail(
      `${where}: ${kit.source} ${kit.id} is not as it was acknowledged: ${told.join('; ')}`,
    );
  }

  /**
   * Notes a kit that is made meanwhile, whose key nobody knows before.
   *
   * @param grow what its maker does with it before anybody else
   */
  async birth<Made extends { readonly stored: StoredKit }>(
    make: () => Promise<Made>,
    grow: (kit: ModelKit, made: Made) => Promise<void> = async () => {},
  ): Promise<void> {
    this.#births.begun += 1;
    const made = await make();
    const kit = new ModelKit(made.stored);
    const grown = kit.alone(() => grow(kit, made));
    this.kits.set(kitKey(kit.source, kit.id), kit);
    this.#births.ended += 1;
    await grown;
  }

  /** Tells whether, from now until it is asked, no kit was being born. */
  watchBirths(): () => boolean {
    const { begun, ended } = this.#births;
    return () => begun === ended && this.#births.begun === begun;
  }

  /** A kit's id in `kits` is the same for ever. */
  known(kit: ModelKit, kitsId: string): void {
    kit.kitsId ??= kitsId;
    if (kit.kitsId !== kitsId) this.fail(`${kit.source} ${kit.id} has another kits id than before`);
  }
}

type Contract = 'legacy' | 'v2';

/** What a client writes; the status in the words of `kits`. */
interface Change {
  readonly orderId?: string | null;
  readonly kitType?: string | null;
  readonly metadata?: Readonly<Record<string, unknown>> | null;
  readonly kept?: string | null;
  readonly status?: string;
}

export type ClientCommand =
  | {
      readonly do: 'create';
      readonly contract: Contract;
      readonly lost: Lost;
      readonly change: Omit<Change, 'status'>;
    }
  | {
      readonly do: 'create-taken' | 'create-faulty';
      readonly contract: Contract;
      readonly at: number;
    }
  | { readonly do: 'read' | 'read-foreign'; readonly contract: Contract; readonly at: number }
  | { readonly do: 'list'; readonly contract: Contract; readonly limit: number }
  | {
      readonly do: 'change';
      readonly contract: Contract;
      readonly at: number;
      readonly ifMatch: 'none' | 'right' | 'wrong';
      readonly lost: Lost;
      readonly change: Change;
    }
  | { readonly do: 'race'; readonly contract: Contract; readonly at: number };

/** After how many milliseconds a client loses patience with a request, which it then repeats; null: never. */
type Lost = number | null;

const lost: fc.Arbitrary<Lost> = fc.option(fc.nat({ max: 15 }));
const contract = fc.constantFrom<Contract>('legacy', 'v2');
const at = fc.nat({ max: 20 });
const text = fc.constantFrom(null, 'x', `it's \\ "q"`, 'ü 🧪', '%s $1 --');
const change: fc.Arbitrary<Change> = fc.record(
  {
    orderId: text,
    kitType: text,
    metadata: fc.constantFrom(null, {}, { a: 1 }, { n: [1, { b: null }], 'ü "': -0.5 }),
    kept: fc.constantFrom(null, '', 'kept', 'ü\n'),
    status: fc.constantFrom('registered', 'collected', 'cancelled', 'processing', 'created'),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Change>;

export const clientCommand: fc.Arbitrary<ClientCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      contract,
      lost,
      change: change.map(({ status: _status, ...rest }) => rest),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('create-taken' as const, 'create-faulty' as const),
      contract,
      at,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'read-foreign' as const),
      contract,
      at,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      contract,
      limit: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      contract,
      at,
      ifMatch: fc.constantFrom(
        'none' as const,
        'right' as const,
        'right' as const,
        'wrong' as const,
      ),
      lost,
      change,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('race' as const), contract, at }) },
);

const NEXT: Readonly<Record<string, readonly string[]>> = {
  created: ['registered', 'cancelled'],
  registered: ['collected', 'cancelled'],
  collected: ['cancelled'],
};
const OWNERS = ['registered', 'collected', 'cancelled'];
const TIME: Readonly<Record<string, string>> = {
  registered: 'registeredAt',
  collected: 'collectedAt',
};

/** The status with which a wish is answered, by what the model knows. */
const verdictOn = (kit: ModelKit, wished: string | undefined): 200 | 403 | 409 => {
  const now = unifiedWord(kit.source, kit.content?.status ?? '');
  if (wished === undefined || wished === now) return 200;
  if (!OWNERS.includes(wished)) return 403;
  return NEXT[now]?.includes(wished) === true ? 200 : 409;
};

/** What a kit shows once a change is made. */
const shownBy = (source: Source, { kept, metadata, status, ...texts }: Change): Content => {
  const [name = ''] = keptFields(source);
  return {
    ...texts,
    ...(kept === undefined ? {} : { [name]: kept }),
    ...(metadata === undefined
      ? {}
      : { metadata: metadata === null ? null : JSON.stringify(metadata) }),
    ...(status === undefined ? {} : { status: legacyWord(source, status) }),
  };
};

/** Whether a kit shows all that is asked for: then the change is made, whichever entity tag comes with it. */
const showsAlready = (source: Source, before: Content, wanted: Change): boolean => {
  const fields = Object.entries(shownBy(source, wanted));
  return fields.length > 0 && fields.every(([field, value]) => before[field] === value);
};

let numbers = 0;
/** A kit number that was never used; runs share nothing else. */
export const freshNumber = (): string => {
  numbers += 1;
  return `M-${process.pid}-${numbers}`;
};

/** Somebody with a token, who keeps everything that the API says to what was said before. */
export class Person {
  readonly #model: Model;
  readonly #caller: Caller;
  readonly #client: ApiClient;
  readonly #source: Source;
  readonly #path: string;

  constructor(rig: ApiRig, model: Model, caller: Caller, source: Source) {
    this.#model = model;
    this.#caller = caller;
    this.#client = rig.as(caller);
    this.#source = source;
    this.#path = source === 'kit' ? '/kits' : `/practitioners/${caller.practitionerId}/kits`;
  }

  get #owned(): readonly ModelKit[] {
    return [...this.#model.kits.values()].filter((kit) => this.#owns(kit, kit.source));
  }

  #owns({ content }: ModelKit, source: Source): boolean {
    return source === 'kit'
      ? content?.userId === this.#caller.userId
      : content?.practitionerId === this.#caller.practitionerId &&
          this.#caller.practitionerId !== undefined;
  }

  /** One of the kits that this person's legacy routes show. */
  #pick(index: number): ModelKit | undefined {
    const own = this.#owned.filter(({ source }) => source === this.#source);
    return own[index % own.length];
  }

  #pathOf(asked: Contract, kit: ModelKit): string {
    return asked === 'legacy' ? `${this.#path}/${kit.id}` : `/v2/kits/${kit.kitsId}`;
  }

  #bodyOf(asked: Contract, { kept, status, ...rest }: Change): Record<string, unknown> {
    const [name = ''] = keptFields(this.#source);
    const attributes = kept === undefined ? {} : { [name]: kept };
    return {
      ...rest,
      ...(asked === 'legacy' ? attributes : { attributes }),
      ...(status === undefined
        ? {}
        : { status: asked === 'legacy' ? legacyWord(this.#source, status) : status }),
    };
  }

  #status(response: ApiResponse, ...expected: readonly number[]): void {
    if (!expected.includes(response.status))
      this.#model.fail(`${response.status} instead of ${expected.join(' or ')}: ${response.text}`);
  }

  /** A request whose answer gets lost on the way, sometimes before it has been sent. */
  async #lost(after: number, request: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    await request(AbortSignal.timeout(after)).catch(() => {});
  }

  /** Each answer must be what was acknowledged, whichever way it is asked for. */
  async #readsOwnWrite(kit: ModelKit): Promise<void> {
    const { content } = kit;
    for (const asked of ['legacy', 'v2'] as const) {
      if (asked === 'v2' && kit.kitsId === undefined) continue;
      const response = await this.#client.get(this.#pathOf(asked, kit));
      this.#status(response, content === undefined ? 404 : 200);
      this.#model.assertSeen(
        kit,
        content === undefined ? undefined : shownKit(asked, response.body).content,
        `read back (${asked})`,
      );
      const listed = (await this.#pages(asked, 3)).get(kitKey(kit.source, kit.id));
      this.#model.assertSeen(kit, listed?.content, `list (${asked})`);
    }
  }

  async #pages(asked: Contract, limit: number) {
    const path = asked === 'legacy' ? this.#path : '/v2/kits';
    const found = new Map<string, ReturnType<typeof shownKit>>();
    for (let cursor: unknown = ''; cursor !== null; ) {
      const response = await this.#client.get(
        `${path}?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      this.#status(response, 200);
      for (const body of response.body.kits as Record<string, unknown>[]) {
        const shown = shownKit(asked, body);
        const key = kitKey(shown.source, shown.id);
        if (found.has(key)) this.#model.fail(`${key} is listed twice`);
        found.set(key, shown);
      }
      cursor = response.body.nextCursor;
    }
    return found;
  }

  async #list(asked: Contract, limit: number): Promise<void> {
    const before = this.#owned
      .filter((kit) => asked === 'v2' || kit.source === this.#source)
      .map((kit) => ({ kit, version: kit.version }));
    const noneBorn = this.#model.watchBirths();
    const listed = await this.#pages(asked, limit);
    // Only of kits that nobody wrote meanwhile is it known what the list must show.
    for (const { kit, version } of before)
      if (version % 2 === 0 && kit.version === version)
        this.#model.assertSeen(
          kit,
          listed.get(kitKey(kit.source, kit.id))?.content,
          `list (${asked}, ${limit} a page)`,
        );
    for (const [key, { source, kitsId }] of listed) {
      const kit = this.#model.kits.get(key);
      if (kit !== undefined) this.#model.known(kit, kitsId);
      else if (noneBorn()) this.#model.fail(`a list shows ${source} ${key}, which nobody made`);
    }
  }

  async #create(asked: Contract, lost: Lost, wanted: Omit<Change, 'status'>): Promise<void> {
    const path = asked === 'legacy' ? this.#path : '/v2/kits';
    const kitNumber = freshNumber();
    const body = {
      kitNumber,
      ...(asked === 'v2' ? { ownerType: this.#source === 'kit' ? 'client' : 'practitioner' } : {}),
      ...this.#bodyOf(asked, wanted),
    };
    const headers = { 'idempotency-key': randomUUID() };
    const send = () => this.#client.post(path, body, headers);
    const make = async () => {
      if (lost !== null)
        await this.#lost(lost, (signal) => this.#client.post(path, body, headers, signal));
      let response = await send();
      // The lost one may still be under way.
      for (let tries = 1; response.status === 409 && tries < 20; tries += 1) {
        await sleep(50);
        response = await send();
      }
      this.#status(response, 201);
      return { response, stored: shownKit(asked, response.body) };
    };
    await this.#model.birth(make, async (kit, { response, stored: { content, kitsId } }) => {
      const [name = ''] = keptFields(kit.source);
      const { kept = null, metadata = null, orderId = null, kitType = null } = wanted;
      this.#model.assertSeen(
        kit,
        {
          ...content,
          kitNumber,
          orderId,
          kitType,
          metadata: metadata === null ? null : JSON.stringify(metadata),
          [name]: kept,
          status: legacyWord(kit.source, 'created'),
          registeredAt: null,
          collectedAt: null,
          updatedAt: content.createdAt ?? null,
        },
        'made',
      );
      this.#model.known(kit, kitsId);
      kit.events.push({
        type: 'kit.created',
        source: kit.source,
        legacyId: kit.id,
        ownerType: kit.source === 'kit' ? 'client' : 'practitioner',
        status: 'created',
        previousStatus: null,
        changed: [],
      });
      const again = await send();
      if (again.text !== response.text || again.headers.get('idempotency-replayed') !== 'true')
        this.#model.fail(`${kit.source} ${kit.id}: the repeated request was answered otherwise`);
      await this.#readsOwnWrite(kit);
    });
  }

  /** What an acknowledged change has made of a kit, or fails where it is not what was asked for. */
  #applied(kit: ModelKit, before: Content, wanted: Change, after: Content): void {
    const { status } = wanted;
    const now = unifiedWord(kit.source, before.status ?? '');
    const moved = status !== undefined && status !== now;
    const time = moved ? TIME[status] : undefined;
    const expected: Record<string, string | null> = {
      ...before,
      ...shownBy(kit.source, wanted),
      updatedAt: after.updatedAt ?? null,
    };
    if (time !== undefined) expected[time] = before[time] ?? after.updatedAt ?? null;
    kit.content = expected;
    this.#model.assertSeen(kit, after, 'changed');
    const asked = Object.keys(wanted).filter((field) => field !== 'status' || moved);
    if (asked.length === 0) {
      this.#model.assertSeen(kit, before, 'changed by nothing');
      return;
    }
    if (before.updatedAt === after.updatedAt) this.#model.fail('a change has left the time alone');
    kit.events.push({
      type: !moved
        ? 'kit.updated'
        : status === 'registered'
          ? 'kit.registered'
          : 'kit.status-changed',
      source: kit.source,
      legacyId: kit.id,
      ownerType: kit.source === 'kit' ? 'client' : 'practitioner',
      status: moved ? status : now,
      previousStatus: now,
      changed: Object.keys(expected)
        .filter((field) => expected[field] !== before[field])
        .sort(),
    });
  }

  async #etag(asked: Contract, kit: ModelKit): Promise<string> {
    const response = await this.#client.get(this.#pathOf(asked, kit));
    this.#status(response, 200);
    return response.headers.get('etag') ?? '';
  }

  /** Whether a kit still is what it was, in spite of another entity tag: its practitioner has changed hands. */
  async #isAsBefore(asked: Contract, kit: ModelKit): Promise<boolean> {
    const response = await this.#client.get(this.#pathOf(asked, kit));
    this.#status(response, 200);
    return this.#model.differences(kit, shownKit(asked, response.body).content).length === 0;
  }

  async #change(
    kit: ModelKit,
    command: Extract<ClientCommand, { readonly do: 'change' }>,
  ): Promise<void> {
    const { contract: asked, ifMatch, lost, change: wanted } = command;
    const { content: before } = kit;
    if (before === undefined || (asked === 'v2' && kit.kitsId === undefined)) return;
    const body = this.#bodyOf(asked, wanted);
    const path = this.#pathOf(asked, kit);
    const headers: Record<string, string> =
      ifMatch === 'none'
        ? {}
        : { 'if-match': ifMatch === 'right' ? await this.#etag(asked, kit) : '"another"' };
    // Without an entity tag nobody could say whether what got lost was applied, or will be.
    if (lost !== null && ifMatch === 'right')
      await this.#lost(lost, (signal) => this.#client.patch(path, body, headers, signal));
    let response = await this.#client.patch(path, body, headers);
    if (ifMatch === 'right' && response.status === 412) {
      if (await this.#isAsBefore(asked, kit)) return this.#change(kit, { ...command, lost: null });
      // It was the lost request that changed the kit.
      if (lost !== null) response = await this.#client.get(path);
    }
    const isMade = showsAlready(kit.source, before, wanted);
    this.#status(
      response,
      ifMatch === 'none' && asked === 'v2'
        ? 428
        : ifMatch === 'wrong'
          ? isMade
            ? 200
            : 412
          : verdictOn(kit, wanted.status),
    );
    if (response.status === 200) {
      const shown = shownKit(asked, response.body);
      this.#model.known(kit, shown.kitsId);
      const isUntouched = shown.content.updatedAt === before.updatedAt;
      if (isMade && isUntouched && ifMatch !== 'none')
        this.#model.assertSeen(kit, shown.content, 'made already');
      else this.#applied(kit, before, wanted, shown.content);
    }
    await this.#readsOwnWrite(kit);
  }

  /** Two of the person's devices change one version: one of them does. */
  async #race(kit: ModelKit, asked: Contract): Promise<void> {
    const { content: before } = kit;
    if (before === undefined || (asked === 'v2' && kit.kitsId === undefined)) return;
    const headers = { 'if-match': await this.#etag(asked, kit) };
    const path = this.#pathOf(asked, kit);
    const wishes: readonly Change[] = [{ orderId: 'one' }, { orderId: 'other', kitType: 'raced' }];
    const answers = await Promise.all(
      wishes.map(async (wanted) => ({
        wanted,
        response: await this.#client.patch(path, this.#bodyOf(asked, wanted), headers),
      })),
    );
    for (const { response } of answers) this.#status(response, 200, 412);
    const won = answers.filter(({ response }) => response.status === 200);
    const [winner] = won;
    if (winner === undefined && (await this.#isAsBefore(asked, kit))) return this.#race(kit, asked);
    if (winner === undefined || won.length > 1)
      this.#model.fail(`${kit.source} ${kit.id}: ${won.length} of two changes of one version`);
    this.#applied(kit, before, winner.wanted, shownKit(asked, winner.response.body).content);
    await this.#readsOwnWrite(kit);
  }

  async #refusedBirth(asked: Contract, kitNumber: string, expected: 409 | 422): Promise<void> {
    const ownerType = this.#source === 'kit' ? 'client' : 'practitioner';
    const response = await this.#client.post(
      asked === 'legacy' ? this.#path : '/v2/kits',
      { kitNumber, ...(asked === 'v2' ? { ownerType } : {}) },
      { 'idempotency-key': randomUUID() },
    );
    this.#status(response, expected);
  }

  async take(command: ClientCommand): Promise<void> {
    this.#model.note(`${this.#path}: ${JSON.stringify(command)}`);
    switch (command.do) {
      case 'create':
        return this.#create(command.contract, command.lost, command.change);
      case 'create-faulty':
        return this.#refusedBirth(command.contract, ' begins with a space', 422);
      case 'create-taken': {
        const all = [...this.#model.kits.values()];
        const kit = all[command.at % all.length];
        return kit?.alone(async () => {
          const number = kit.content?.kitNumber;
          if (number != null) await this.#refusedBirth(command.contract, number, 409);
        });
      }
      case 'list':
        return this.#list(command.contract, command.limit);
      case 'read-foreign': {
        const foreign = [...this.#model.kits.values()].filter(
          (kit) => kit.source === this.#source && !this.#owns(kit, kit.source),
        );
        const kit = foreign[command.at % foreign.length];
        if (kit === undefined || (command.contract === 'v2' && kit.kitsId === undefined)) return;
        const path = this.#pathOf(command.contract, kit);
        this.#status(await this.#client.get(path), 404);
        this.#status(
          await this.#client.patch(path, { orderId: 'stolen' }, { 'if-match': '*' }),
          404,
        );
        return;
      }
      default: {
        const kit = this.#pick(command.at);
        if (kit === undefined) return;
        return kit.alone(() => {
          if (command.do === 'change') return this.#change(kit, command);
          if (command.do === 'race') return this.#race(kit, command.contract);
          return this.#readsOwnWrite(kit);
        });
      }
    }
  }
}

/** Holds the authoritative store, the outbox and the audit log to the model, while nobody writes. */
export const assertHolds = async (rig: ApiRig, model: Model): Promise<void> => {
  const session = await rig.legacy.client();
  try {
    await session.query('begin isolation level repeatable read read only');
    const { rows } = await session.query<{ stage: Stage; waiting: number }>(
      'select stage, (select count(*)::int from migration.pending_sync) as waiting from migration.stage',
    );
    const { stage, waiting } = rows[0] ?? model.fail('there is no stage');
    const inStep = (stage === 'mirrored' || stage === 'dual-write') && waiting === 0;
    for (const store of inStep
      ? (['legacy', 'kits'] as const)
      : [STAGE_DEFINITIONS[stage].writes]) {
      const stored = await readStore(session, store);
      for (const kit of model.kits.values())
        model.assertSeen(
          kit,
          stored.get(kitKey(kit.source, kit.id))?.content,
          `${store} in stage "${stage}"`,
        );
      for (const key of stored.keys())
        if (!model.kits.has(key)) model.fail(`${store} has ${key}, which nobody made`);
    }
    await assertOwners(session, model, stage);
    await assertEvents(session, model);
    await assertHistory(session, model);
    await session.query('commit');
  } finally {
    await session.end();
  }
};

type Session = Awaited<ReturnType<ApiRig['legacy']['client']>>;

const assertEvents = async (session: Session, model: Model): Promise<void> => {
  const { rows } = await session.query(
    `select body - 'kitsId' - 'version' as told, body ->> 'kitsId' = kits_id::text as "sameId", kits_id::text as "kitsId" from kits_service.kit_event order by number`,
  );
  const told = new Map<string, unknown[]>();
  for (const { told: event, sameId, kitsId } of rows) {
    const key = kitKey(event.source, event.legacyId);
    told.set(key, [...(told.get(key) ?? []), event]);
    const kit = model.kits.get(key) ?? model.fail(`an event tells of ${key}, which nobody made`);
    model.known(kit, kitsId);
    if (!sameId) model.fail(`an event of ${key} names another kit`);
  }
  for (const [key, kit] of model.kits) {
    const sorted = (event: object) => JSON.stringify(Object.entries(event).sort());
    const [expected, found] = [
      kit.events.map(sorted),
      (told.get(key) ?? []).map((e) => sorted(e as object)),
    ];
    if (expected.join('\n') !== found.join('\n'))
      model.fail(`events of ${key}: ${found.join(' ')} instead of ${expected.join(' ')}`);
  }
};

/** The kits of a practitioner are their user's, or the practitioner is noted. */
const assertOwners = async (session: Session, model: Model, stage: Stage): Promise<void> => {
  if (stage === 'legacy' || stage === 'copying') return;
  const { rows } = await session.query(
    `select k.legacy_id from kits k join practitioners p on p.id = k.practitioner_id
      where k.user_id is distinct from p.user_id
        and not exists (select from migration.pending_sync n where n.source = 'practitioners' or n.legacy_id = k.legacy_id)`,
  );
  if (rows.length > 0)
    model.fail(
      `kits have another user than their practitioner: ${rows.map((row) => row.legacy_id)}`,
    );
};

/** Every flip that was ever made led from the stage before it to a neighbour. */
const assertHistory = async (session: Session, model: Model): Promise<void> => {
  const { rows } = await session.query<{ from: Stage; to: Stage }>(
    `select detail ->> 'from' as "from", detail ->> 'to' as "to" from migration.event where action = 'flip' order by id`,
  );
  let stage: Stage = 'legacy';
  for (const { from, to } of rows) {
    if (from !== stage || !isNeighbour(from, to))
      model.fail(`a flip from "${from}" to "${to}" in stage "${stage}"`);
    stage = to;
  }
};

/** All kits of the authoritative store. */
export const storedKits = async (rig: ApiRig): Promise<readonly StoredKit[]> => {
  const session = await rig.legacy.client();
  try {
    const { rows } = await session.query<{ stage: Stage }>('select stage from migration.stage');
    const stage = rows[0]?.stage ?? 'legacy';
    return [...(await readStore(session, STAGE_DEFINITIONS[stage].writes)).values()];
  } finally {
    await session.end();
  }
};
