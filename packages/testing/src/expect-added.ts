import type { EventDefinition, PayloadOf } from '@txbox/core';
import { type AddedEvent, type EventsSource, eventsOf, isDrained, readEvents } from './added-event.ts';
import { publishedBefore } from './delivery-queue.ts';
import { type Difference, differences, type PartialPayload, show } from './payload-match.ts';

/** A part of the payload, or a function that tells. */
export type ExpectedPayload<E> = PartialPayload<PayloadOf<E>> | ((payload: PayloadOf<E>) => boolean);

/** How often an event is expected. */
export interface ExpectAddedOptions {
  /** Exactly so often. Default: once or more. */
  readonly times?: number;
}

/** Most events that an error shows. */
const SHOWN = 5;

/**
 * Expects that an event was added and committed, with a payload that has what `expected` has; returns the payloads that
 * match, in order. `source` is any outbox, in memory or of a database, or what `drain` returned: an outbox holds what no
 * relay has taken. Works in every test framework: it throws an `Error` that says what was added instead.
 */
export async function expectAdded<E extends EventDefinition>(
  source: EventsSource,
  event: E,
  expected?: ExpectedPayload<E>,
  options: ExpectAddedOptions = {},
): Promise<[PayloadOf<E>, ...PayloadOf<E>[]]> {
  const all = await readEvents('expectAdded', source);
  const judged = judge('expectAdded', all, event, expected);
  const matching = judged.filter(({ wrong }) => wrong.length === 0);
  const { times } = options;
  if (times === 0) throw new Error('expectAdded: { times: 0 } is expectNotAdded(outbox, event, …).');
  if (times === undefined ? matching.length === 0 : matching.length !== times) {
    throw new Error(textOf({ source, all, event, judged, expected, times, matching: matching.length }));
  }
  return matching.map(({ payload }) => payload) as [PayloadOf<E>, ...PayloadOf<E>[]];
}

/**
 * Expects that no such event was added: none with a payload that has what `expected` has, none of that event without
 * `expected`, none at all without `event`. Otherwise like {@link expectAdded}.
 */
export async function expectNotAdded<E extends EventDefinition>(
  source: EventsSource,
  ...what: readonly [event?: E, expected?: ExpectedPayload<E>]
): Promise<void> {
  const all = await readEvents('expectNotAdded', source);
  const [event, expected] = what as readonly [event: E, expected?: ExpectedPayload<E>];
  if (what.length === 0) {
    if (all.length > 0) throw new Error(`expectNotAdded: expected no event at all, but there are ${countsOf(all)}.`);
    return;
  }
  const found = judge('expectNotAdded', all, event, expected).filter(({ wrong }) => wrong.length === 0);
  if (found.length === 0) return;
  const shown = found.slice(0, SHOWN).map(({ payload }) => `\n  ${indented(show(payload), 2)}`);
  throw new Error(
    `expectNotAdded: expected no ${wanted(event, expected)}, but ${found.length} ${was(found.length)} added:${shown.join('')}`,
  );
}

interface Judged<E> {
  readonly payload: PayloadOf<E>;
  readonly wrong: readonly Difference[];
}

function judge<E extends EventDefinition>(
  caller: string,
  all: readonly AddedEvent[],
  event: E,
  expected: ExpectedPayload<E> | undefined,
): Judged<E>[] {
  return eventsOf(caller, all, event).map(({ payload }) => ({ payload, wrong: wrongWith<E>(payload, expected) }));
}

function wrongWith<E>(payload: PayloadOf<E>, expected: ExpectedPayload<E> | undefined): Difference[] {
  if (expected === undefined) return [];
  if (typeof expected !== 'function') return differences(payload, expected);
  return (expected as (payload: PayloadOf<E>) => boolean)(payload) ? [] : [{ path: '', text: 'the function says no' }];
}

interface Failure<E> {
  readonly source: EventsSource;
  readonly all: readonly AddedEvent[];
  readonly event: EventDefinition;
  readonly judged: readonly Judged<E>[];
  readonly expected: ExpectedPayload<E> | undefined;
  readonly times: number | undefined;
  readonly matching: number;
}

function textOf<E>({ source, all, event, judged, expected, times, matching }: Failure<E>): string {
  const where = isDrained(source) ? 'drain published' : `outbox ${JSON.stringify(source.name)} holds`;
  const count = times === undefined ? '' : ` ${times} times`;
  const lines = [`expectAdded: expected ${wanted(event, expected)}${count}, but ${where} ${matching === 0 ? 'none' : `${matching}`}.`];
  if (judged.length > 0) {
    // The closest first; they are as many as were added of this event, mostly one.
    const closest = judged.toSorted((one, other) => one.wrong.length - other.wrong.length);
    lines.push(`${event.name} was added ${judged.length === 1 ? 'once' : `${judged.length} times`}:`);
    for (const { payload, wrong } of closest.slice(0, SHOWN)) {
      lines.push(`  ${indented(show(payload), 2)}`);
      for (const { path, text } of wrong) lines.push(`    ${path === '' ? '' : `${path}: `}${indented(text, 4)}`);
    }
    if (closest.length > SHOWN) lines.push(`  … and ${closest.length - SHOWN} more`);
    return lines.join('\n');
  }
  if (all.length > 0) lines.push(`There are ${countsOf(all)}${elsewhere(all, event)}.`);
  const before = isDrained(source) ? 0 : publishedBefore(source, event);
  if (before > 0) {
    lines.push(`drain() has published ${before} of them: look at what it returned, expectAdded(drained, event, …).`);
  } else if (all.length === 0 && !isDrained(source)) {
    lines.push('It is empty: a transaction that is still open or was rolled back adds nothing, and a relay that runs takes events out.');
  }
  return lines.join('\n');
}

function wanted<E>(event: EventDefinition, expected: ExpectedPayload<E> | undefined): string {
  if (expected === undefined) return event.name;
  return typeof expected === 'function'
    ? `${event.name} for which the given function returns true`
    : `${event.name} with ${show(expected)}`;
}

/** Definitions are told apart by name and topic. */
function elsewhere(all: readonly AddedEvent[], { name, topic }: EventDefinition): string {
  const other = all.find((one) => one.type === name && one.topic !== topic);
  return other ? `; ${name} is in topic ${other.topic}, and the event asked for is of topic ${topic}` : '';
}

function countsOf(all: readonly AddedEvent[]): string {
  const counts = new Map<string, number>();
  for (const { type } of all) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([type, count]) => `${count} ${type}`).join(', ');
}

function was(count: number): string {
  return count === 1 ? 'was' : 'were';
}

function indented(text: string, by: number): string {
  return text.replaceAll('\n', `\n${' '.repeat(by)}`);
}
