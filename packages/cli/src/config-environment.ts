import { readFileSync } from 'node:fs';
import { nearestName, type OptionShape, propertiesOf } from '@txbox/core/spi';
import { messageOf } from './output.ts';

/** A variable that sets an option. */
interface ConfigVariable {
  readonly path: readonly string[];
  /** What it says, or what the file says that it names. */
  readonly text: string;
  /** With the file, where it names one. */
  readonly name: string;
}

/** The environment, read for a configuration of one shape. */
export interface ConfigEnvironment {
  /** Those of sections before those of their options. */
  readonly variables: readonly ConfigVariable[];
  readonly problems: readonly string[];
}

const PREFIX = 'TXBOX_';
/** Names the configuration file. */
export const FILE_VARIABLE = 'TXBOX_CONFIG';

/** This repository's own: where its tests find servers, and its services, tools and examples. */
const TESTING = /^TXBOX_(?:TEST|SERVICES|TOOL|DEMO|SUITES|TOTALS|VERSION)(?:_|$)/;

// Kubernetes tells every container of every service of its namespace, of one named `txbox-relay` too.
const SERVICE_LINK =
  /^TXBOX_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)$/;
const SERVICE_PORT = /^TXBOX_(?:[A-Z0-9]+_)*PORT$/;
const SERVICE_ADDRESS = /^(?:tcp|udp|sctp):\/\//;

/** `['relay', 'leaseTtlMs']` is `TXBOX_RELAY__LEASE_TTL_MS`. */
export function variableOf(path: readonly string[]): string {
  return PREFIX + path.map(constantCase).join('__');
}

/**
 * What `TXBOX_…` variables say. `…_FILE` reads the text from the file that it names, less one line's end. Unknown ones are
 * refused: a setting that is not read is worse than none. Those of the sections `unread` are nobody's here.
 */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  shape: OptionShape,
  unread: readonly string[] = [],
): ConfigEnvironment {
  const known = variablesOf(shape, []);
  const found = new Map<string, ConfigVariable>();
  const problems: string[] = [];
  const isUnread = (name: string): boolean =>
    unread.some((section) => name === variableOf([section]) || name.startsWith(`${variableOf([section])}__`));
  for (const [name, value] of Object.entries(environment).sort(([one], [other]) => (one < other ? -1 : 1))) {
    if (value === undefined || !name.startsWith(PREFIX) || isForeign(name, value) || isUnread(name)) continue;
    const of = known.has(name) ? name : name.replace(/_FILE$/, '');
    const path = known.get(of);
    if (!path) {
      const near = nearestName(name, [...known.keys(), ...[...known.keys()].map((each) => `${each}_FILE`), FILE_VARIABLE]);
      problems.push(`unknown variable ${name}${near === undefined ? '' : `, did you mean ${near}?`} (environment)`);
    } else if (found.has(of)) {
      problems.push(`${of} and ${of}_FILE exclude each other (environment)`);
    } else if (of === name) {
      found.set(of, { path, text: value, name });
    } else {
      try {
        found.set(of, { path, text: readFileSync(value, 'utf8').replace(/\r?\n$/, ''), name: `${name} (${value})` });
      } catch (error) {
        problems.push(`the file of ${path.join('.')} cannot be read: ${messageOf(error)} (environment ${name})`);
      }
    }
  }
  return { variables: [...found.values()].sort((one, other) => one.path.length - other.path.length), problems };
}

function isForeign(name: string, value: string): boolean {
  if (name === FILE_VARIABLE || TESTING.test(name) || SERVICE_LINK.test(name)) return true;
  return SERVICE_PORT.test(name) && SERVICE_ADDRESS.test(value);
}

/** The variable of every option, of objects and of what is in them. */
function variablesOf(shape: OptionShape, path: readonly string[]): Map<string, readonly string[]> {
  return new Map(
    Object.entries(propertiesOf(shape)).flatMap(([name, property]) => {
      const own = [...path, name];
      return [[variableOf(own), own] as const, ...variablesOf(property, own)];
    }),
  );
}

function constantCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}
