// How many alarms were raised over a window, counted by the server in SQL.

import type { Cell } from '$lib/domain/sql';
import { Problem } from './http';
import { runSql } from './sql';
import type { Span } from './oee';
import type { Priority } from './types';

/** So many different alarms are listed; the counts by priority are of all. */
export const MOST_ALARMS = 200;

export interface AlarmCounts {
  byPriority: { priority: Priority; raised: number }[];
  /** The worst priority first, then the most frequent. */
  alarms: { priority: Priority; message: string; tag: string; raised: number }[];
  /** There are more different alarms than are listed. */
  more: boolean;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** At or below a path: what begins with `path/` lies between `path/` and `path0`, for `0` is the next sign behind `/`. */
function raised(path: string, { from, to }: Span): string {
  const below = path === '' ? '' : ` AND (path = ${quoted(path)} OR (path >= ${quoted(`${path}/`)} AND path < ${quoted(`${path}0`)}))`;
  const at = (ms: number): string => quoted(new Date(ms).toISOString());
  return `FROM events WHERE kind = 'alarm' AND severity > 0 AND at >= ${at(from)} AND at < ${at(to)}${below}`;
}

async function rows(query: string, signal: AbortSignal): Promise<Cell[][]> {
  const result = await runSql(query, signal, () => undefined);
  if (result.error) throw new Problem('refused', 0, null, result.error.message, null);
  if (result.end !== 'whole') throw new Problem('offline', 0, null, null, null);
  return result.rows;
}

function priority(cell: Cell | undefined): Priority {
  const n = Number(cell);
  if (n === 1 || n === 2 || n === 3 || n === 4) return n;
  throw new Problem('shape', 0, null, `"${String(cell)}" is no priority of an alarm`, null);
}

export async function alarmCounts(path: string, span: Span, signal: AbortSignal): Promise<AlarmCounts> {
  const from = raised(path, span);
  const [all, each] = await Promise.all([
    rows(`SELECT severity, count(*) AS raised ${from} GROUP BY 1 ORDER BY 1`, signal),
    rows(`SELECT severity, detail ->> 'message' AS message, path, count(*) AS raised ${from} GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 3 LIMIT ${MOST_ALARMS + 1}`, signal),
  ]);
  return {
    byPriority: all.map(([severity, n]) => ({ priority: priority(severity), raised: Number(n) })),
    alarms: each.slice(0, MOST_ALARMS).map(([severity, message, tag, n]) => ({ priority: priority(severity), message: String(message ?? ''), tag: String(tag ?? ''), raised: Number(n) })),
    more: each.length > MOST_ALARMS,
  };
}
