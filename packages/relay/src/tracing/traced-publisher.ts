import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import {
  CLOUD_EVENTS_HEADER,
  checkOptions,
  HEADER,
  headerOf,
  objectWith,
  type Publisher,
  type PublishRequest,
  text,
} from '@txbox/core/spi';
import { describeError } from '../foreign-error.ts';
import { SPAN_ATTRIBUTE } from './span-attributes.ts';

/** What {@link traced} takes beside the publisher. */
export interface TracedOptions {
  /** Where spans are made. Default: the one that is registered with OpenTelemetry's API when a request is sent. */
  readonly tracerProvider?: TracerProvider;
  /** `messaging.system`. Default `kafka`. */
  readonly system?: string;
}

/** Most links of a span, and most spans beside it: what SDKs keep by default. */
const MOST_LINKS = 128;
const NAME = '@txbox/relay';
// Trace Context, W3C Recommendation: version, trace id, parent id, flags.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * The same publisher, with a producer span for every request, joined to the traces of the requests that added its events.
 *
 * Events of one trace: one span, the child of what added the first of them. Of several: one span that links to all of them,
 * and in each of those traces that is sampled a span of its own, which links back. Records are sent as they are. Tracing never fails a
 * request. Needs `@opentelemetry/api`, and an SDK to be of use.
 */
export function traced(publisher: Publisher, options: TracedOptions = {}): Publisher {
  const { tracerProvider, system } = checkOptions<TracedOptions & { readonly system: string }>('traced', options, {
    rules: { tracerProvider: objectWith('getTracer'), system: text },
    optional: ['tracerProvider'],
    defaults: { system: 'kafka' },
  });
  const spansOf = (request: PublishRequest): readonly Span[] => {
    const tracer = (tracerProvider ?? trace.getTracerProvider()).getTracer(NAME);
    const added = addedIn(request);
    const start = (context: Context, messages: number, links: Link[]): Span =>
      tracer.startSpan(
        `send ${request.topic}`,
        { kind: SpanKind.PRODUCER, attributes: attributesOf(request, messages, system), links },
        context,
      );
    const traces = [...Map.groupBy(added.values(), ({ context }) => context.traceId).values()];
    const [only] = traces;
    if (only?.[0] && traces.length === 1) return [start(within(only[0].context), request.records.length, linksOf(only.slice(1)))];
    const whole = start(ROOT_CONTEXT, request.records.length, linksOf([...added.values()]));
    const back: Link[] = [{ context: whole.spanContext() }];
    const sampled = traces.filter(([first]) => first && (first.context.traceFlags & TraceFlags.SAMPLED) !== 0).slice(0, MOST_LINKS);
    const parts = sampled.map((each) => {
      const [first] = each as [Added, ...Added[]];
      const messages = each.reduce((sum, one) => sum + one.messages, 0);
      return start(within(first.context), messages, [...back, ...linksOf(each.slice(1))]);
    });
    return [whole, ...parts];
  };
  const { inspect, topicAdmin } = publisher;
  return {
    name: publisher.name,
    maxRecordBytes: publisher.maxRecordBytes,
    connect: () => publisher.connect(),
    describeTopic: (topic) => publisher.describeTopic(topic),
    ...(inspect ? { inspect: (topics: readonly string[]) => inspect.call(publisher, topics) } : {}),
    ...(topicAdmin ? { topicAdmin } : {}),
    classify: (error) => publisher.classify(error),
    close: () => publisher.close(),
    publish: async (request) => {
      const spans = quietly(() => spansOf(request)) ?? [];
      try {
        const receipt = await publisher.publish(request);
        quietly(() => endAll(spans, { [SPAN_ATTRIBUTE.offset]: Number(receipt.baseOffset) }));
        return receipt;
      } catch (error) {
        quietly(() => failAll(spans, error));
        throw error;
      }
    },
  };
}

/** What added some of a request's events. */
interface Added {
  readonly context: SpanContext;
  messages: number;
}

/** By `traceparent`, in the order of the records. */
function addedIn({ records }: PublishRequest): ReadonlyMap<string, Added> {
  const found = new Map<string, Added>();
  for (const { headers } of records) {
    const header = headerOf(headers, HEADER.traceparent) ?? headerOf(headers, CLOUD_EVENTS_HEADER.traceparent);
    const given = header?.toString('latin1');
    const context = given === undefined ? undefined : spanContextOf(given);
    if (given === undefined || !context) continue;
    const known = found.get(given);
    if (known) known.messages += 1;
    else found.set(given, { context, messages: 1 });
  }
  return found;
}

function spanContextOf(traceparent: string): SpanContext | undefined {
  const [, version, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
  if (version === 'ff' || traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

function within(context: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, context);
}

function linksOf(added: readonly Added[]): Link[] {
  return added.slice(0, MOST_LINKS).map(({ context }) => ({ context }));
}

function attributesOf({ topic, partition }: PublishRequest, messages: number, system: string): Attributes {
  return {
    [SPAN_ATTRIBUTE.system]: system,
    [SPAN_ATTRIBUTE.operationName]: 'send',
    [SPAN_ATTRIBUTE.operationType]: 'send',
    [SPAN_ATTRIBUTE.destination]: topic,
    [SPAN_ATTRIBUTE.partition]: String(partition),
    [SPAN_ATTRIBUTE.messages]: messages,
  };
}

function endAll(spans: readonly Span[], attributes: Attributes): void {
  for (const span of spans) span.setAttributes(attributes).end();
}

function failAll(spans: readonly Span[], error: unknown): void {
  const { code, message } = describeError(error);
  for (const span of spans) span.setStatus({ code: SpanStatusCode.ERROR, message });
  endAll(spans, { [SPAN_ATTRIBUTE.errorType]: code });
}

/** Tracing must not fail a request. */
function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
