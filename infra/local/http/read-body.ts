import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * A request's body.
 *
 * @throws Refusal 413 above `maxBytes`, before all of it has arrived; 400 when the client goes away meanwhile,
 * which nobody sees any more.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLong();
  try {
    return await wholeBody(request, maxBytes);
  } catch (error) {
    throw request.destroyed ? new Refusal(400, 'Bad Request') : error;
  }
}

async function wholeBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop would close the connection, and the client would not see why.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxBytes) throw tooLong();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The refusal of what is more than API Gateway or Lambda takes. */
export function tooLong(): Refusal {
  return new Refusal(413, 'Request Too Long');
}
