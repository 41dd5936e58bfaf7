import { setTimeout as sleep } from 'node:timers/promises';
import { CopyYielded, SOURCES } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import { project } from '../projection/projection.ts';
import { copyChunk } from './copy-chunk.ts';

/** Measured: size hardly matters between 1 k and 100 k rows; about 200 ms is kind to everything else. */
const TARGET_MS = 250;
const ROWS = { first: 2_000, least: 200, most: 20_000 };
/** Losing a lock again and again means that something holds one: time to tell somebody. */
const MOST_YIELDS = 60;

export interface LaneOptions {
  readonly batchId: string;
  /** Stop before this, in milliseconds of `Date.now()`. */
  readonly deadline: number;
  /** This lane's ceiling in rows per second, read between chunks; 0 pauses, undefined is none. */
  readonly rowsPerSecond: () => Promise<number | undefined>;
  /** Why the database should be spared now, or undefined. */
  readonly unwell: () => Promise<string | undefined>;
  readonly onProgress?: (rows: number) => void;
}

export interface LaneResult {
  readonly rows: number;
  /** Whether no range is left for anybody. */
  readonly done: boolean;
  /** Milliseconds spent waiting for the ceiling or the database's health. */
  readonly waitedMs: number;
  /** The last reason for waiting, if any. */
  readonly waitedFor: string | undefined;
}

/**
 * Copies chunk after chunk until nothing is left or the deadline is near. The chunk size follows the
 * time that the last one took.
 *
 * @throws {CopyYielded} when it lost its locks too often.
 */
export const copyLane = async (
  db: Database,
  binding: Binding,
  options: LaneOptions,
): Promise<LaneResult> => {
  const projections = new Map(
    SOURCES.map((source) => [source as string, project(binding, binding.sources[source])]),
  );
  let [size, rows, waitedMs, yields] = [ROWS.first, 0, 0, 0];
  let waitedFor: string | undefined;
  const wait = async (milliseconds: number, reason: string) => {
    const pause = Math.max(0, Math.min(milliseconds, options.deadline - Date.now()));
    waitedMs += pause;
    waitedFor = reason;
    await sleep(pause);
  };
  while (Date.now() < options.deadline) {
    const ceiling = await options.rowsPerSecond();
    const reason = ceiling === 0 ? 'copy-rows-per-second is 0' : await options.unwell();
    if (reason !== undefined) {
      await wait(500, reason);
      continue;
    }
    const began = Date.now();
    try {
      const result = await copyChunk(db, projections, options.batchId, size);
      yields = 0;
      if (result.outcome === 'finished') return { rows, done: true, waitedMs, waitedFor };
      if (result.outcome === 'busy') {
        await sleep(50);
        continue;
      }
      rows += result.rows;
      options.onProgress?.(result.rows);
      const took = Math.max(1, Date.now() - began);
      size = Math.round(
        Math.min(
          ROWS.most,
          Math.max(ROWS.least, size * Math.min(2, Math.max(0.5, TARGET_MS / took))),
        ),
      );
      if (ceiling !== undefined)
        await wait(
          (result.rows / ceiling) * 1000 - took,
          `copy-rows-per-second is ${ceiling} per lane`,
        );
    } catch (error) {
      if (!hasSqlState(error, SQLSTATE.lockNotAvailable, SQLSTATE.deadlockDetected)) throw error;
      yields += 1;
      if (yields >= MOST_YIELDS)
        throw new CopyYielded(
          `the copy of batch ${options.batchId} lost its locks ${yields} times in a row: look for a session that holds a lock on kits or the legacy tables`,
          { cause: error },
        );
      await sleep(50 + Math.random() * 200);
    }
  }
  return { rows, done: false, waitedMs, waitedFor };
};
