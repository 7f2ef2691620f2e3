// The decorators above, between and below those of NestJS: HTTP requests, messages over TCP and jobs by the clock.
import 'reflect-metadata';
import type { AddressInfo, Server } from 'node:net';
import {
  Body,
  type CanActivate,
  ConflictException,
  Controller,
  type ExecutionContext,
  Header,
  HttpCode,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  Param,
  ParseIntPipe,
  Post,
  SetMetadata,
  UseGuards,
} from '@nestjs/common';
import { NestFactory, Reflector } from '@nestjs/core';
import { type ClientProxy, ClientProxyFactory, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Publishes, Transactional } from '@txbox/outbox';
import * as typeorm from 'typeorm';
import { Repository } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Order, Placed, SERVERS, type Service, startService } from '../outbox/lane.ts';

/** Writes the order, and after that refuses what is named so. */
@Injectable()
class Placing {
  constructor(@Inject(Repository) private readonly orders: Repository<Order>) {}

  async place(id: string, amount = 1): Promise<Order> {
    const order = await this.orders.save({ id, amount });
    if (id.startsWith('declined')) throw new ConflictException(id);
    return order;
  }
}

/** Lets nobody in where the method is closed. */
@Injectable()
class Open implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    return !this.reflector.get<boolean>('closed', context.getHandler());
  }
}

@Controller()
class Requests {
  constructor(@Inject(Placing) private readonly placing: Placing) {}

  @Post('above/:id')
  @HttpCode(202)
  @Header('x-kept', 'above')
  @Transactional()
  @Publishes(Placed)
  async above(@Param('id') id: string, @Body('amount', ParseIntPipe) amount: number): Promise<Order> {
    return await this.placing.place(id, amount);
  }

  @Publishes(Placed)
  @HttpCode(202)
  @Post('between/:id')
  @Header('x-kept', 'between')
  @Transactional()
  async between(@Param('id') id: string, @Body('amount', ParseIntPipe) amount: number): Promise<Order> {
    return await this.placing.place(id, amount);
  }

  @Transactional()
  @Publishes(Placed)
  @Post('below/:id')
  @HttpCode(202)
  @Header('x-kept', 'below')
  async below(@Param('id') id: string, @Body('amount', ParseIntPipe) amount: number): Promise<Order> {
    return await this.placing.place(id, amount);
  }

  @Publishes(Placed)
  @Transactional()
  @Post('closed/:id')
  @UseGuards(Open)
  @SetMetadata('closed', true)
  async closed(@Param('id') id: string): Promise<Order> {
    return await this.placing.place(id);
  }
}

@Controller()
class Messages {
  constructor(@Inject(Placing) private readonly placing: Placing) {}

  @EventPattern('event above')
  @Publishes(Placed)
  @Transactional()
  async eventAbove(@Payload() id: string): Promise<Order> {
    return await this.placing.place(id);
  }

  @Transactional()
  @EventPattern('event between')
  @Publishes(Placed)
  async eventBetween(@Payload() id: string): Promise<Order> {
    return await this.placing.place(id);
  }

  @Publishes(Placed)
  @Transactional()
  @EventPattern('event below')
  async eventBelow(@Payload() id: string): Promise<Order> {
    return await this.placing.place(id);
  }

  @MessagePattern('message above')
  @Transactional()
  @Publishes(Placed)
  async messageAbove(@Payload('id') id: string): Promise<Order> {
    return await this.placing.place(id);
  }

  @Transactional()
  @Publishes(Placed)
  @MessagePattern('message below')
  async messageBelow(@Payload('id') id: string): Promise<Order> {
    return await this.placing.place(id);
  }
}

const WHEN_WANTED = { disabled: true, waitForCompletion: true };

/** Every second, while they are wanted. */
@Injectable()
class Jobs {
  /** What the next run places. */
  next: string | undefined;

  constructor(@Inject(Placing) private readonly placing: Placing) {}

  @Cron('* * * * * *', { name: 'above', ...WHEN_WANTED })
  @Transactional()
  @Publishes(Placed, (order?: Order) => order)
  async above(): Promise<Order | undefined> {
    return await this.run('above');
  }

  @Publishes(Placed, (order?: Order) => order)
  @Cron('* * * * * *', { name: 'between', ...WHEN_WANTED })
  @Transactional()
  async between(): Promise<Order | undefined> {
    return await this.run('between');
  }

  @Transactional()
  @Publishes(Placed, (order?: Order) => order)
  @Cron('* * * * * *', { name: 'below', ...WHEN_WANTED })
  async below(): Promise<Order | undefined> {
    return await this.run('below');
  }

  private async run(name: string): Promise<Order | undefined> {
    const id = this.next;
    this.next = undefined;
    return id === undefined ? undefined : await this.placing.place(`${id}, ${name}`);
  }
}

describe.each(SERVERS)('under the decorators of NestJS, on %s,', (...server) => {
  let service: Service;
  let app: INestApplication;
  let tcp: AddressInfo;
  beforeAll(async () => {
    service = await startService(server, typeorm);

    @Module({
      imports: [ScheduleModule.forRoot()],
      controllers: [Requests, Messages],
      providers: [{ provide: Repository, useValue: service.orders }, Placing, Jobs],
    })
    class App {}

    app = await NestFactory.create(App, { logger: false });
    const microservice = app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } });
    await app.startAllMicroservices();
    tcp = microservice.unwrap<Server>().address() as AddressInfo;
    await app.listen(0, '127.0.0.1');
  });
  afterAll(async () => {
    await app?.close();
    await service?.close();
  });
  beforeEach(() => service.database.clear());

  const stored = async (): Promise<unknown[]> => [await service.database.orders(), await service.database.events()];

  describe.each(['above', 'between', 'below'])('@Post %s:', (place) => {
    const post = async (id: string, amount: unknown): Promise<Response> =>
      await fetch(`${await app.getUrl()}/${place}/${id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ amount }),
      });

    it('a request commits order and event', async () => {
      const response = await post('a', 3);
      expect([response.status, response.headers.get('x-kept'), await response.json()]).toEqual([202, place, { id: 'a', amount: 3 }]);
      expect(await stored()).toEqual([['a'], ['a']]);
    });

    it('a request that is declined leaves neither', async () => {
      expect((await post('declined', 3)).status).toBe(409);
      expect(await stored()).toEqual([[], []]);
    });

    it('pipes of its parameters see the request first', async () => {
      expect((await post('a', 'many')).status).toBe(400);
      expect(await stored()).toEqual([[], []]);
    });
  });

  it('a guard below them still guards', async () => {
    expect((await fetch(`${await app.getUrl()}/closed/a`, { method: 'POST' })).status).toBe(403);
    expect(await stored()).toEqual([[], []]);
  });

  describe('a message over TCP', () => {
    let client: ClientProxy;
    beforeAll(async () => {
      client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port: tcp.port } });
      await client.connect();
      return () => client.close();
    });

    it.each(['event above', 'event between', 'event below'])('commits order and event (%s)', async (pattern) => {
      client.emit(pattern, 'a');
      await expect.poll(stored).toEqual([['a'], ['a']]);
    });

    it.each(['message above', 'message below'])('is answered once order and event are committed (%s)', async (pattern) => {
      const send = (id: string): Promise<unknown> =>
        new Promise((resolve, reject) => {
          client.send(pattern, { id }).subscribe({ next: resolve, error: reject });
        });
      expect(await send('a')).toEqual({ id: 'a', amount: 1 });
      expect(await stored()).toEqual([['a'], ['a']]);
      await expect(send('declined')).rejects.toMatchObject({ status: 'error' });
      expect(await stored()).toEqual([['a'], ['a']]);
    });
  });

  describe.each(['above', 'between', 'below'])('@Cron %s:', (name) => {
    /** Lets the clock run the job until it has tried to place the order. */
    async function runOnce(id: string): Promise<void> {
      const jobs = app.get(Jobs);
      const job = app.get(SchedulerRegistry).getCronJob(name);
      jobs.next = id;
      job.start();
      await expect.poll(() => jobs.next, { timeout: 10_000 }).toBeUndefined();
      await job.stop();
    }

    it('a job commits order and event', async () => {
      await runOnce('a');
      expect(await stored()).toEqual([[`a, ${name}`], [`a, ${name}`]]);
    });

    it('a job that throws leaves neither', async () => {
      await runOnce('declined');
      expect(await stored()).toEqual([[], []]);
    });
  });
});
