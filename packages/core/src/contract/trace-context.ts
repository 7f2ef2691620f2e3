/** W3C's trace context of the running code. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** What OpenTelemetry's API registers for all copies of itself, as far as it is needed here. */
interface OpenTelemetry {
  readonly context?: { active(): unknown };
  readonly propagation?: {
    inject(context: unknown, carrier: object, setter: { set(carrier: object, name: string, value: string): void }): void;
  };
}

/**
 * Where `@opentelemetry/api` 1.x keeps what was registered with it. Reading it there needs no import, so the package stays
 * optional, whoever loads it and whenever; without it, or with nothing registered, there is nothing to inject.
 */
const REGISTRY = Symbol.for('opentelemetry.js.api.1');

// Trace Context, W3C Recommendation: version, trace id, parent id, flags.
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const MAX_TRACESTATE = 512;
const NONE: OpenTelemetry = {};

const setter = {
  set: (carrier: object, name: string, value: string): void => {
    (carrier as Record<string, string>)[name] = value;
  },
};

/** The trace context that the process's OpenTelemetry would send now, or `undefined`. Never throws. */
export function currentTraceContext(): TraceContext | undefined {
  const registered = (globalThis as Record<symbol, unknown>)[REGISTRY] as OpenTelemetry | undefined;
  const { context, propagation } = registered ?? NONE;
  if (!context || !propagation) return undefined;
  const carrier: Partial<TraceContext> = {};
  try {
    propagation.inject(context.active(), carrier, setter);
  } catch {
    // Tracing must not fail a transaction.
    return undefined;
  }
  const { traceparent, tracestate } = carrier;
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined;
  return tracestate !== undefined && tracestate.length <= MAX_TRACESTATE ? { traceparent, tracestate } : { traceparent };
}
