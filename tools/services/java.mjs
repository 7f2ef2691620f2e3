// Java and Maven: the machine's when they fit, else unpacked Debian packages.
import { execFileSync } from 'node:child_process';
import { missingForApt } from './apt.mjs';
import { onPath } from './run.mjs';

// Brokers before 3.9 use what Java 24 took away.
const LOWEST = 17;
const HIGHEST = 23;

/** What this machine lacks to run Java and Maven; empty when nothing. */
export function missingForJava() {
  if (machineJava() && onPath('mvn')) return [];
  const missing = missingForApt();
  return missing.length ? [`Java ${LOWEST} to ${HIGHEST} and Maven on PATH, or instead of them: ${missing.join(', ')}`] : [];
}

/** Program and environment to run Java with: `{ java, mvn, env }`. */
export async function ensureJava() {
  return { java: machineJava(), mvn: onPath('mvn'), env: {} };
}

function machineJava() {
  for (const java of [process.env['JAVA_HOME'] && `${process.env['JAVA_HOME']}/bin/java`, onPath('java')]) {
    if (!java) continue;
    try {
      const settings = execFileSync(java, ['-XshowSettings:properties', '-version'], { stdio: ['ignore', 'ignore', 'pipe'] });
      void settings;
    } catch {
      continue;
    }
    return java;
  }
  return undefined;
}
