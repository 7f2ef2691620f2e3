import type { Command } from '@txbox/core/spi';
import { type Diagnosis, diagnose } from '../doctor/diagnosis.ts';
import type { Finding, Verdict } from '../doctor/finding.ts';
import { resolveRelayOptions } from '../relay-options.ts';
import { relayOptionsOf, sidecarOptionsOf } from './relay-configuration.ts';

/** `txbox relay doctor`: everything that a start would look at, without starting. */
export const relayDoctorCommand: Command = {
  path: ['relay', 'doctor'],
  summary: 'Looks at database, broker, topics, rights and times, and says why a relay would not start here.',
  options: {
    json: { type: 'boolean', description: 'print one JSON object' },
    strict: { type: 'boolean', description: 'exit code 1 for warnings too' },
    'grace-ms': { type: 'string', setting: 'sidecar.graceMs', description: 'the --grace-ms of relay start, for the times (10000)' },
  },
  usesDatabase: true,
  usesPublisher: true,
  async run(context) {
    const { options, output } = context;
    const { graceMs } = sidecarOptionsOf(context);
    const diagnosis = await diagnose(resolveRelayOptions(await relayOptionsOf(context)), graceMs);
    if (options['json'] === true) output.json(diagnosis);
    else for (const line of describeDiagnosis(diagnosis)) output.line(line);
    const strictly = options['strict'] === true && diagnosis.findings.some(({ verdict }) => verdict === 'warning');
    return diagnosis.ok && !strictly ? 0 : 1;
  },
};

/** The worst last, where people look first. */
const VERDICTS: readonly Verdict[] = ['ok', 'accepted', 'warning', 'refused', 'failed'];

/** The diagnosis as lines for people. */
function describeDiagnosis({ ok, findings, times, leastRights }: Diagnosis): string[] {
  const sorted = VERDICTS.flatMap((verdict) => findings.filter((finding) => finding.verdict === verdict));
  const wrong = sorted.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'accepted');
  const count = (verdict: Verdict): number => findings.filter((finding) => finding.verdict === verdict).length;
  return [
    ...table(sorted.map(({ verdict, code, what, value }) => [verdict, code, what, oneLine(value)])),
    '',
    'Times:',
    ...table(times.map(({ what, ms, from }) => [`  ${what}`, `${ms} ms`, `(${from})`])),
    ...leastRights.flatMap(({ who, grants }) => ['', `Least rights of a ${who}:`, ...grants.map((grant) => `  ${grant}`)]),
    ...wrong.flatMap((finding) => ['', ...explained(finding)]),
    '',
    `${ok ? 'A relay starts here' : 'A relay does not start here'}: ${VERDICTS.map((verdict) => `${count(verdict)} ${verdict}`).join(', ')}.`,
  ];
}

function explained({ verdict, code, what, value, rule, wayOut }: Finding): string[] {
  return [`${verdict} ${code}: ${what}: ${oneLine(value)}`, `  rule:    ${rule}`, `  way out: ${wayOut}`];
}

/** Columns as wide as their widest cell, but the last. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell)).join('  '));
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
