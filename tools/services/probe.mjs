// One question to a port: does it speak its protocol yet?
import { connect } from 'node:net';

/**
 * Connects to 127.0.0.1, sends `request`, and resolves to what `read` makes of the bytes so far and of whether more may
 * come (undefined = wait for more); to undefined when there is no such answer in time.
 */
export function ask(port, request, read, timeoutMs = 2000) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let received = Buffer.alloc(0);
    const done = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => done(undefined));
    socket.on('error', () => done(undefined));
    socket.on('end', () => done(read(received, true)));
    socket.on('connect', () => request && socket.write(request));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = read(received);
      if (answer !== undefined) done(answer);
    });
  });
}
