import { type CommandContext, silentLogger } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { commands } from '@txbox/relay/commands';

/** What `txbox relay doctor --json` prints. */
export interface PrintedDiagnosis {
  readonly ok: boolean;
  readonly findings: readonly { readonly code: string; readonly verdict: string }[];
  readonly times: readonly { readonly ms: number }[];
  readonly leastRights: readonly { readonly who: string; readonly grants: readonly string[] }[];
}

/** Runs the command `relay doctor --json` in this process. */
export async function runDoctor(
  url: string,
  brokers: string[],
  relay: object,
): Promise<{ code: number | undefined; diagnosis: PrintedDiagnosis }> {
  const command = commands.find(({ path }) => path.join(' ') === 'relay doctor');
  const printed: unknown[] = [];
  const context: Partial<CommandContext> = {
    config: { database: { url }, relay },
    options: { json: true, 'grace-ms': '10000' },
    logger: silentLogger,
    publisher: () => Promise.resolve(kafkajs({ brokers, connectionTimeoutMs: 1_000 })),
    output: { line: () => undefined, progress: () => undefined, json: (value) => printed.push(value) },
  };
  const code = await command?.run(context as CommandContext);
  return { code, diagnosis: printed[0] as PrintedDiagnosis };
}
