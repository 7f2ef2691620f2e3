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

const ROUTES: Readonly<Record<string, (body: any) => Promise<void>>> = {
  'POST /deposits': ({ account, cents }) => accounts.deposit(String(account), Number(cents)),
  'POST /transfers': ({ from, to, cents }) => accounts.transfer(String(from), String(to), Number(cents)),
};

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = ROUTES[`${request.method} ${request.url}`];
  if (!route) return void response.writeHead(404).end();
  try {
    await route(await json(request));
    response.writeHead(201).end();
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    response.writeHead(error instanceof Refused ? 409 : 500).end(error instanceof Refused ? error.message : undefined);
  }
}

const server = createServer((request, response) => void answer(request, response));
server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
await once(server, 'listening');
console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

process.once('SIGTERM', () => {
  server.close(() => void outbox.close().then(() => pool.end()));
});
