/** What the copy is expected to take. Every figure names what it rests on, for none is a promise. */
export interface Estimate {
  readonly rows: number;
  readonly seconds: number;
  readonly kitsBytes: number;
  readonly indexBytes: number;
  readonly diskBytes: number;
  readonly walBytes: number;
  readonly basis: string;
}

/** Measured on two loaded cores: the slowest form of the chunked copy makes 16,339 rows/s. */
const ROWS_PER_SECOND = 15_000;
/** Measured: legacy rows of about 300 bytes become rows of about 390. */
const GROWTH = 1.3;
/** Seven indexes' entries of 30 to 75 bytes at the densities their insertion order leaves. */
const INDEX_BYTES_PER_ROW = 330;
/** Each page is logged row by row, and once in whole after a checkpoint. */
const WAL_PER_BYTE = 2;

/**
 * @param rows rows to copy
 * @param legacyBytes the legacy tables without their indexes, in bytes
 */
export const estimateCopy = (rows: number, legacyBytes: number): Estimate => {
  const kitsBytes = Math.round(legacyBytes * GROWTH);
  const indexBytes = rows * INDEX_BYTES_PER_ROW;
  return {
    rows,
    seconds: Math.ceil(rows / ROWS_PER_SECOND),
    kitsBytes,
    indexBytes,
    diskBytes: kitsBytes + indexBytes,
    walBytes: (kitsBytes + indexBytes) * WAL_PER_BYTE,
    basis: `${ROWS_PER_SECOND} rows/s (the slowest chunked copy measured on two loaded cores was 16,339); kits takes ${GROWTH} of the legacy tables' size, its indexes ${INDEX_BYTES_PER_ROW} bytes a row; WAL ${WAL_PER_BYTE} times both (rows and full-page images)`,
  };
};
