interface Mark {
  readonly name: string;
  readonly restore: (() => void)[];
}

const NAME = String.raw`(?:\x60([^\x60]+)\x60|"([^"]+)"|(\S+))$`;
const SET = new RegExp(String.raw`^SAVEPOINT\s+${NAME}`, 'i');
const ROLL_BACK_TO = new RegExp(String.raw`^ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO\s+(?:SAVEPOINT\s+)?${NAME}`, 'i');
const RELEASE = new RegExp(String.raw`^RELEASE\s+(?:SAVEPOINT\s+)?${NAME}`, 'i');

/** The savepoints of a unit, and what else goes back when the unit rolls back to one of them (P-W8). */
export class Savepoints {
  #marks: Mark[] = [];
  readonly #savers: (() => () => void)[] = [];

  /** `save` is called at each savepoint from now on; for those there are it is called at once. */
  register(save: () => () => void): void {
    this.#savers.push(save);
    for (const mark of this.#marks) mark.restore.push(save());
  }

  /** Takes note of a statement on savepoints that succeeded; `sql` without comments. */
  notice(sql: string): void {
    const set = nameIn(SET, sql);
    if (set !== undefined) {
      this.#marks.push({ name: set, restore: this.#savers.map((save) => save()) });
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
    if (at < 0) return;
    for (const restore of this.#marks[at]?.restore ?? []) restore();
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
