/** What a line must show: the rule holds in every state, or the mutant of it is caught. */
type Expectation = 'holds' | 'caught';

/** A model with its flags. */
export interface ModelCheck {
  readonly expect: Expectation;
  readonly model: 'relay-low' | 'parking' | 'inbox-setaside';
  readonly what: string;
  readonly flags: readonly string[];
  /** Searched in seconds; the others are part of the full product. */
  readonly quick: boolean;
}

/** One relay and four numbers. */
const ONE = ['NR=1', 'NP=4'];
/** Two relays without any lease. */
const TWO = ['NR=2', 'NP=3', 'PAGE=1', 'NOPREFETCH'];
const BATCH = [...ONE, 'BATCH=3'];
/** Keys are parked and redriven meanwhile. */
const PARK_ONE = ['NR=1', 'NP=3', 'PARK', 'LOWINV'];

type Line = readonly [expect: Expectation, what: string, flags: readonly string[], slow?: 'slow'];

const RELAY_LOW: readonly Line[] = [
  ['holds', 'dirty look, then committed look; A1', [...ONE, 'LOWINV'], 'slow'],
  ['holds', 'five positions, no prefetch', ['NR=1', 'NP=5', 'NOPREFETCH', 'LOWINV'], 'slow'],
  ['holds', 'two relays (zombie, take-over)', [...TWO, 'LOWINV'], 'slow'],
  ['holds', 'prefetch with [low, start) read again', [...ONE, 'LOWINV', 'REREAD=1'], 'slow'],
  ['holds', "another's DELETE of an unsent row rolls back", [...ONE, 'LOWINV', 'HIDE'], 'slow'],
  ['holds', 'a settle rolls back', [...ONE, 'LOWINV', 'UNDO'], 'slow'],
  ['holds', 'restart issues numbers again', ['NR=1', 'NP=3', 'REUSE'], 'slow'],
  ['holds', 'failed rows of a key forgotten with the pages', [...ONE, 'DROPKEY'], 'slow'],
  ['holds', 'without sweep (sweep is only for broken A1)', [...ONE, 'NOSWEEP'], 'slow'],
  ['holds', 'alternative a: always from 0', [...ONE, 'LOOK=3', 'NOLOW'], 'slow'],
  ['holds', 'alternative b: innodb_trx, committed look, no W', [...ONE, 'LOOK=1', 'TRX', 'LOWINV'], 'slow'],
  ['holds', 'alternative c: cursor below uncommitted rows, A1', [...ONE, 'BOUND'], 'slow'],
  ['holds', 'committed look with A2 (draw to commit within W)', [...ONE, 'LOOK=1', 'LAG=2', 'LOWINV'], 'slow'],
  ['holds', 'dirty look alone with A1, no hidden rows', [...ONE, 'LOOK=3', 'LOWINV'], 'slow'],
  ['holds', 'dirty look or acknowledged, A1, no hidden rows', [...ONE, 'LOOK=2', 'LOWINV'], 'slow'],
  ['holds', 'committed look with A2, hidden row', [...ONE, 'LOOK=1', 'LAG=2', 'HIDE', 'LOWINV'], 'slow'],
  ['holds', 'requests of up to three rows of a key', [...BATCH, 'LOWINV']],
  ['holds', "requests of several rows, another's DELETE rolls back", [...BATCH, 'LOWINV', 'HIDE'], 'slow'],
  ['holds', 'requests of several rows, a settle rolls back', [...BATCH, 'LOWINV', 'UNDO'], 'slow'],
  ['holds', 'requests of several rows, failed keys forgotten', [...BATCH, 'LOWINV', 'DROPKEY'], 'slow'],
  ['holds', 'requests of several rows, restart issues numbers again', ['NR=1', 'NP=3', 'REUSE', 'BATCH=3'], 'slow'],
  ['holds', 'requests of two rows, two relays', [...TWO, 'LOWINV', 'BATCH=2'], 'slow'],
  ['holds', 'a key parked, its followers moved, redriven', PARK_ONE],
  ['holds', 'parking, two relays without any lease, always from 0', [...TWO, 'PARK', 'LOOK=3', 'NOLOW'], 'slow'],
  ['holds', 'parking, four numbers', ['NR=1', 'NP=4', 'PARK', 'LOWINV', 'NOPREFETCH'], 'slow'],
  ['holds', 'two keys parked', [...PARK_ONE, 'PARKS=2'], 'slow'],
  ['caught', 'parked keys read beside the page', [...PARK_ONE, 'PARKCACHED']],
  ['caught', 'a refused row forgotten, its followers in memory not', [...PARK_ONE, 'PARKROWONLY']],
  ['caught', 'a page from before the parking used after it', [...PARK_ONE, 'PARKKEEPPAGE']],
  ['caught', 'followers moved without looking whether the key is parked', [...PARK_ONE, 'MOVENOCHECK']],
  ['caught', 'redriven not from the front', [...PARK_ONE, 'REDRIVEANY']],
  ['caught', 'un-parked though a dead letter is left', [...PARK_ONE, 'UNPARKANY']],
  ['caught', 'plain hint', [...ONE, 'HINT', 'NOPREFETCH']],
  ['caught', 'hint that wake-ups lower', [...ONE, 'HINT', 'NOPREFETCH', 'WAKELOWER']],
  ['caught', 'wake-up raises low', [...ONE, 'WAKERAISE']],
  ['caught', 'no look, A2', [...ONE, 'LOOK=0', 'LAG=2']],
  ['caught', 'committed look only, A1', [...ONE, 'LOOK=1']],
  ['caught', 'both looks, no lag', [...ONE, 'LAG=0']],
  ['caught', 'dirty look or acknowledged, no lag', [...ONE, 'LOOK=2', 'LAG=0']],
  ['caught', 'no lag, no sweep (a row is never sent)', [...ONE, 'LAG=0', 'NOSWEEP']],
  ['caught', 'alternative c without lag', [...ONE, 'BOUND', 'LAG=0']],
  ['caught', 'dirty look alone, hidden row', [...ONE, 'LOOK=3', 'HIDE']],
  ['caught', 'dirty look or acknowledged, hidden row', [...ONE, 'LOOK=2', 'HIDE']],
  ['caught', 'dirty look or read by us, hidden row', [...ONE, 'LOOK=4', 'HIDE']],
  ['caught', 'prefetch without reading [low, start) again', [...ONE, 'REREAD=0']],
  ['caught', 'two unacknowledged requests of a key', [...ONE, 'TWO']],
  ['caught', 'settle by range', [...ONE, 'RANGE']],
  ['caught', 'settle by position after reuse', ['NR=1', 'NP=3', 'REUSE', 'SETTLEPOS']],
  ['caught', 'low kept over a restart', ['NR=1', 'NP=3', 'REUSE', 'KEEPLOW']],
  ['caught', 'number drawn before the aggregate lock', [...ONE, 'LATELOCK']],
  ['caught', 'a failed row forgotten, its followers not', [...ONE, 'DROPONE']],
  ['caught', 'failed key forgotten, page on its way used', [...ONE, 'DROPKEEPPAGE']],
  ['caught', 'low passes sent rows that may be forgotten', [...ONE, 'DROPKEY', 'LOOK=4']],
  ['caught', 'a request is written from its last row to its first', [...BATCH, 'BATCHREVERSED']],
  ['caught', 'of a failed request only the first row is sent again', [...BATCH, 'BATCHPARTLY']],
  ['caught', 'a request leaves out rows between those that it takes', [...BATCH, 'BATCHGAP']],
];

const PARKING: readonly Line[] = [
  ['holds', 'fence by FOR UPDATE, page valid under the lease', []],
  ['holds', 'two permanent failures', ['FB=2', 'UB=0']],
  ['holds', 'two redrivers', ['RD=2', 'UB=0'], 'slow'],
  ['holds', 'mover without fence (header lock only)', ['MOVEFREE'], 'slow'],
  ['holds', "alternative: parked set in the page's snapshot, no lease", ['SNAPPARKED'], 'slow'],
  ['holds', 'alternative, two permanent failures', ['SNAPPARKED', 'FB=2', 'UB=0'], 'slow'],
  ['caught', "a zombie's page counts", ['BLINDREAD']],
  ['caught', 'fence without FOR UPDATE', ['NOFORUPDATE']],
  ['caught', 'parked set loaded before the acquire commits', ['LOADEARLY']],
  ['caught', 'un-park without header lock and recheck', ['UNPARKRACE']],
  ['caught', 'mover does not recheck the header', ['MOVENOCHECK']],
  ['caught', 'discard while a zombie may still send', ['DISCARDANY']],
  ['caught', 'page read before the park used after it', ['STALEPAGE']],
  ['caught', 'alternative, page used after the park', ['SNAPPARKED', 'STALEPAGE']],
  ['caught', 'alternative, un-park without recheck', ['SNAPPARKED', 'UNPARKRACE']],
  ['caught', 'alternative, mover does not recheck', ['SNAPPARKED', 'MOVENOCHECK']],
];

const INBOX_SETASIDE: readonly Line[] = [
  ['holds', 'dedup row at the effect, crash and rewind', [], 'slow'],
  ['holds', 'duplicates in the log, rewind', ['LX=1', 'XB=0'], 'slow'],
  ['holds', 'two drainers', ['DR=2', 'XB=0'], 'slow'],
  ['holds', 'two failures', ['FB=2', 'XB=0'], 'slow'],
  ['holds', 'set-aside does not look at the inbox', ['PUTANY', 'XB=0']],
  ['holds', 'variant: dedup row at set-aside, drainer ignores it', ['DEDUPEARLY', 'XB=0'], 'slow'],
  ['caught', 'dedup row at set-aside, drainer as usual', ['DEDUPNAIVE']],
  ['caught', 'append without header lock', ['APPENDRACE']],
  ['caught', 'un-park without lock and recheck', ['UNPARKRACE']],
  ['caught', 'retry aside without followers', ['NOFOLLOW']],
  ['caught', 'offset before commit', ['OFFSETFIRST']],
  ['caught', 'discard without dedup row, then rewind', ['DISCARDBARE']],
];

const checksOf = (model: ModelCheck['model'], lines: readonly Line[]): ModelCheck[] =>
  lines.map(([expect, what, flags, slow]) => ({ expect, model, what, flags, quick: slow === undefined }));

/** Every rule, alternative and mutant. */
export const CHECKS: readonly ModelCheck[] = [
  ...checksOf('relay-low', RELAY_LOW),
  ...checksOf('parking', PARKING),
  ...checksOf('inbox-setaside', INBOX_SETASIDE),
];
