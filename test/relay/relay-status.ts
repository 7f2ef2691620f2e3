import type { CommandContext } from '@txbox/core/spi';
import { commands } from '@txbox/relay/commands';

/** What `txbox relay status --json` prints. */
export interface PrintedStatus {
  readonly pending: { readonly rows: number; readonly bytes: number; readonly oldestAgeMs: number };
  readonly relays: readonly {
    readonly id: string;
    readonly wake: string | null;
    readonly shards: readonly number[];
    readonly report: { readonly held: readonly object[] } | null;
  }[];
  readonly shardsWithoutRelay: readonly number[];
}

/** Runs the command `relay status --json` in this process. */
export async function relayStatus(url: string, leaseTtlMs: number): Promise<PrintedStatus> {
  const command = commands.find(({ path }) => path.join(' ') === 'relay status');
  const printed: unknown[] = [];
  const context: Partial<CommandContext> = {
    config: { database: { url }, relay: { leaseTtlMs } },
    options: { json: true },
    output: { line: () => undefined, progress: () => undefined, json: (value) => printed.push(value) },
  };
  await command?.run(context as CommandContext);
  return printed[0] as PrintedStatus;
}
