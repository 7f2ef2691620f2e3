import { type OptionRule, objectValue } from '../runtime/options.ts';

/** How a message's own facts are written beside its payload: as `txbox-…` headers, or as CloudEvents' attributes. */
export type Envelope =
  | 'txbox' // default
  | 'cloudevents' // the Kafka binding's binary mode; source = "txbox:" and the outbox's name
  | {
      readonly kind: 'cloudevents';
      /** Who produces the events: a URI reference, not empty. */
      readonly source: string;
    };

/** The rule of an option that holds an {@link Envelope}. */
export const envelopeRule: OptionRule = (value) => {
  if (value === 'txbox' || value === 'cloudevents') return undefined;
  const forms = "must be 'txbox', 'cloudevents' or { kind: 'cloudevents', source }";
  if (objectValue(value) !== undefined) return forms;
  const { kind, source, ...rest } = value as Record<string, unknown>;
  const unknown = Object.keys(rest);
  if (unknown.length > 0) return `has unknown keys ${unknown.join(', ')} (known: kind, source)`;
  if (kind !== 'cloudevents') return forms;
  return typeof source === 'string' && URI_REFERENCE.test(source) ? undefined : 'must have a source that is a URI reference, not empty';
};

// The characters of RFC 3986.
const URI_REFERENCE = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/;

/** CloudEvents' `source`, or `undefined` for our own headers. */
export function sourceOf(envelope: Envelope, outboxName: string): string | undefined {
  if (envelope === 'txbox') return undefined;
  return envelope === 'cloudevents' ? `txbox:${encodeURIComponent(outboxName)}` : envelope.source;
}
