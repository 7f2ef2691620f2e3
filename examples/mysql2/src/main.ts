// An HTTP service on node:http and a mysql2 pool: POST /deposits { account, cents }, POST /transfers { from, to, cents }.
// DATABASE_URL names the database, PORT the port (default 3000).
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool } from 'mysql2/promise';
import { Accounts, Refused } from './accounts.ts';

const pool = createPool({ uri: process.env['DATABASE_URL'] ?? 'mysql://root@127.0.0.1/accounts' });
const outbox = createOutbox({ pool });
const accounts = new Accounts(pool, outbox);
await accounts.createTable();
await outbox.migrate(); // in production a step of the deployment: txbox migrate

type Body = Readonly<Record<string, unknown>>;

const ROUTES: Readonly<Record<string, (body: Body) => Promise<void>>> = {
  'POST /deposits': (body) => accounts.deposit(accountOf(body, 'account'), centsOf(body)),
  'POST /transfers': (body) => accounts.transfer(accountOf(body, 'from'), accountOf(body, 'to'), centsOf(body)),
};

class BadRequest extends Error {}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = ROUTES[`${request.method} ${request.url}`];
  if (!route) return void response.writeHead(404).end();
  try {
    await route(await bodyOf(request));
    response.writeHead(201).end();
  } catch (error) {
    const status = statusOf(error);
    if (status === 500) console.error(error);
    response.writeHead(status).end(status === 500 ? undefined : (error as Error).message);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof BadRequest) return 400;
  return error instanceof Refused ? 409 : 500;
}

async function bodyOf(request: IncomingMessage): Promise<Body> {
  const body = await json(request).catch(() => undefined);
  if (typeof body !== 'object' || body === null) throw new BadRequest('the body is not a JSON object');
  return body as Body;
}

function accountOf(body: Body, field: string): string {
  const account = body[field];
  if (typeof account !== 'string' || !/^[\w-]{1,64}$/.test(account)) throw new BadRequest(`${field} is not an account`);
  return account;
}

function centsOf({ cents }: Body): number {
  if (typeof cents !== 'number' || !Number.isSafeInteger(cents) || cents <= 0) throw new BadRequest('cents is not a positive integer');
  return cents;
}

const server = createServer((request, response) => void answer(request, response));
server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
await once(server, 'listening');
console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

process.once('SIGTERM', () => {
  server.close(() => void outbox.close().then(() => pool.end()));
});
