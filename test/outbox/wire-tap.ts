import { FaultProxy, type Filter, type Passage } from '../faults/proxy.ts';

/** What becomes of the first statement that begins with `text`: lost on its way there, or answered with the answer lost. */
export interface Cut {
  readonly text: string;
  readonly lose: 'statement' | 'answer';
}

/** The first statement that begins with `text` is replaced by another, or answered with an error of the server, or both. */
export interface Lie {
  readonly text: string;
  readonly instead?: string;
  readonly errno?: number;
}

/** The first statement that begins with `text` is held until `until` resolves, which is told whose statement came by. */
export interface Hold {
  readonly text: string;
  readonly until: (threadId: number) => Promise<unknown>;
  /** The client loses its connection meanwhile; the statement reaches the server all the same. */
  readonly orphaned?: boolean;
}

const COM_QUERY = 3;

/** A proxy before a MySQL server that notes every statement sent, and can lose one or its answer. */
export class WireTap implements AsyncDisposable {
  readonly statements: string[] = [];
  /** Bytes of each of them. */
  readonly sizes: number[] = [];
  #hold: Hold | undefined;
  #cut: Cut | undefined;
  #lie: Lie | undefined;
  #proxy: FaultProxy | undefined;

  static async start(url: string): Promise<WireTap> {
    const tap = new WireTap();
    tap.#proxy = await FaultProxy.start({ target: new URL(url).host, filters: () => tap.#filters() });
    return tap;
  }

  /** The server behind the proxy. */
  urlOf(url: string): string {
    const proxied = new URL(url);
    proxied.host = this.#proxy?.address ?? '';
    return proxied.href;
  }

  cutAt(cut: Cut): void {
    this.#cut = cut;
  }

  lieAt(lie: Lie): void {
    this.#lie = lie;
  }

  holdAt(hold: Hold): void {
    this.#hold = hold;
  }

  /** Destroys every connection. */
  cut(): void {
    this.#proxy?.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.close();
  }

  #filters(): Record<'to-server' | 'to-client', Filter> {
    let answerIsLost = false;
    let answer: Buffer | undefined;
    let threadId = 0;
    let restOfReplaced = 0;
    return {
      'to-client': (bytes) => {
        // The server speaks first: a protocol number, its version as text, the thread.
        threadId ||= bytes.readUInt32LE(bytes.indexOf(0, 5) + 1);
        if (answerIsLost) return ['cut'];
        const forged = answer;
        answer = undefined;
        return [{ bytes: forged ?? bytes }];
      },
      'to-server': (bytes): Passage[] => {
        if (restOfReplaced > 0) {
          restOfReplaced -= bytes.length;
          return [];
        }
        const sql = statementIn(bytes);
        if (sql === undefined) return [{ bytes }];
        this.statements.push(sql);
        this.sizes.push(bytes.readUIntLE(0, 3));
        const hold = this.#hold;
        if (hold && sql.startsWith(hold.text)) {
          this.#hold = undefined;
          return [{ bytes, after: hold.until(threadId), orphaned: hold.orphaned === true }];
        }
        const lie = this.#lie;
        if (lie && sql.startsWith(lie.text)) {
          this.#lie = undefined;
          if (lie.errno !== undefined) answer = errorPacket(lie.errno);
          if (lie.instead === undefined) return [{ bytes }];
          restOfReplaced = 4 + bytes.readUIntLE(0, 3) - bytes.length;
          return [{ bytes: queryPacket(lie.instead, bytes) }];
        }
        const cut = this.#cut;
        if (!cut || !sql.startsWith(cut.text)) return [{ bytes }];
        this.#cut = undefined;
        if (cut.lose === 'statement') return ['cut'];
        answerIsLost = true;
        return [{ bytes }];
      },
    };
  }
}

/** The text of a statement that begins in these bytes. mysql2 writes each packet at once. */
function statementIn(bytes: Buffer): string | undefined {
  if (bytes.length < 5 || bytes[3] !== 0 || bytes[4] !== COM_QUERY) return undefined;
  return bytes.subarray(beginOfText(bytes)).toString('utf8');
}

// No query attributes, one set of them: what clients send that could send some.
function beginOfText(bytes: Buffer): number {
  return bytes[5] === 0 && bytes[6] === 1 ? 7 : 5;
}

function queryPacket(sql: string, like: Buffer): Buffer {
  return packet(0, Buffer.concat([like.subarray(4, beginOfText(like)), Buffer.from(sql)]));
}

function errorPacket(errno: number): Buffer {
  return packet(1, Buffer.concat([Buffer.from([0xff, errno & 0xff, errno >> 8]), Buffer.from('#HY000forged')]));
}

function packet(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}
