/** A way to write the usual transaction with events in it. Each lives in a process of its own. */
export interface Subject {
  /** One transaction, the `n`th of the process. */
  run(n: number, events: number): Promise<void>;
  close(): Promise<void>;
}

/** How a subject is started against a database whose tables are there. */
export type StartSubject = (url: string) => Promise<Subject>;
