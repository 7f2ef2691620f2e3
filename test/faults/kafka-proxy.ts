import { FaultProxy, type Filter, type Passage, type ProxyOptions } from './proxy.ts';

/**
 * What becomes of a produce request:
 *
 * - `forward`: nothing special.
 * - `drop`: the broker never sees it; the connection is cut.
 * - `swallow`: the broker appends, its answer is lost, the connection is cut.
 * - `{ delayMs }`: the answer is late.
 */
type ProduceFate = 'forward' | 'drop' | 'swallow' | { readonly delayMs: number };

/** A proxy that knows where Kafka's messages begin and end, and which of them are produce requests. */
export interface KafkaFaultProxy {
  readonly proxy: FaultProxy;
  /** Fates of the produce requests so far. */
  readonly fates: readonly ProduceFate[];
  /** Asked for every produce request, with its number from 0. Default: forward. */
  rule: (number: number) => ProduceFate;
}

const PRODUCE = 0;

/** Starts a proxy in front of a broker that advertises the proxy's own address. */
export async function startKafkaProxy(options: Omit<ProxyOptions, 'filters'>): Promise<KafkaFaultProxy> {
  const fates: ProduceFate[] = [];
  const decide = (): ProduceFate => {
    const fate = faulty.rule(fates.length);
    fates.push(fate);
    return fate;
  };
  const proxy = await FaultProxy.start({ ...options, filters: () => connectionFilters(decide) });
  const faulty: KafkaFaultProxy = { proxy, fates, rule: () => 'forward' };
  return faulty;
}

/** Requests carry length, API key, version and correlation id; answers length and correlation id. */
function connectionFilters(decide: () => ProduceFate): { 'to-server': Filter; 'to-client': Filter } {
  const awaited = new Map<number, ProduceFate>();
  const requests = framed((frame): Passage => {
    if (frame.readInt16BE(4) !== PRODUCE) return { bytes: frame };
    const fate = decide();
    if (fate === 'drop') return 'cut';
    awaited.set(frame.readInt32BE(8), fate);
    return { bytes: frame };
  });
  const answers = framed((frame): Passage => {
    const fate = awaited.get(frame.readInt32BE(4)) ?? 'forward';
    awaited.delete(frame.readInt32BE(4));
    if (fate === 'swallow') return 'cut';
    return typeof fate === 'object' ? { bytes: frame, delayMs: fate.delayMs } : { bytes: frame };
  });
  return { 'to-server': requests, 'to-client': answers };
}

function framed(judge: (frame: Buffer) => Passage): Filter {
  let rest: Buffer = Buffer.alloc(0);
  return function* (bytes) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 4) {
      const length = rest.readInt32BE(0) + 4;
      if (rest.length < length) return;
      const frame = rest.subarray(0, length);
      rest = rest.subarray(length);
      yield judge(frame);
    }
  };
}
