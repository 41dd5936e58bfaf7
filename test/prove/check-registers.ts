import type { Evidence, EvidentKit } from './evidence.ts';
import { type Assignment, type Done, type Entry, type Field, operations } from './history.ts';
import type { Violation } from './violation.ts';

type Value = string | null;
type Write = Done<Extract<Done['what'], { readonly do: 'write' }>>;

/** A write of one register, as part of an operation. */
interface Part {
  readonly op: Write;
  readonly value: Value;
}

const isWrite = (done: Done): done is Write => done.what.do === 'write';
const nameOf = ({ kit, field }: Pick<Assignment, 'kit' | 'field'>) => `${kit}.${field}`;

/** One register: what was there at first, and every write of it that may have had an effect. */
interface Register {
  readonly kit: string;
  readonly field: Field;
  readonly initial: Value;
  readonly parts: readonly Part[];
  /** Values whose writes were refused. */
  readonly refused: ReadonlySet<Value>;
}

const FIELDS: readonly Field[] = ['exists', 'orderId', 'kitType'];

/** What a store holds of a register. */
const heldIn = (kit: EvidentKit | undefined, field: Field): Value => {
  if (field === 'exists') return kit === undefined ? 'no' : 'yes';
  return kit?.[field] ?? null;
};

const registersOf = (
  writes: readonly Write[],
  original: ReadonlyMap<string, EvidentKit>,
): ReadonlyMap<string, Register> => {
  const parts = new Map<string, Part[]>();
  const refused = new Map<string, Set<Value>>();
  for (const op of writes)
    for (const assignment of op.what.writes) {
      const name = nameOf(assignment);
      if (op.outcome === 'failed')
        refused.set(name, (refused.get(name) ?? new Set()).add(assignment.value));
      else parts.set(name, [...(parts.get(name) ?? []), { op, value: assignment.value }]);
    }
  const kits = new Set([
    ...original.keys(),
    ...writes.flatMap((op) => op.what.writes.map((one) => one.kit)),
  ]);
  const registers = new Map<string, Register>();
  for (const kit of kits)
    for (const field of FIELDS) {
      const name = nameOf({ kit, field });
      registers.set(name, {
        kit,
        field,
        initial: heldIn(original.get(kit), field),
        parts: parts.get(name) ?? [],
        refused: refused.get(name) ?? new Set(),
      });
    }
  return registers;
};

/** Whether a later write had been acknowledged before `from`, so that nobody may see this one any more. */
const isSuperseded = (register: Register, part: Part | undefined, from: number): boolean =>
  register.parts.some(
    (other) =>
      other.op.outcome === 'ok' && other.op.from > (part?.op.to ?? -1) && other.op.to < from,
  );

/** The values that a register may show to who looks from `from` to `to`. */
const possible = (register: Register, from: number, to: number): ReadonlySet<Value> => {
  const values = new Set<Value>();
  if (!isSuperseded(register, undefined, from)) values.add(register.initial);
  for (const part of register.parts)
    if (part.op.from < to && !isSuperseded(register, part, from)) values.add(part.value);
  return values;
};

const told = (values: Iterable<Value>) => [...values].map((one) => one ?? 'nothing').join(' or ');

const judgeFinal = (register: Register, value: Value): Violation | undefined => {
  const values = possible(register, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  if (values.has(value)) return undefined;
  const written = register.parts.some((part) => part.value === value) || value === register.initial;
  return {
    rule: written || !register.refused.has(value) ? 'lost write' : 'effect of nothing',
    detail: `${nameOf(register)} is ${told([value])}, and must be ${told(values)}`,
  };
};

/** Where a part of an operation certainly is there, and another certainly is not. */
const halves = (
  writes: readonly Write[],
  registers: ReadonlyMap<string, Register>,
  stored: ReadonlyMap<string, EvidentKit>,
): readonly Violation[] =>
  writes.flatMap((op): Violation[] => {
    if (op.what.writes.length < 2 || op.outcome === 'failed') return [];
    const states = op.what.writes.map((assignment) => {
      const { kit, field, value } = assignment;
      if (heldIn(stored.get(kit), field) === value) return 'there';
      const followed = [nameOf(assignment), nameOf({ kit, field: 'exists' })].some((name) =>
        registers.get(name)?.parts.some((part) => part.op !== op && part.op.to > op.from),
      );
      return followed ? 'followed' : 'missing';
    });
    // That a kit exists says nothing of who made it, but nobody else makes one of this number.
    return states.includes('there') && states.includes('missing')
      ? [
          {
            rule: 'half a write',
            detail: `operation ${op.op}: ${op.what.writes.map((one, index) => `${nameOf(one)} is ${states[index]}`).join(', ')}`,
          },
        ]
      : [];
  });

/** A read that began after a write was acknowledged shows it, or a later one. */
const staleReads = (
  done: readonly Done[],
  registers: ReadonlyMap<string, Register>,
): readonly Violation[] => {
  const violations: Violation[] = [];
  for (const read of done)
    for (const [kit, seen] of Object.entries(read.seen)) {
      const judge = (field: Field, value: Value) => {
        const register = registers.get(nameOf({ kit, field }));
        if (register === undefined) return;
        const values = possible(register, read.from, read.to);
        if (!values.has(value))
          violations.push({
            rule: register.refused.has(value) ? 'effect of nothing' : 'stale read',
            detail: `operation ${read.op} of ${read.client} saw ${nameOf(register)} as ${told([value])}, and must see ${told(values)}`,
          });
      };
      judge('exists', seen === null ? 'no' : 'yes');
      if (seen === null) continue;
      judge('orderId', seen.orderId);
      judge('kitType', seen.kitType);
    }
  return violations;
};

/** A status never goes back: not from one read to a later one, nor behind the first. */
const backwards = (done: readonly Done[]): readonly Violation[] => {
  const reads = done.flatMap((read) =>
    Object.entries(read.seen).flatMap(([kit, seen]) =>
      seen === null ? [] : [{ kit, place: seen.place, read }],
    ),
  );
  return [...Map.groupBy(reads, ({ kit }) => kit)].flatMap(([kit, of]): Violation[] => {
    const byEnd = of.toSorted((one, other) => one.read.to - other.read.to);
    const byStart = of.toSorted((one, other) => one.read.from - other.read.from);
    let [highest, next] = [{ place: -1, op: 0 }, 0];
    for (const { place, read } of byStart) {
      for (; (byEnd[next]?.read.to ?? Number.POSITIVE_INFINITY) < read.from; next += 1) {
        const ended = byEnd[next];
        if (ended !== undefined && ended.place > highest.place)
          highest = { place: ended.place, op: ended.read.op };
      }
      if (place < highest.place)
        return [
          {
            rule: 'stale read',
            detail: `operation ${read.op} of ${read.client} saw ${kit} at place ${place}, operation ${highest.op} had seen it at ${highest.place} before`,
          },
        ];
    }
    return [];
  });
};

/** SQLSTATEs of what a statement asks for: faults of the data or of the schema, of which no client here has any. */
const MALFORMED = /^(?:22|23|42|XX)/;

/** Every acknowledged write is there, whole, once and to be seen at once; no refused one is. */
export const checkRegisters = (
  entries: readonly Entry[],
  { original, stored }: Pick<Evidence, 'original' | 'stored'>,
): readonly Violation[] => {
  const done = operations(entries);
  const writes = done.filter(isWrite);
  const kits = new Map(stored.map((kit) => [kit.number, kit]));
  const registers = registersOf(writes, new Map(original.map((kit) => [kit.number, kit])));
  const violations: Violation[] = [];
  for (const [number, rows] of Map.groupBy(stored, (kit) => kit.number)) {
    if (rows.length > 1)
      violations.push({ rule: 'not once', detail: `${number} is there ${rows.length} times` });
    if (!registers.has(nameOf({ kit: number, field: 'exists' })))
      violations.push({ rule: 'not once', detail: `nobody made ${number}` });
  }
  for (const register of registers.values()) {
    const kit = kits.get(register.kit);
    if (kit === undefined && register.field !== 'exists') continue;
    const violation = judgeFinal(register, heldIn(kit, register.field));
    if (violation !== undefined) violations.push(violation);
  }
  for (const { op, what, refusedBy, fault } of writes)
    if (refusedBy !== undefined)
      violations.push({
        rule: 'mirror refused',
        detail: `operation ${op} was refused by ${refusedBy}: ${fault ?? 'no reason'}`,
      });
    else if (what.by === 'sql' && fault !== undefined && MALFORMED.test(fault))
      violations.push({ rule: 'valid write refused', detail: `operation ${op}: ${fault}` });
  return [
    ...violations,
    ...halves(writes, registers, kits),
    ...staleReads(done, registers),
    ...backwards(done),
  ];
};
