import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import type { Placing, Service } from './processes.ts';

/** Kills that happened. */
export interface Kills {
  relay: number;
  consumer: number;
}

/** What the killing depends on. */
export interface KillPlan {
  readonly ledger: Ledger;
  readonly services: readonly Service[];
  /** Kills of each service. */
  readonly kills: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
  /** Orders to be placed in all. */
  readonly orders: number;
  readonly placing: Placing;
  readonly say: (text: string) => void;
}

/** Orders that are let in when everything has been applied before the kill could land, and how long that must have been so. */
const BURST = 4;
const QUIET_MS = 500;

/**
 * Kills each service several times, spread over the run, while there is something to lose: committed events that are not
 * settled or not applied. Starts it again at once. The order service gets no further than the kill that is due, so that
 * every kill has orders around it. Resolves when all kills are done.
 */
export async function killRepeatedly(plan: KillPlan): Promise<Kills> {
  const { services, kills, orders, placing, ledger, signal, say } = plan;
  const done: Kills = { relay: 0, consumer: 0 };
  const step = Math.max(1, Math.floor(orders / (services.length * kills + 1)));
  let allowed = 0;
  for (let round = 1; round <= kills; round += 1) {
    for (const service of services) {
      allowed = await untilExposed(plan, service, allowed, step);
      await (signal === 'SIGKILL' ? service.kill() : service.stop());
      done[service.name] += 1;
      const { committed, pending, applied } = await ledger.counts();
      say(
        `${signal} ${service.name} (${done[service.name]} of ${kills}): ${pending} rows unsettled, ${committed - applied} events not applied; restarted`,
      );
      service.start();
    }
  }
  placing.allowAll();
  return done;
}

/**
 * Lets a step of orders in and waits until half of it is committed, the service has worked since its start and something is
 * on its way; returns how many orders were let in in all.
 */
async function untilExposed({ ledger, orders, placing }: KillPlan, service: Service, placed: number, step: number): Promise<number> {
  const before = await ledger.counts();
  let allowed = Math.min(orders, placed + step);
  placing.allow(allowed);
  for (let quietSince = performance.now(); ; ) {
    const { committed, pending, applied } = await ledger.counts();
    const worked = service.name === 'relay' ? committed - pending > before.committed - before.pending : applied > before.applied;
    const exposed = service.name === 'relay' ? pending > 0 : committed > applied;
    if (worked && exposed && committed - before.committed >= step / 2) return allowed;
    if (service.ended !== undefined) throw new Error(`the ${service.name} ended by itself: ${service.ended}`);
    if (pending > 0 || committed > applied) quietSince = performance.now();
    if (performance.now() - quietSince > QUIET_MS) {
      if (allowed >= orders) return allowed;
      allowed = Math.min(orders, allowed + BURST);
      placing.allow(allowed);
      quietSince = performance.now();
    }
    await sleep(2);
  }
}
