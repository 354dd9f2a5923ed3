// Asking in SQL. Rows are read as they come, so that a screen can stop when it has enough and keep what it has when the link breaks.

import { AnswerReader, type Result } from '$lib/domain/sql';
import { asProblem, isAbort, open, Problem } from './http';

/** The server ends a query by itself before. */
const LONGEST_MS = 300_000;

export async function runSql(query: string, signal: AbortSignal, onrows: (rows: number) => void): Promise<Result> {
  const enough = new AbortController();
  const response = await open('/api/sql', { query, format: 'json' }, AbortSignal.any([signal, enough.signal, AbortSignal.timeout(LONGEST_MS)]));
  const reader = new AnswerReader();
  const end = await follow(response, (piece) => {
    const goOn = reader.feed(piece);
    onrows(reader.rows);
    return goOn;
  });
  signal.throwIfAborted();
  if (end === 'cut') enough.abort();
  try {
    return reader.finish(end);
  } catch {
    throw new Problem('offline', 0, null, null, null);
  }
}

async function follow(response: Response, take: (piece: string) => boolean): Promise<Result['end']> {
  const stream = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!stream) return 'broken';
  try {
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return 'whole';
      if (!take(value)) {
        stream.cancel().catch(() => undefined);
        return 'cut';
      }
    }
  } catch (error) {
    if (isAbort(error)) throw error;
    return 'broken';
  }
}

/** All rows as CSV, as the server writes it. An answer that breaks off is no file. */
export async function sqlCsv(query: string, signal: AbortSignal): Promise<Blob> {
  const response = await open('/api/sql', { query, format: 'csv' }, AbortSignal.any([signal, AbortSignal.timeout(LONGEST_MS)]));
  try {
    return await response.blob();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asProblem(error);
  }
}
