import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Servers a bench can ask for, and the variables of the environment with their addresses. */
const VARIABLES = {
  mariadb: 'TXBOX_TEST_MARIADB_URL',
  mariadb11: 'TXBOX_TEST_MARIADB11_URL',
  mysql57: 'TXBOX_TEST_MYSQL57_URL',
  mysql80: 'TXBOX_TEST_MYSQL80_URL',
  mysql9: 'TXBOX_TEST_MYSQL9_URL',
  kafka: 'TXBOX_TEST_KAFKA_BROKERS',
  'kafka-three': 'TXBOX_TEST_KAFKA_THREE_BROKERS',
} as const;

export const DATABASES = ['mariadb', 'mariadb11', 'mysql57', 'mysql80', 'mysql9'] as const;
/** One broker, three brokers. */
export const CLUSTERS = ['kafka', 'kafka-three'] as const;

/** The addresses of servers, by service; those that the environment does not name are started. */
export function addressesOf<S extends keyof typeof VARIABLES>(...services: S[]): Record<S, string> {
  const env = { ...process.env };
  if (services.some((service) => !env[VARIABLES[service]])) {
    const script = join(import.meta.dirname, '../../tools/services.mjs');
    const output = execFileSync(process.execPath, [script, 'start', ...services], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for (const line of output.split('\n')) {
      const at = line.indexOf('=');
      if (at > 0) env[line.slice(0, at)] = line.slice(at + 1);
    }
  }
  return Object.fromEntries(
    services.map((service) => {
      const address = env[VARIABLES[service]];
      if (!address) throw new Error(`the service ${service} has no address`);
      return [service, address];
    }),
  ) as Record<S, string>;
}
