import { type Clock, type Publisher, type TopicDescription, TxboxError } from '@txbox/core/spi';
import { expect, it } from 'vitest';
import { BrokerProbe } from '../src/broker-probe.ts';

const AWAY = new TxboxError('BROKER_UNAVAILABLE', 'no broker');

/** A probe on a clock that is moved by hand, and a broker that answers when told. */
class Site {
  now = 0;
  readonly asked: PromiseWithResolvers<TopicDescription>[] = [];
  readonly probe: BrokerProbe;

  constructor() {
    const clock: Clock = { now: () => this.now, monotonic: () => this.now, sleep: () => Promise.reject(new Error('not used')) };
    const publisher: Pick<Publisher, 'describeTopic' | 'classify'> = {
      describeTopic: () => {
        const answer = Promise.withResolvers<TopicDescription>();
        this.asked.push(answer);
        return answer.promise;
      },
      classify: (error) => (error === AWAY ? 'transient' : 'topic'),
    };
    this.probe = new BrokerProbe(publisher, clock);
  }

  look(): string | undefined {
    return this.probe.look('notes')?.code;
  }

  async answer(failure?: unknown): Promise<void> {
    const last = this.asked.at(-1);
    if (failure === undefined) last?.resolve({ topic: 'notes', partitions: 1 });
    else last?.reject(failure);
    await last?.promise.catch(() => undefined);
    await Promise.resolve();
    await Promise.resolve();
  }
}

it('asks once in ten seconds, and only when somebody wants to know', async () => {
  const site = new Site();
  site.now = 9_999;
  expect(site.look()).toBeUndefined();
  expect(site.asked).toHaveLength(0);
  site.now = 10_000;
  for (let times = 0; times < 5; times++) expect(site.look()).toBeUndefined();
  expect(site.asked).toHaveLength(1);
  await site.answer();
  site.now = 19_999;
  expect(site.look()).toBeUndefined();
  expect(site.asked).toHaveLength(1);
});

it('says that the broker is away when it refuses, until it answers anything', async () => {
  const site = new Site();
  site.now = 10_000;
  site.look();
  await site.answer(AWAY);
  expect(site.look()).toBe('BROKER_UNAVAILABLE');
  expect(site.asked).toHaveLength(2);
  site.probe.answered();
  expect(site.look()).toBeUndefined();
});

it('says so of a broker that does not answer at all, after two seconds', async () => {
  const site = new Site();
  site.now = 10_000;
  site.look();
  site.now = 12_000;
  expect(site.look()).toBeUndefined();
  site.now = 12_001;
  expect(site.look()).toBe('BROKER_UNAVAILABLE');
  await site.answer();
  expect(site.look()).toBeUndefined();
});

it('takes the refusal of a topic for an answer', async () => {
  const site = new Site();
  site.now = 10_000;
  site.look();
  await site.answer(new TxboxError('TOPIC_MISSING', 'no topic'));
  expect(site.look()).toBeUndefined();
});

it('has nothing to ask without a topic', () => {
  const site = new Site();
  site.now = 60_000;
  expect(site.probe.look(undefined)).toBeUndefined();
  expect(site.asked).toHaveLength(0);
});
