/**
 * A whole migration and the way back, alone in its process, on the database whose URL is given; prints the most
 * memory that the process had, in bytes.
 */
import { bindInstalled, openDatabase } from '@unified-kits/data';
import { referenceMapping } from '@unified-kits/domain';
import { OURS } from './contenders.ts';
import { measureParity, measureRollback, toMirrored } from './measures.ts';
import { reset } from './reset.ts';

const SAMPLE_MS = 20;

let most = 0;
const look = () => {
  most = Math.max(most, process.memoryUsage.rss());
};
// Not the kernel's own maximum: a process inherits that of the one which started it.
const sampling = setInterval(look, SAMPLE_MS);
const db = openDatabase(process.argv[2] ?? '', 6);
const binding = await db.transaction({}, (session) => bindInstalled(session, referenceMapping));
await reset(db, binding);
await OURS.run(db, binding, undefined);
await toMirrored(db, binding);
await measureParity(db, binding);
await measureRollback(db, binding);
look();
clearInterval(sampling);
await db.close();
process.stdout.write(String(most));
