import { FaultProxy, type Filter, type Passage } from '../faults/proxy.ts';

/** What becomes of the first statement that begins with `text`: lost on its way there, or answered with the answer lost. */
export interface Cut {
  readonly text: string;
  readonly lose: 'statement' | 'answer';
}

const COM_QUERY = 3;

/** A proxy before a MySQL server that notes every statement sent, and can lose one or its answer. */
export class WireTap implements AsyncDisposable {
  readonly statements: string[] = [];
  #cut: Cut | undefined;
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

  /** Destroys every connection. */
  cut(): void {
    this.#proxy?.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.close();
  }

  #filters(): Record<'to-server' | 'to-client', Filter> {
    let answerIsLost = false;
    return {
      'to-client': (bytes) => [answerIsLost ? 'cut' : { bytes }],
      'to-server': (bytes): Passage[] => {
        const sql = statementIn(bytes);
        if (sql === undefined) return [{ bytes }];
        this.statements.push(sql);
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
  // No query attributes, one set of them: what clients send that could send some.
  const begin = bytes[5] === 0 && bytes[6] === 1 ? 7 : 5;
  return bytes.subarray(begin).toString('utf8');
}
