import { callerContext } from '../current-transaction.ts';
import type { WireCommand, WireConnection } from './mysql-wire.ts';

type Sender = (command: WireCommand) => unknown;

const taps = new WeakMap<WireConnection, CommandTap>();

/**
 * Stands before `addCommand` of one mysql2 connection, which all ways of sending go through: both flavours, prepared
 * statements, streams. It stays for the life of the connection: an object whose properties come and go is slow.
 */
export class CommandTap {
  /** Takes every command, while a unit has the connection. */
  taker: Sender | undefined;
  /** What no unit takes is answered in its sender's context. */
  inContext = false;
  readonly #send: Sender;
  /** What mysql2 puts there when the connection is over: it answers with the reason, in its own words. */
  #closed: Sender | undefined;

  private constructor(raw: WireConnection) {
    this.#send = raw.addCommand.bind(raw);
    const take: Sender = (command) => {
      if (this.taker) return this.taker(command);
      if (this.inContext) answerInContext(command);
      return this.send(command);
    };
    const close = (closed: Sender): void => {
      this.#closed = closed.bind(raw);
    };
    Object.defineProperty(raw, 'addCommand', { configurable: true, enumerable: true, get: () => take, set: close });
  }

  static of(raw: WireConnection): CommandTap {
    const known = taps.get(raw);
    if (known) return known;
    const tap = new CommandTap(raw);
    taps.set(raw, tap);
    return tap;
  }

  /** Whether the connection is over. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** To the driver. */
  send(command: WireCommand): unknown {
    return (this.#closed ?? this.#send)(command);
  }
}

/**
 * Callbacks and listeners of a command run in the context of whoever sends it, not in that of the socket, which is the
 * context of whoever opened the connection: code there would belong to no transaction, or to another request's.
 */
function answerInContext(command: WireCommand): void {
  const asked = callerContext();
  const { emit, onResult } = command;
  const answer: WireCommand['onResult'] = onResult && ((error, ...rest) => asked.runInAsyncScope(onResult, command, error, ...rest));
  const tell: WireCommand['emit'] = (event, ...values) => asked.runInAsyncScope(emit, command, event, ...values);
  if (answer) command.onResult = answer;
  else command.emit = tell;
}
