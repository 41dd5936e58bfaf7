import { setTimeout as sleep } from 'node:timers/promises';
import { FLAG_NAMES } from '@unified-kits/domain';
import type { FaultKind, PlannedFault } from './faults.ts';
import type { History } from './history.ts';
import type { Operator, Until } from './operator.ts';
import type { ProveSystem, SeenCall } from './prove-system.ts';
import { CLIENTS, PRACTITIONERS, type ProveServer, ROWS } from './server.ts';
import { mirrorThatFailed } from './sql-client.ts';

const UNTILS: readonly Until[] = ['mirrored', 'dual-write', 'unified', 'closed'];
const HOUR_MS = 3_600_000;
/** Faults in the middle of one call; those that are left wait for the next such call. */
const MOST_AT_ONCE = 2;

/**
 * As a VACUUM made by hand locks a table. A lock that kept notes out of the backlog would rightly have
 * writes refused: a key that nobody can note must not be written.
 */
const BESIDE_WRITERS = 'share update exclusive';

/** Makes the planned faults happen, and undoes what does not pass by itself. */
export class Nemesis {
  readonly #system: ProveSystem;
  readonly #operator: Operator;
  readonly #history: History;
  readonly #server: ProveServer;
  readonly #waiting: PlannedFault[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #stopped = new AbortController();
  /** The last call of the copy: what it was told is what a stray call would be told. */
  #lastRun: SeenCall['event'] | undefined;

  constructor(system: ProveSystem, operator: Operator, history: History, server: ProveServer) {
    this.#system = system;
    this.#operator = operator;
    this.#history = history;
    this.#server = server;
  }

  start(faults: readonly PlannedFault[]): void {
    for (const fault of faults)
      if ('atMs' in fault.when) this.#later(fault, fault.when.atMs);
      else this.#waiting.push(fault);
    this.#system.listeners.add(this.#seen);
  }

  readonly #seen = ({ name, event }: SeenCall): void => {
    if (name === 'phase2-migration' && 'run' in event && 'batchId' in event) this.#lastRun = event;
    const step = `${name} ${String(event.action)}`;
    for (let n = 1; n <= MOST_AT_ONCE; n += 1) {
      const index = this.#waiting.findIndex(({ when }) => 'during' in when && when.during === step);
      const [fault] = index === -1 ? [] : this.#waiting.splice(index, 1);
      if (fault !== undefined && 'during' in fault.when) this.#later(fault, fault.when.afterMs);
    }
  };

  #later(fault: PlannedFault, milliseconds: number): void {
    const { signal } = this.#stopped;
    const happening = (async () => {
      await sleep(milliseconds, undefined, { signal });
      this.#history.note(`fault: ${fault.kind}`, fault);
      await this.#happen[fault.kind](fault);
    })().catch((error: unknown) => {
      if (!signal.aborted)
        this.#history.note(`fault: ${fault.kind} came to nothing`, {
          error: error instanceof Error ? error.message : String(error),
        });
    });
    this.#underWay.add(happening);
    happening.finally(() => this.#underWay.delete(happening));
  }

  async #sql(text: string, values: readonly unknown[] = []) {
    return this.#system.admin.query(text, values, { asApplication: true, lockTimeoutMs: 4_000 });
  }

  /** Holds what a statement locks for a while, as somebody does who went for lunch. */
  #hold(statement: string, milliseconds: number): Promise<void> {
    return this.#system.admin.transaction(
      { asApplication: true, lockTimeoutMs: 4_000 },
      async (session) => {
        await session.query(statement);
        await sleep(milliseconds);
      },
    );
  }

  readonly #happen: Readonly<Record<FaultKind, (fault: PlannedFault) => Promise<void> | void>> = {
    'kill phases': () => this.#system.processes.phases.kill(),
    'kill service': () => this.#system.processes.service.kill(),
    'kill both': () => {
      this.#system.processes.phases.kill();
      this.#system.processes.service.kill();
    },
    'terminate backends': async ({ size }) => {
      await this.#sql(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name in ('unified-kits', 'prove-sql') and pid <> pg_backend_pid()
            and client_port <> inet_client_port() and (xact_start is not null or $1 > 0.8)
          order by md5(pid::text || $1) limit 1 + floor($1 * 3)::int`,
        [size],
      );
    },
    interrupt: ({ size, choice, statements }) => {
      const statement = statements[Math.floor(choice * statements.length)];
      if (statement === undefined) return;
      const hold = size < 0.3 ? undefined : Math.round(((size - 0.3) / 0.7) ** 2 * 1_200);
      void this.#system.network.interrupt({ statement, hold });
    },
    'crash postgres': () => this.#server.crash?.(),
    'disk full': ({ size }) => this.#server.fillDisk?.(Math.round(200 + size * 1_200)),
    cut: ({ size }) => {
      const all = size < 0.4;
      let n = size;
      this.#system.network.cut(() => {
        n = (n * 16_807) % 1;
        return all || n < 0.5;
      });
    },
    delay: async ({ size }) => {
      this.#system.network.delay(Math.round(1 + size * 25));
      await sleep(800);
      this.#system.network.delay(0);
    },
    freeze: ({ size }) => this.#system.network.freeze(Math.round(100 + size * 1_500)),
    'lose commits': ({ size }) => this.#system.network.loseCommits(1 + Math.floor(size * 4)),
    'hold rows': async ({ size, choice }) => {
      const table = choice < 0.3 ? 'kits' : choice < 0.65 ? 'kit' : 'practitioner_kits';
      const rows = choice * 10 - Math.floor(choice * 10) < 0.5 ? 3 : 40;
      await this.#hold(
        `select from ${table} order by kit_number limit ${rows} for update`,
        Math.round(200 + size * 1_800),
      );
    },
    'lock tables': async ({ size, choice }) => {
      const table = choice < 0.4 ? 'kits' : choice < 0.7 ? 'kit' : 'migration.pending_sync';
      await this.#hold(
        `lock table ${table} in ${table === 'migration.pending_sync' ? BESIDE_WRITERS : 'share row exclusive'} mode`,
        Math.round(100 + size * 1_200),
      );
    },
    'duplicate number': async ({ size, choice }) => {
      // A practitioner's kit with a client's number; refused once kits is authoritative.
      const number = `K${1 + Math.floor(choice * ROWS)}`;
      const [row] = await this.#sql(
        `insert into practitioner_kits (kit_number, practitioner_id) values ($1, md5('practitioner0')::uuid) returning id::text`,
        [number],
      ).catch((error: unknown) => {
        const refusedBy = mirrorThatFailed(error);
        if (refusedBy !== undefined) {
          const op = this.#history.invoke('nemesis', { do: 'write', by: 'sql', writes: [] });
          this.#history.returned(op, 'failed', { refusedBy, fault: 'a number that is taken' });
        }
        throw error;
      });
      await sleep(300 + size * 1_500, undefined, { signal: this.#stopped.signal }).catch(
        () => undefined,
      );
      await this.#undoDuplicate(String(row?.id));
    },
    flag: async ({ size, choice }) => {
      const flag = FLAG_NAMES[Math.floor(choice * 5)] ?? 'unifiedReads';
      await this.#system.setFlag(
        flag,
        flag === 'shadowReads' ? Math.floor(size * 100) : size < 0.5,
      );
    },
    'unreadable flags': ({ size, choice }) => {
      const times = 3 + Math.floor(size * 9);
      const operation =
        choice < 0.5 ? 'GetParameters' : choice < 0.8 ? 'GetParameter' : 'PutParameter';
      this.#system.aws.failNext(operation, 'InternalServerError', times);
    },
    deaf: async ({ size }) => {
      this.#system.faults.deaf = true;
      await sleep(500 + size * 2_500, undefined, { signal: this.#stopped.signal }).catch(
        () => undefined,
      );
      this.#system.faults.deaf = false;
    },
    twice: ({ size }) => {
      this.#system.faults.twice = 1 + Math.floor(size * 6);
    },
    'lost answers': ({ size }) => {
      this.#system.faults.lost = 1 + Math.floor(size * 4);
    },
    clock: async ({ size, choice }) => {
      const process = this.#system.processes[choice < 0.5 ? 'phases' : 'service'];
      process.jump(Math.round((size - 0.5) * 4 * HOUR_MS));
      await sleep(600, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
      process.jump(0);
    },
    'out of order': async ({ size }) => {
      if (this.#lastRun === undefined) return;
      const { run, batchId } = this.#lastRun;
      const actions = ['drain', 'drain', 'mirror', 'finish', 'copy', 'drain'];
      const action = actions[Math.floor(size * actions.length)];
      for (let n = 1; n <= 4; n += 1) {
        const call = this.#system.invoke('phase2-migration', { action, run, batchId, lane: 0 });
        await call.catch((error: unknown) => {
          this.#history.note(`out of order: ${action}`, {
            error: error instanceof Error ? error.name : String(error),
          });
        });
        await sleep(size * 100);
      }
    },
    'second cutover': async ({ choice, size }) => {
      await this.#operator.cutover(
        UNTILS[Math.floor(choice * UNTILS.length)] ?? 'closed',
        size < 0.5,
      );
    },
    rollback: async () => {
      await this.#operator.rollback();
    },
    abort: () => this.#operator.abort(),
    'change owner': async ({ size, choice }) => {
      // To a user of no other practitioner: two of one user are a blocker of the analysis.
      const practitioner = Math.floor(choice * PRACTITIONERS);
      const user = CLIENTS + 14 + 4 * practitioner + Math.floor(size * 4);
      await this.#sql(
        `update practitioners set user_id = md5('user' || $2)::uuid where id = md5('practitioner' || $1)::uuid`,
        [practitioner, user],
      );
    },
  };

  /** In whichever store it can be deleted by now. */
  async #undoDuplicate(id: string): Promise<void> {
    for (let tries = 1; tries <= 40; tries += 1)
      try {
        const deleted = await this.#sql(
          'delete from practitioner_kits where id::text = $1 returning id',
          [id],
        );
        if (deleted.length > 0) return;
        await this.#sql(`delete from kits where source = 'practitioner_kits' and legacy_id = $1`, [
          id,
        ]);
        return;
      } catch {
        await this.#sql(`delete from kits where source = 'practitioner_kits' and legacy_id = $1`, [
          id,
        ]).catch(() => undefined);
        await sleep(100);
      }
  }

  /** After it has healed: those whose step has not come yet may come now. */
  goOn(): void {
    this.#stopped = new AbortController();
    this.#system.listeners.add(this.#seen);
  }

  /** No fault for now; resolves when those under way have passed. */
  async heal(): Promise<void> {
    this.#stopped.abort();
    this.#system.listeners.delete(this.#seen);
    Object.assign(this.#system.faults, { twice: 0, lost: 0, deaf: false });
    await Promise.allSettled(this.#underWay);
    this.#system.network.heal();
    for (const process of Object.values(this.#system.processes)) process.jump(0);
    this.#history.note('no more faults');
  }
}
