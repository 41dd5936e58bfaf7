/** What must never be. */
export const RULES = {
  'lost write': 'an acknowledged write is not in the authoritative store',
  'effect of nothing': 'a refused write, or one that nobody made, had an effect',
  'half a write': 'one request or transaction is there in part',
  'not once': 'a kit is there more than once, or one that nobody made',
  'stale read': 'a read shows what was overwritten before it began',
  'mirror refused': 'a client’s write failed in the mirror',
  'valid write refused': 'a client’s statement failed, though nothing was wrong with it',
  'lost job': 'a job that the queue took is neither handled nor given up nor waiting',
  'events differ': 'the outbox does not tell each applied change once and in order',
  'event not sent':
    'an event of the outbox never arrived in its queue, or one arrived that is not in it',
  'illegal flip': 'the stages do not follow one another as they may',
  'stores differ': 'a kit is not the same in both stores, and nothing notes it',
  'another id': 'a kit has not always had the same id in kits',
  'left behind': 'a rollback has left something',
  'not restored': 'a legacy row is not what it was, in what nobody wrote',
  'unforeseen error': 'an execution failed with an error that tells nobody what to do',
  'never came': 'without faults the system did not come to where it was sent',
} as const;
export type Rule = keyof typeof RULES;

/** Something that is not as it must be, told by the names of kits, jobs or operations. */
export interface Violation {
  readonly rule: Rule;
  readonly detail: string;
}
