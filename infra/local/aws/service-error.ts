import { z } from 'zod';

/** An error as AWS answers it: its name is what the SDK client's exception is called. */
export class ServiceError extends Error {
  override readonly name: string;
  /** HTTP status. The SDK retries 5xx by itself. */
  readonly status: number;

  constructor(name: string, message: string, status = 400) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

/**
 * Reads a request's body.
 *
 * Members we do not implement are refused and not ignored: a filter that filters nothing would let a
 * test pass here and fail on AWS.
 *
 * @throws ServiceError `ValidationException` naming every wrong or unsupported member.
 */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new ServiceError('ValidationException', z.prettifyError(parsed.error));
}

/** Seconds since the epoch, as the AWS JSON protocols write a time. */
export function epochSeconds(milliseconds: number): number {
  return milliseconds / 1000;
}
