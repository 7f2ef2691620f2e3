import { METRICS_CONTENT_TYPE } from '@txbox/core/spi';
import { RelayMeter } from '../metrics/relay-meter.ts';
import type { Relay } from '../relay.ts';
import { type HttpOptions, resolveHttpOptions } from './http-options.ts';
import { type Answer, jsonAnswer, type WatchAddress, WatchServer } from './watch-server.ts';

/** Shows a relay to those who watch it. Made by {@link watchRelay}. */
export interface RelayWatch extends AsyncDisposable {
  /** Where it listens; `undefined` before `listen`. */
  readonly address: WatchAddress | undefined;
  /** Media type of `metrics`. */
  readonly contentType: string;
  /** The relay's metrics in the text format of Prometheus, as `/metrics` gives them: for a server that you have already. Never rejects. */
  metrics(): Promise<string>;
  /**
   * Answers `/health/live`, `/health/ready` and `/metrics` from now on, also while the relay starts and stops. Rejects with
   * `ADDRESS_UNAVAILABLE`.
   */
  listen(): Promise<WatchAddress>;
  /** Stops listening and counting; call it after the relay's own `stop`. May be called twice. */
  close(): Promise<void>;
}

/**
 * Watches a relay of this process: counts from now on, listens once `listen` is called. Throws `OPTIONS_INVALID`.
 * `txbox relay start` does both by itself.
 */
export function watchRelay(relay: Relay, options: HttpOptions = {}): RelayWatch {
  const resolved = resolveHttpOptions('watchRelay', options);
  const meter = new RelayMeter(relay);
  const server = new WatchServer(
    new Map<string, () => Answer | Promise<Answer>>([
      ['/health/live', () => live(relay)],
      ['/health/ready', () => ready(relay)],
      ['/metrics', async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await meter.text() })],
    ]),
  );
  const close = async (): Promise<void> => {
    meter.close();
    await server.close();
  };
  return {
    get address() {
      return server.address;
    },
    contentType: METRICS_CONTENT_TYPE,
    metrics: () => meter.text(),
    listen: () => server.listen(resolved),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** That there is an answer at all says that the event loop turns; what is missing beside it is no reason to be killed. */
function live(relay: Relay): Answer {
  const { state } = relay.status();
  return jsonAnswer(state === 'stopped' ? 503 : 200, { live: state !== 'stopped', state });
}

function ready(relay: Relay): Answer {
  const { state, shards } = relay.status();
  const { ready: isReady, reasons } = relay.readiness();
  return jsonAnswer(isReady ? 200 : 503, { ready: isReady, state, shards: shards.length, reasons });
}
