// A process with one subject, so that CPU time is the client's alone and no subject shapes the compiled code of another:
// `node subject.process.js <subject> <url>`. Answers each order of its parent with what the transactions took.
import { preparedMysql2, rawMysql2, txboxMysql2 } from './mysql2-subjects.ts';
import type { StartSubject } from './subject.ts';
import type { Order, Sample, SubjectName } from './subject-process.ts';
import { preparedTypeorm, rawTypeorm, savedEntities, txboxTypeorm } from './typeorm-subjects.ts';

/** Transactions of one kind before the next kind's turn. */
const BLOCK = 5;

const SUBJECTS: Record<SubjectName, StartSubject> = {
  'txbox on mysql2': txboxMysql2,
  'raw mysql2': rawMysql2,
  'raw mysql2, rows encoded beforehand': preparedMysql2,
  'txbox on TypeORM': txboxTypeorm,
  'raw INSERT in TypeORM': rawTypeorm,
  'raw INSERT in TypeORM, rows encoded beforehand': preparedTypeorm,
  'TypeORM save()': savedEntities,
  // Loaded only where it is used: it would change TypeORM for the others.
  'typeorm-transactional': async (url) => await (await import('./typeorm-transactional-subject.ts')).typeormTransactional(url),
};

const [name, url] = process.argv.slice(2) as [SubjectName, string];
const subject = await SUBJECTS[name](url);
let n = 0;

process.on('message', (order: Order | 'close') => {
  if (order === 'close') void subject.close().then(() => process.disconnect());
  else void carryOut(order).then((samples) => process.send?.(samples));
});
process.send?.('ready');

/** Kinds take turns in short blocks, so that what slows the machine down slows all of them. */
async function carryOut({ transactions, kinds }: Order): Promise<Sample[]> {
  const samples = kinds.map((events) => ({ events, ms: 0, cpuMs: 0 }));
  for (let done = 0; done < transactions; done += BLOCK) {
    for (const sample of samples) {
      const cpuAt = process.cpuUsage();
      const startedAt = performance.now();
      for (let at = 0; at < BLOCK; at += 1) await subject.run(n++, sample.events);
      sample.ms += performance.now() - startedAt;
      const { user, system } = process.cpuUsage(cpuAt);
      sample.cpuMs += (user + system) / 1_000;
    }
  }
  const count = Math.ceil(transactions / BLOCK) * BLOCK;
  return samples.map(({ events, ms, cpuMs }) => ({ events, ms: ms / count, cpuMs: cpuMs / count }));
}
