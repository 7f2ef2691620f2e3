import { decodeHeaders, type WireRecord } from '@txbox/core/spi';
import { createConnection, type RowDataPacket } from 'mysql2/promise';

/** The events of the backlogs as they go on the wire. */
export async function readRecords(databaseUrl: string): Promise<WireRecord[]> {
  const connection = await createConnection(databaseUrl);
  const [found] = await connection.query<RowDataPacket[]>('SELECT message_key, headers, payload FROM filled ORDER BY place');
  await connection.end();
  return found.map((row) => ({ key: row['message_key'], value: row['payload'], headers: decodeHeaders(row['headers']) }));
}
