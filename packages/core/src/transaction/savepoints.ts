import { type Branch, isWithin } from './branch.ts';

interface Mark {
  readonly name: string;
  /** Whose work a rollback to it is meant to undo. */
  readonly owner: Branch | undefined;
  readonly restore: (() => void)[];
  /** Something was done since that is not the owner's. */
  foreign: boolean;
}

const NAME = String.raw`(?:\x60([^\x60]+)\x60|"([^"]+)"|(\S+))$`;
const SET = new RegExp(String.raw`^SAVEPOINT\s+${NAME}`, 'i');
const ROLL_BACK_TO = new RegExp(String.raw`^ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO\s+(?:SAVEPOINT\s+)?${NAME}`, 'i');
const RELEASE = new RegExp(String.raw`^RELEASE\s+(?:SAVEPOINT\s+)?${NAME}`, 'i');

/** The savepoints of a unit, and what else goes back when the unit rolls back to one of them (P-W8). */
export class Savepoints {
  readonly #undoneWithOthers: () => void;
  readonly #undoneToUnknown: () => void;
  #marks: Mark[] = [];
  readonly #savers: (() => () => void)[] = [];

  /**
   * `undoneWithOthers` is called when a rollback undoes the work of another branch too, `undoneToUnknown` when it goes to a
   * savepoint that was set before this began to take note.
   */
  constructor(undoneWithOthers: () => void, undoneToUnknown: () => void = () => undefined) {
    this.#undoneWithOthers = undoneWithOthers;
    this.#undoneToUnknown = undoneToUnknown;
  }

  /** Whether there is any. */
  get any(): boolean {
    return this.#marks.length > 0;
  }

  /** `save` is called at each savepoint from now on; for those there are it is called at once. */
  register(save: () => () => void): void {
    this.#savers.push(save);
    for (const mark of this.#marks) mark.restore.push(save());
  }

  /** Something was done in `branch` that a rollback would undo. */
  noteWork(branch: Branch | undefined): void {
    for (const mark of this.#marks) if (!isWithin(branch, mark.owner)) mark.foreign = true;
  }

  /** Takes note of a statement on savepoints that succeeded; `sql` without comments. */
  notice(sql: string, branch: Branch | undefined): void {
    const set = nameIn(SET, sql);
    if (set !== undefined) {
      this.#marks.push({ name: set, owner: branch, restore: this.#savers.map((save) => save()), foreign: false });
      return;
    }
    const target = nameIn(ROLL_BACK_TO, sql);
    if (target !== undefined) this.#rollBackTo(target);
    const released = nameIn(RELEASE, sql);
    if (released !== undefined) this.#dropFrom(this.#lastOf(released));
  }

  /** The savepoint stays, those set after it are gone. */
  #rollBackTo(name: string): void {
    const at = this.#lastOf(name);
    const mark = this.#marks[at];
    if (!mark) {
      this.#undoneToUnknown();
      this.#marks = [];
      return;
    }
    if (mark.foreign) this.#undoneWithOthers();
    for (const restore of mark.restore) restore();
    this.#dropFrom(at + 1);
  }

  #lastOf(name: string): number {
    return this.#marks.findLastIndex((mark) => mark.name === name);
  }

  #dropFrom(at: number): void {
    if (at >= 0) this.#marks = this.#marks.slice(0, at);
  }
}

// Names of savepoints are compared without case.
function nameIn(pattern: RegExp, sql: string): string | undefined {
  const found = pattern.exec(sql);
  return found ? (found[1] ?? found[2] ?? found[3])?.toLowerCase() : undefined;
}
