import { defineEvent } from '@txbox/core';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay, type Relay, type RelayOptions } from '@txbox/relay';
import { onTestFinished } from 'vitest';
import { readTopic } from '../e2e/topic-reader.ts';
import { BROKERS } from '../faults/kafka-cluster.ts';
import type { ServiceDatabase } from './service-database.ts';

/** Waiting for what a server does in its own time. */
export const PATIENCE = { timeout: 20_000, interval: 20 };

/** A payload of which only the order matters. */
export interface Note {
  readonly key: string;
  readonly text: string;
}

/** One transaction with an event for each note. */
export async function addNotes(database: ServiceDatabase, topic: string, ...notes: readonly Note[]): Promise<void> {
  const Noted = defineEvent('noted', { topic, key: (note: Note) => note.key });
  await database.outbox.transaction(async (tx) => {
    for (const note of notes) tx.add(Noted, note);
  });
}

/** The notes of a topic, partition by partition, by an independent client. */
export async function textsIn(topic: string): Promise<string[]> {
  return (await readTopic(BROKERS, topic)).map(({ value }) => (JSON.parse(String(value)) as Note).text);
}

/** A running relay; stopped after the test. */
export async function startRelay(database: ServiceDatabase, options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = createRelay({ database: { url: database.url }, publisher: kafkajs({ brokers: BROKERS }), ...options });
  onTestFinished(() => relay.stop());
  await relay.start();
  return relay;
}
