import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { WAY } from '../../infra/local/jobs/plan.ts';
import type { History } from './history.ts';
import type { KnownKit } from './kits-known.ts';
import type { Pace } from './pace.ts';

export interface JobProducerOptions {
  readonly name: string;
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  readonly history: History;
  readonly random: () => number;
  readonly kits: readonly KnownKit[];
}

/** The laboratory: leads kits along their way, a step or two at a time, and says some things twice. */
export class JobProducer {
  readonly #options: JobProducerOptions;
  readonly #reached = new Map<string, number>();
  readonly #sent: string[] = [];
  #jobs = 0;

  constructor(options: JobProducerOptions) {
    this.#options = options;
  }

  #dice(limit: number): number {
    return Math.floor(this.#options.random() * limit);
  }

  #references({ source, id, kitsId, number }: KnownKit): object {
    const byId = source === 'kit' ? { kitId: id } : { practitionerKitId: id };
    const all = [byId, { kitNumber: number }, ...(kitsId === undefined ? [] : [{ kitsId }])];
    return all[this.#dice(all.length)] ?? byId;
  }

  async #send(body: string): Promise<boolean> {
    try {
      await this.#options.sqs.send(
        new SendMessageCommand({ QueueUrl: this.#options.queueUrl, MessageBody: body }),
      );
      return true;
    } catch {
      return false;
    }
  }

  async #job(): Promise<void> {
    const { history, kits, name } = this.#options;
    const kit = kits[this.#dice(kits.length)];
    if (kit === undefined) return;
    const reached = this.#reached.get(kit.number) ?? 0;
    const place = Math.min(reached + 1 + this.#dice(2), WAY.length - 1);
    if (place === reached) return;
    this.#reached.set(kit.number, place);
    this.#jobs += 1;
    const jobId = `${name}-${this.#jobs}`;
    const body = JSON.stringify({
      jobId,
      type: 'kit.status-changed',
      version: 1,
      // Long ago, by any clock here; later the further it leads.
      occurredAt: new Date(Date.UTC(2025, 0, 1) + place * 3_600_000).toISOString(),
      data: { status: WAY[place] },
      ...this.#references(kit),
    });
    const op = history.invoke(name, { do: 'job', jobId, kit: kit.number, place });
    history.returned(op, (await this.#send(body)) ? 'ok' : 'unknown');
    this.#sent.push(body);
    const again = this.#sent[this.#dice(this.#sent.length)];
    if (again !== undefined && this.#dice(4) === 0) await this.#send(again);
  }

  async run(signal: AbortSignal, pace: Pace): Promise<void> {
    while (!signal.aborted) {
      await this.#job();
      await pace.pause(this.#options.random());
    }
  }
}
