/** Known-bad variants of the protocol: each leaves out, or turns round, one thing that the real code does. */
export const DEFECTS = {
  'fence is a row in the snapshot':
    'triggers read the row of the stage, as the transaction’s snapshot shows it',
  'drain without its lock': 'a drain does not wait for chunks',
  'chunk lock of the worker':
    'the lock of a chunk is its worker’s session’s, and ends with the worker, not with the chunk',
  'two drains at once': 'drains wait for chunks, but not for one another',
  'drain locks no rows':
    'while a mirror is on, a drain does not lock the authoritative rows before it reads them',
  'drain locks no leftovers':
    'while a mirror is on, a drain does not lock what a key without an authoritative row has left',
  'drain reads with what it takes':
    'one snapshot shows a drain the keys and the rows, before the rows are locked',
  'mirror without exception block': 'an error of the mirror is the client’s',
  'mirror of an old snapshot notes nothing':
    'what a snapshot does not show is not mirrored, nor noted',
  'flip without table locks': 'triggers are switched while writers are under way',
  'flip leaves the backlog': 'a flip neither drains the last keys nor looks whether there are any',
  'flip ignores open chunks': 'a flip to "mirrored" does not ask whether the copy is complete',
  'reopening compares nothing':
    'a flip back from "unified" does not ask whether the stores were compared since "closed"',
  'flip judges before it locks':
    'whether stages are neighbours is asked of the stage as it was before the lock',
  'flip begins an ended batch':
    'a flip to "copying" does not ask whether the batch is still active',
  'rollback judges without a lock':
    'the stage is read, not locked, before the batch’s rows are deleted and the batch is ended',
  'batch of the snapshot': 'a row of kits is given the batch that the transaction’s snapshot shows',
  'parity outlives its stage': 'a comparison notes keys whatever stage holds by now',
  'compaction beside a drain': 'repeated keys are removed while a drain holds the others',
  'reads trust the flags': 'a read is answered by the store that the flags name, or once named',
} as const;

export type Defect = keyof typeof DEFECTS;
export const DEFECT_NAMES = Object.keys(DEFECTS) as readonly Defect[];
