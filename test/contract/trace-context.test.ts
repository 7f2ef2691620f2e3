import { context, propagation, ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { TraceState, W3CTraceContextPropagator } from '@opentelemetry/core';
import { defineEvent } from '@txbox/core';
import { decodeHeaders, encodeMessage, headerOf, type WireHeader } from '@txbox/core/spi';
import { afterEach, describe, expect, it } from 'vitest';

const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const here = trace.setSpanContext(ROOT_CONTEXT, {
  traceId: TRACE,
  spanId: SPAN,
  traceFlags: TraceFlags.SAMPLED,
  traceState: new TraceState('vendor=1'),
});
const headers = (source?: string): readonly WireHeader[] => decodeHeaders(encodeMessage(Placed, { id: 'a' }, {}, source).headers);
const textOf = (name: string, source?: string): string | undefined => headerOf(headers(source), name)?.toString();

describe('the trace context', () => {
  afterEach(() => {
    context.disable();
    propagation.disable();
  });

  it('of OpenTelemetry travels with a message, in either envelope', () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    context.with(here, () => {
      expect(textOf('traceparent')).toBe(`00-${TRACE}-${SPAN}-01`);
      expect(textOf('tracestate')).toBe('vendor=1');
      expect(textOf('ce_traceparent', '/orders')).toBe(`00-${TRACE}-${SPAN}-01`);
      expect(textOf('traceparent', '/orders')).toBeUndefined();
    });
    expect(textOf('traceparent')).toBeUndefined();
  });

  it('is left out where nothing is registered', () => {
    context.with(here, () => expect(textOf('traceparent')).toBeUndefined());
  });

  it('never fails a transaction', () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const broken = {
      fields: () => [],
      extract: () => ROOT_CONTEXT,
      inject: () => {
        throw new Error('broken');
      },
    };
    propagation.setGlobalPropagator(broken);
    expect(textOf('traceparent')).toBeUndefined();
    propagation.disable();
    propagation.setGlobalPropagator({
      ...broken,
      inject: (_context, carrier) => {
        Object.assign(carrier as object, { traceparent: 'x\r\ny' });
      },
    });
    expect(textOf('traceparent')).toBeUndefined();
  });
});
