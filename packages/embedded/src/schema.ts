/** Kept in the file's `user_version`; a file of another version is refused, since nothing in it is worth a migration. */
export const FILE_VERSION = 1;

/** Marks the file as ours (`application_id`): "TXBL". */
export const FILE_MARK = 0x5458424c;

/** Offsets of one lane; a record's row number is `lane * LANE_SPAN + offset`, so that one tree holds them all in reading order. */
export const LANE_SPAN: number = 2 ** 36;

/** Most lanes a file ever numbers: beyond, row numbers would not be exact. */
export const MAX_LANES: number = 2 ** 17;

/** The whole schema. Names compare byte by byte, SQLite's default (P-T4). */
export const SCHEMA = `
CREATE TABLE meta (cluster_id TEXT NOT NULL) STRICT;
CREATE TABLE topic (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL
) STRICT;
CREATE TABLE lane (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic INTEGER NOT NULL REFERENCES topic ON DELETE CASCADE,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, partition)
) STRICT;
CREATE TABLE record (
  place INTEGER PRIMARY KEY,
  key BLOB,
  value BLOB,
  headers BLOB NOT NULL,
  timestamp INTEGER NOT NULL
) STRICT;
CREATE TABLE member (
  group_name TEXT NOT NULL,
  id TEXT NOT NULL,
  process TEXT NOT NULL,
  topics TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (group_name, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE assignment (
  group_name TEXT NOT NULL,
  lane INTEGER NOT NULL REFERENCES lane ON DELETE CASCADE,
  member TEXT,
  generation INTEGER NOT NULL DEFAULT 0,
  next_offset INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (group_name, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignment_lane ON assignment (lane);
`;
