import { statfs } from 'node:fs/promises';
import { systemCode } from './errors.ts';

/** Server settings by name, as Postgres spells them. */
export type Settings = Readonly<Record<string, string>>;

/** What the durable local server runs with: sized for 2 cores and an ordinary laptop's memory. */
const LAPTOP: Settings = {
  shared_buffers: '512MB',
  effective_cache_size: '2GB',
  maintenance_work_mem: '256MB',
  max_wal_size: '4GB',
  min_wal_size: '256MB',
  checkpoint_timeout: '15min',
  checkpoint_completion_target: '0.9',
  // pglz made draining random keys four times slower right after a checkpoint, and helped the copy nothing.
  wal_compression: 'off',
  random_page_cost: '1.1',
  track_io_timing: 'on',
  max_connections: '100',
  lc_messages: 'C',
  // Kit numbers stand in the details of unique violations and in statements: keep them out of the log.
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
};

/** For a throw-away server: nothing it holds needs to survive a power cut. */
export const THROW_AWAY: Settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '128MB',
  effective_cache_size: '1GB',
  maintenance_work_mem: '64MB',
  max_wal_size: '1GB',
  min_wal_size: '80MB',
};

/** The laptop's settings, with what is asked for on top. */
export async function effectiveSettings(asked: Settings = {}): Promise<Settings> {
  return { ...LAPTOP, ...(await sharedMemory()), ...asked };
}

/** Containers often give /dev/shm 64 MB, which one parallel hash join outgrows. */
async function sharedMemory(): Promise<Settings> {
  try {
    const { bsize, blocks } = await statfs('/dev/shm');
    return bsize * blocks < 1024 ** 3 ? { dynamic_shared_memory_type: 'mmap' } : {};
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return {};
    throw error;
  }
}
