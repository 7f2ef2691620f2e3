// The JSON Schema of packages/cli/config.schema.json: what the packages declare, with the docstrings of their options.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { schemaOfConfig } from '../packages/cli/src/config-schema.ts';
import { findInstalled } from '../packages/cli/src/installed.ts';

const ROOT = resolve(import.meta.dirname, '..');
export const SCHEMA_FILE = join(ROOT, 'packages/cli/config.schema.json');

const KAFKA = ['kafka/src/kafka-options.ts KafkaConnectionOptions', 'kafka/src/kafka-options.ts KafkaPublisherOptions'];
/** Where the options of a section, or of a kind of publisher, have their docstrings. */
const DOCSTRINGS: Readonly<Record<string, readonly string[]>> = {
  database: ['core/src/commands/database-section.ts DatabaseSection'],
  relay: ['relay/src/relay-options.ts RelayOptions'],
  sidecar: ['relay/src/commands/relay-configuration.ts SidecarOptions'],
  http: ['relay/src/http/http-options.ts HttpOptions'],
  kafkajs: [...KAFKA, 'kafka/src/publishers/kafkajs.ts KafkajsPublisherOptions'],
  platformatic: KAFKA,
  embedded: ['embedded/src/publisher.ts EmbeddedOptions'],
};
const SECTIONS = 'cli/src/config.ts TxboxConfig';

interface Schema {
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/** The schema as it is to be. */
export async function configSchema(): Promise<Schema> {
  const { properties = {}, ...schema }: Schema = schemaOfConfig(await findInstalled());
  const sections = Object.entries(properties).map(([name, section]) => [name, documented(section, DOCSTRINGS[name] ?? [])] as const);
  return documented({ ...schema, properties: Object.fromEntries(sections) }, [SECTIONS]);
}

function documented(schema: Schema, interfaces: readonly string[]): Schema {
  if (schema.anyOf) {
    const kindOf = ({ properties }: Schema): string => String(properties?.['kind']?.enum?.[0]);
    return { ...schema, anyOf: schema.anyOf.map((each) => documented(each, DOCSTRINGS[kindOf(each)] ?? interfaces)) };
  }
  if (!schema.properties) return schema;
  const said: Record<string, string> = Object.assign({}, ...interfaces.map(docstringsOf));
  const properties = Object.entries(schema.properties).map(([name, option]) => {
    const description = said[name] ?? option.description;
    return [name, description === undefined ? option : { description, ...option }] as const;
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

function docstringsOf(place: string): Readonly<Record<string, string>> {
  const [file = '', name = ''] = place.split(' ');
  const text = readFileSync(join(ROOT, 'packages', file), 'utf8');
  const body = new RegExp(`^(?:export )?interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(text)?.[1];
  if (body === undefined) throw new Error(`${file} has no interface ${name}.`);
  const found = body.matchAll(/^ {2}\/\*\*([\s\S]*?)\*\/\n {2}(?:readonly )?([\w$]+)\??:/gm);
  return Object.fromEntries([...found].map(([, said = '', option = '']) => [option, plain(said)]));
}

function plain(docstring: string): string {
  return docstring
    .replace(/^ *\* ?/gm, '')
    .replace(/\{@link ([^}]*)\}/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
}
