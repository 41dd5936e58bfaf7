/**
 * Into how many parts the hashes are divided (a power of two): the search for duplicates holds one in
 * memory at a time, and can stop between two.
 */
export const BUCKETS = 16;
