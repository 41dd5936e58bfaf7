import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a client of ours ends a transaction: the simple query `commit`. */
const COMMIT = Buffer.from('commit\0');
/** How statements begin that leave something behind. */
const WRITES = ['insert into', 'update ', 'delete from'].map((text) => Buffer.from(text));

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  /** Something was written since its last commit. */
  wrote: boolean;
  /** Its commit is on its way, and the answer will not be. */
  losing: boolean;
}

/** Something that is to happen when a statement passes. */
export interface Interruption {
  /** A part of the statement. */
  readonly statement: string;
  /** Holds the statement back for so many milliseconds, or until then; undefined cuts the connection. */
  readonly hold: number | Promise<void> | undefined;
}

/** A network between clients and Postgres that can be made to fail. */
export class Network {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  readonly #server = createServer((client) => this.#accept(client));
  #delayMs = 0;
  #frozen: Promise<unknown> | undefined;
  #commitsToLose = 0;
  readonly #interruptions: { readonly asked: Interruption; readonly happened: () => void }[] = [];

  private constructor(url: URL) {
    this.#target = { host: url.hostname, port: Number(url.port) };
  }

  static async open(url: string): Promise<Network> {
    const network = new Network(new URL(url));
    network.#server.listen(0, '127.0.0.1');
    await once(network.#server, 'listening');
    return network;
  }

  /** The same database by way of this network. */
  through(url: string): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('a TCP address');
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(address.port);
    return changed.href;
  }

  #end(connection: Connection): void {
    this.#connections.delete(connection);
    connection.client.destroy();
    connection.server.destroy();
  }

  #accept(client: Socket): void {
    const server = connect(this.#target);
    const connection: Connection = { client, server, wrote: false, losing: false };
    this.#connections.add(connection);
    for (const socket of [client, server]) {
      socket.setNoDelay();
      socket.on('error', () => this.#end(connection));
      socket.on('close', () => this.#end(connection));
    }
    this.#pass(client, server, async (data) => {
      if (!(await this.#interrupted(connection, data))) return false;
      if (data.includes(COMMIT)) {
        connection.losing = connection.wrote && this.#commitsToLose > 0;
        connection.wrote = false;
        if (connection.losing) this.#commitsToLose -= 1;
      } else if (WRITES.some((text) => data.includes(text))) connection.wrote = true;
      return true;
    });
    this.#pass(server, client, async () => {
      if (connection.losing) this.#end(connection);
      return !connection.losing;
    });
  }

  /** @returns whether what passes is to be passed on. */
  async #interrupted(connection: Connection, data: Buffer): Promise<boolean> {
    const index = this.#interruptions.findIndex(({ asked }) => data.includes(asked.statement));
    const [interruption] = index === -1 ? [] : this.#interruptions.splice(index, 1);
    if (interruption === undefined) return true;
    interruption.happened();
    const { hold } = interruption.asked;
    if (hold === undefined) {
      this.#end(connection);
      return false;
    }
    await (typeof hold === 'number' ? sleep(hold) : hold);
    return true;
  }

  /** In order, however long each piece waits. */
  #pass(from: Socket, to: Socket, wanted: (data: Buffer) => Promise<boolean>): void {
    let tail = Promise.resolve();
    from.on('data', (data: Buffer) => {
      tail = tail.then(async () => {
        await this.#frozen;
        if (this.#delayMs > 0) await sleep(this.#delayMs);
        if ((await wanted(data)) && !to.destroyed) to.write(data);
      });
    });
  }

  /** Cuts connections: all, or each with a chance of one in two. */
  cut(chosen: () => boolean = () => true): number {
    const ended = [...this.#connections].filter(chosen);
    for (const connection of ended) this.#end(connection);
    return ended.length;
  }

  /** Makes everything that passes later by so much, until told otherwise. */
  delay(milliseconds: number): void {
    this.#delayMs = milliseconds;
  }

  /** Nothing passes for so long; then all of it does. */
  async freeze(milliseconds: number): Promise<void> {
    const frozen = sleep(milliseconds);
    this.#frozen = frozen;
    await frozen;
    if (this.#frozen === frozen) this.#frozen = undefined;
  }

  /** Once, when the next such statement passes: then it resolves, never after `heal`. */
  interrupt(asked: Interruption): Promise<void> {
    const { promise, resolve: happened } = Promise.withResolvers<void>();
    this.#interruptions.push({ asked, happened });
    return promise;
  }

  /** Everything passes from now on. */
  heal(): void {
    this.#delayMs = 0;
    this.#commitsToLose = 0;
    this.#interruptions.length = 0;
  }

  /** The answers to the next commits of something written are lost, and their connections with them. */
  loseCommits(count: number): void {
    this.#commitsToLose = count;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
