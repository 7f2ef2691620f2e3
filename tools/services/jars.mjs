// Artifacts from Maven. All that one call needs comes with one run of Maven, which is most of the time of a cold start.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureJava } from './java.mjs';
import { cached, ensureCached, scratchFolder } from './package-cache.mjs';
import { ServicesError, timed } from './progress.mjs';
import { run } from './run.mjs';

/**
 * Puts jars into the cache entry `name`: the artifacts `[group, artifact, version]` and, unless `alone`, what they
 * need at run time. Calls made in the same turn share one run of Maven. Returns the folder.
 */
export async function ensureJars(name, artifacts, { alone = false } = {}) {
  if (existsSync(cached(name))) return cached(name);
  pending ??= new Promise((resolve) => setImmediate(resolve)).then(fetchPending);
  queue.set(name, { name, artifacts, alone }); // two services of one version ask for the same entry
  await pending;
  return cached(name);
}

let pending;
const queue = new Map();

async function fetchPending() {
  pending = undefined;
  const modules = [...queue.values()];
  queue.clear();
  const { home, mvn } = await ensureJava();
  const folder = scratchFolder('maven');
  try {
    const names = modules.map(({ name }) => name).join(', ');
    await timed(`fetched jars of ${names}`, async () => {
      writeFileSync(join(folder, 'pom.xml'), parentOf(modules));
      for (const module of modules) {
        mkdirSync(join(folder, module.name));
        writeFileSync(join(folder, module.name, 'pom.xml'), pomOf(module));
      }
      const args = [
        '-q',
        '-B',
        '-T',
        '2',
        '-f',
        folder,
        `-Dmaven.repo.local=${join(folder, 'repository')}`,
        'dependency:copy-dependencies',
      ];
      const options = { env: { ...process.env, JAVA_HOME: home }, timeoutMs: 600_000 };
      // A second try completes what a broken download left out.
      await run(mvn, args, options).catch(() => run(mvn, args, options));
    });
    for (const { name } of modules) {
      await ensureCached(name, (to) => {
        rmSync(to, { recursive: true });
        renameSync(join(folder, name, 'target/dependency'), to);
      });
    }
  } catch (error) {
    throw new ServicesError(`Maven could not fetch the jars: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const HEAD = '<modelVersion>4.0.0</modelVersion><groupId>local</groupId><version>1</version><packaging>pom</packaging>';

function parentOf(modules) {
  const list = modules.map(({ name }) => `<module>${name}</module>`).join('');
  return `<project>${HEAD}<artifactId>all</artifactId><modules>${list}</modules></project>\n`;
}

function pomOf({ name, artifacts, alone }) {
  const without = alone ? '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>' : '';
  const dependencies = artifacts.map(
    ([group, artifact, version]) =>
      `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>${without}</dependency>`,
  );
  const properties = '<properties><includeScope>runtime</includeScope></properties>';
  return `<project>${HEAD}<artifactId>${name}</artifactId>${properties}<dependencies>${dependencies.join('')}</dependencies></project>\n`;
}
