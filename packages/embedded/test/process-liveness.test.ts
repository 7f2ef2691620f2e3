import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { isDead, ownProcess } from '../src/process-liveness.ts';

describe('isDead', () => {
  it('sees this process alive', () => {
    expect(isDead(ownProcess())).toBe(false);
  });

  it('sees that a process has ended', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'close');
    const [space] = ownProcess().split(' ');
    expect(isDead(`${space} ${child.pid} 1`)).toBe(true);
    expect(isDead(`${space} ${child.pid} `)).toBe(true);
  });

  it('sees that a number belongs to another process now', () => {
    const [space, pid, start] = ownProcess().split(' ');
    // Where the system does not tell when a process began, the number alone must do.
    if (start !== '') expect(isDead(`${space} ${pid} 1`)).toBe(true);
    expect(isDead(`${space} ${pid} ${start}`)).toBe(false);
  });

  it('does not judge processes of another machine', () => {
    expect(isDead('elsewhere/pid:[1] 999999 1')).toBe(false);
    expect(isDead('not a process')).toBe(false);
  });
});
