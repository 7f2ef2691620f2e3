// Programs out of Kafka's jars.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureJars } from './jars.mjs';
import { ensureJava } from './java.mjs';
import { cached } from './package-cache.mjs';
import { run } from './run.mjs';

const SERIAL = ['-XX:+UseSerialGC', '-Xshare:auto'];
const SHORT_LIVED = ['-Xmx128m', '-XX:TieredStopAtLevel=1'];
const LOG4J = `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
`;

/** The cache entry with the jars of a Kafka version. */
export const jarsOf = (version) => `kafka-${version}`;

/** Fetches the jars of a Kafka version. */
export function ensureKafka(version) {
  // 4.x logs through log4j 2, older ones through log4j 1's successor; without a binding nothing is logged.
  const logging = version.startsWith('4.')
    ? ['org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.5']
    : ['org.slf4j', 'slf4j-reload4j', '1.7.36'];
  return ensureJars(jarsOf(version), [['org.apache.kafka', 'kafka_2.13', version], logging]);
}

/** The command of a Java program of this Kafka version; `folder` takes its logging configuration. */
export async function javaCommand(version, folder, options, main, args) {
  const { java } = await ensureJava();
  const logging = version.startsWith('4.')
    ? ['-Dlog4j2.level=WARN', '-Dorg.apache.logging.log4j.level=WARN']
    : [`-Dlog4j.configuration=file:${folder}/log4j.properties`];
  if (!version.startsWith('4.')) writeFileSync(join(folder, 'log4j.properties'), LOG4J);
  return { file: java, args: [...options, ...SERIAL, ...logging, '-cp', `${cached(jarsOf(version))}/*`, main, ...args] };
}

/** Runs one of Kafka's own tools to its end. */
export async function runTool(version, folder, main, args) {
  const { file, args: all } = await javaCommand(version, folder, SHORT_LIVED, main, args);
  return run(file, all);
}
