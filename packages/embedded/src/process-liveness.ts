import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Names a process so that others on the same machine can see whether it still lives: where its number means
 * something, the number, and when it began (numbers are given out again).
 */
export function ownProcess(): string {
  return [processSpace(), process.pid, startOf(process.pid) ?? ''].join(' ');
}

/** True when the named process is known to be gone; false when it lives or cannot be seen from here. */
export function isDead(name: string): boolean {
  const [space, number, start] = name.split(' ');
  const pid = Number(number);
  if (space !== processSpace() || !Number.isInteger(pid) || pid <= 0) return false;
  if (pid === process.pid) return start !== (startOf(pid) ?? '');
  const found = startOf(pid);
  if (found !== undefined && start !== '') return found !== start;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === 'ESRCH';
  }
}

let space: string | undefined;

/** Process numbers are comparable within one host, and on Linux within one PID namespace. */
function processSpace(): string {
  space ??= `${hostname()}/${pidNamespace()}`.replaceAll(' ', '_');
  return space;
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return process.platform;
  }
}

/** Linux: when the process began, in ticks since boot; `gone` for one that is dead but not yet reaped; else `undefined`. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses and may hold anything, so fields count from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : fields[19];
  } catch {
    return undefined;
  }
}
