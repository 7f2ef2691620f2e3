/**
 * A nested transaction of a unit, which ends before its parent does. Statements of other branches that run while it is
 * open are not part of it, though its savepoint cannot tell.
 */
export class Branch {
  readonly parent: Branch | undefined;
  #over = false;

  constructor(parent: Branch | undefined) {
    this.parent = parent;
  }

  /** Whether it has ended, or something around it. */
  get over(): boolean {
    return this.#over || this.parent?.over === true;
  }

  end(): void {
    this.#over = true;
  }
}

/** Whether the work of `branch` is part of `owner`. `undefined` = the unit itself. */
export function isWithin(branch: Branch | undefined, owner: Branch | undefined): boolean {
  if (owner === undefined) return true;
  for (let around = branch; around; around = around.parent) if (around === owner) return true;
  return false;
}
