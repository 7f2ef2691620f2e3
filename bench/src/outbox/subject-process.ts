import { ChildProcessHandle } from '../child-process.ts';

/** What is compared. */
export type SubjectName =
  | 'txbox on mysql2'
  | 'raw mysql2'
  | 'raw mysql2, rows encoded beforehand'
  | 'txbox on TypeORM'
  | 'raw INSERT in TypeORM'
  | 'raw INSERT in TypeORM, rows encoded beforehand'
  | 'TypeORM save()'
  | 'typeorm-transactional';

/** So many transactions of each kind; a kind is a number of events. */
export interface Order {
  readonly transactions: number;
  readonly kinds: readonly number[];
}

/** What one transaction with so many events took on average, and the CPU time of its process. */
export interface Sample {
  readonly events: number;
  readonly ms: number;
  readonly cpuMs: number;
}

/** A subject in its process. */
export class SubjectProcess {
  readonly name: SubjectName;
  readonly #child: ChildProcessHandle;

  private constructor(name: SubjectName, child: ChildProcessHandle) {
    this.name = name;
    this.#child = child;
  }

  static async start(name: SubjectName, url: string): Promise<SubjectProcess> {
    return new SubjectProcess(name, await ChildProcessHandle.start(new URL('./subject.process.js', import.meta.url), [name, url]));
  }

  async run(order: Order): Promise<Sample[]> {
    return (await this.#child.ask(order)) as Sample[];
  }

  close(): Promise<void> {
    return this.#child.close();
  }
}
