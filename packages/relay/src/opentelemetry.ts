export { type TracedOptions, traced } from './tracing/traced-publisher.ts';
