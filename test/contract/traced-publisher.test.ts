import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { defineEvent } from '@txbox/core';
import { headerOf, TxboxError, type WireHeader, type WireRecord } from '@txbox/core/spi';
import { createOutbox } from '@txbox/outbox/sqlite';
import { createRelay } from '@txbox/relay';
import { traced } from '@txbox/relay/opentelemetry';
import { MemoryLog } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';

const ONE = '0af7651916cd43dd8448eb211c80319c';
const TWO = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = 'b7ad6b7169203331';
const OTHER_SPAN = '00f067aa0ba902b7';

const exporter = new InMemorySpanExporter();
const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });

afterEach(() => {
  exporter.reset();
  context.disable();
  propagation.disable();
});

function recordOf(traceparent?: string, name = 'traceparent'): WireRecord {
  const headers: WireHeader[] = traceparent === undefined ? [] : [[name, Buffer.from(traceparent)]];
  return { key: null, value: Buffer.from('1'), headers };
}

/** Publishes one request, and resolves to the spans that were made for it. */
async function spansOf(...records: readonly WireRecord[]): Promise<readonly ReadableSpan[]> {
  const log = new MemoryLog();
  log.createTopic('notes', 1);
  const publisher = traced(log.publisher(), { tracerProvider });
  await publisher.connect();
  await publisher.publish({ topic: 'notes', partition: 0, records });
  return exporter.getFinishedSpans();
}

it('a request whose events are of one trace is one span in it, a child of what added the first', async () => {
  const [span, ...more] = await spansOf(recordOf(`00-${ONE}-${SPAN}-01`), recordOf(`00-${ONE}-${OTHER_SPAN}-01`), recordOf());
  expect(more).toEqual([]);
  expect(span).toMatchObject({ name: 'send notes', kind: SpanKind.PRODUCER, parentSpanContext: { traceId: ONE, spanId: SPAN } });
  expect(span?.spanContext().traceId).toBe(ONE);
  expect(span?.links.map((link) => link.context.spanId)).toEqual([OTHER_SPAN]);
  expect(span?.attributes).toEqual({
    'messaging.system': 'kafka',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'notes',
    'messaging.destination.partition.id': '0',
    'messaging.batch.message_count': 3,
    'messaging.kafka.offset': 0,
  });
});

it('one of several traces is a span of its own with links to all, and a span in each that links back', async () => {
  const [whole, ...parts] = await spansOf(
    recordOf(`00-${ONE}-${SPAN}-01`),
    recordOf(`00-${TWO}-${OTHER_SPAN}-01`),
    recordOf(`00-${ONE}-${SPAN}-01`),
  );
  expect(whole?.parentSpanContext).toBeUndefined();
  expect(whole?.links.map((link) => link.context.traceId)).toEqual([ONE, TWO]);
  expect(parts.map((part) => [part.spanContext().traceId, part.attributes['messaging.batch.message_count']])).toEqual([
    [ONE, 2],
    [TWO, 1],
  ]);
  for (const part of parts) expect(part.links[0]?.context).toEqual(whole?.spanContext());
});

it('traces that are not sampled get no span of their own', async () => {
  const spans = await spansOf(recordOf(`00-${ONE}-${SPAN}-00`), recordOf(`00-${TWO}-${OTHER_SPAN}-01`));
  expect(spans).toHaveLength(2);
  expect(spans[1]?.spanContext().traceId).toBe(TWO);
});

it('events in a CloudEvents envelope are joined too, and what is no traceparent is passed by', async () => {
  const [cloud] = await spansOf(recordOf(`00-${ONE}-${SPAN}-01`, 'ce_traceparent'));
  expect(cloud?.parentSpanContext?.spanId).toBe(SPAN);
  exporter.reset();
  const odd = ['', `ff-${ONE}-${SPAN}-01`, `00-${'0'.repeat(32)}-${SPAN}-01`, `00-${ONE}-${'0'.repeat(16)}-01`, 'x'].map((text) =>
    recordOf(text),
  );
  const [alone, ...more] = await spansOf(...odd);
  expect(more).toEqual([]);
  expect(alone?.parentSpanContext).toBeUndefined();
  expect(alone?.links).toEqual([]);
});

it('a failed request is a span that says so, and fails as it would have', async () => {
  const failure = new TxboxError('BROKER_UNAVAILABLE', 'no broker');
  const before = (): void => {
    throw failure;
  };
  const log = new MemoryLog();
  log.createTopic('notes', 1);
  const publisher = traced(log.publisher({ faults: { before } }), { tracerProvider });
  await expect(publisher.publish({ topic: 'notes', partition: 0, records: [recordOf(`00-${ONE}-${SPAN}-01`)] })).rejects.toBe(failure);
  expect(publisher.classify(failure)).toBe('transient');
  const [span] = exporter.getFinishedSpans();
  expect(span?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no broker' });
  expect(span?.attributes['error.type']).toBe('BROKER_UNAVAILABLE');
});

it('tracing that throws fails nothing', async () => {
  const log = new MemoryLog();
  log.createTopic('notes', 1);
  const broken = {
    getTracer: () => {
      throw new Error('no tracer');
    },
  };
  const publisher = traced(log.publisher(), { tracerProvider: broken });
  await publisher.publish({ topic: 'notes', partition: 0, records: [recordOf()] });
  expect(log.readAll('notes')).toHaveLength(1);
});

it('refuses options that it does not know', () => {
  expect(() => traced(new MemoryLog().publisher(), { provider: tracerProvider } as never)).toThrow(/unknown option provider/i);
});

it('a request that added an event, and the span of sending it, are of one trace', async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const folder = await mkdtemp(join(tmpdir(), 'txbox-traces-'));
  const file = join(folder, 'service.db');
  const database = new Sqlite(file);
  const outbox = createOutbox({ database });
  const log = new MemoryLog();
  log.createTopic('notes', 1);
  const relay = createRelay({ database: { url: `sqlite:${file}` }, publisher: traced(log.publisher(), { tracerProvider }) });
  onTestFinished(async () => {
    await relay.stop();
    await outbox.close();
    database.close();
    await rm(folder, { recursive: true });
  });
  await outbox.migrate();
  const Noted = defineEvent('noted', { topic: 'notes', key: () => 'k' });
  const here = trace.setSpanContext(ROOT_CONTEXT, { traceId: ONE, spanId: SPAN, traceFlags: TraceFlags.SAMPLED });
  await context.with(here, () => outbox.transaction(async (tx) => tx.add(Noted, 1 as never)));
  await relay.start();
  await relay.whenIdle();
  await vi.waitFor(() => expect(exporter.getFinishedSpans()).toHaveLength(1));
  const [span] = exporter.getFinishedSpans();
  expect(span?.spanContext().traceId).toBe(ONE);
  expect(span?.parentSpanContext?.spanId).toBe(SPAN);
  const [record] = log.readAll('notes');
  expect(headerOf(record?.headers ?? [], 'traceparent')?.toString()).toBe(`00-${ONE}-${SPAN}-01`);
});
