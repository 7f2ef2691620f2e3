import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import type { Service } from './processes.ts';

/** Kills that happened. */
export interface Kills {
  relay: number;
  consumer: number;
}

/** What the killing depends on. */
export interface KillPlan {
  readonly ledger: Ledger;
  readonly services: readonly Service[];
  /** SIGKILLs of each service. */
  readonly kills: number;
  /** Orders to be placed in all; kills are spread over the first nine tenths of them. */
  readonly orders: number;
  readonly say: (text: string) => void;
}

/**
 * Kills each service several times while there is something to lose: the relay while unsettled rows exist, the consumer
 * while deliveries wait for their effect. Starts it again at once. Resolves when all kills are done.
 */
export async function killRepeatedly(plan: KillPlan): Promise<Kills> {
  const done: Kills = { relay: 0, consumer: 0 };
  for (let round = 1; round <= plan.kills; round += 1) {
    for (const service of plan.services) {
      const share = (round - (service.name === 'relay' ? 0.5 : 0)) / (plan.kills + 0.5);
      const at = Math.floor(plan.orders * 0.8 * share);
      await untilExposed(plan.ledger, service, at);
      await service.kill();
      done[service.name] += 1;
      const { committed, pending, applied } = await plan.ledger.counts();
      plan.say(
        `SIGKILL ${service.name} (${done[service.name]} of ${plan.kills}): ${pending} rows unsettled, ${committed - applied} events not applied; restarted`,
      );
      service.start();
    }
  }
  return done;
}

async function untilExposed(ledger: Ledger, service: Service, committedAtLeast: number): Promise<void> {
  for (;;) {
    const { committed, pending, applied } = await ledger.counts();
    const exposed = service.name === 'relay' ? pending > 0 : committed - pending - applied > 0;
    if (committed >= committedAtLeast && exposed) return;
    if (service.ended !== undefined) throw new Error(`the ${service.name} ended by itself: ${service.ended}`);
    await sleep(5);
  }
}
