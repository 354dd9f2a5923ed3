// CSV (RFC 4180) and the table that it and the table twin show: one row for each time at which any pen has a point.

import type { Dot } from './series';

export interface Column {
  name: string;
  dots: readonly Dot[];
}
export interface Row {
  at: number;
  cells: (Dot | null)[];
}

export function mergeRows(columns: readonly Column[], from: number, to: number): Row[] {
  const rows = new Map<number, Row>();
  columns.forEach((column, i) => {
    for (const dot of column.dots) {
      // A break without quality of its own marks a gap; it is no reading.
      if (dot.x < from || dot.x > to || (dot.y === null && dot.q === 'good')) continue;
      let row = rows.get(dot.x);
      if (!row) {
        row = { at: dot.x, cells: columns.map(() => null) };
        rows.set(dot.x, row);
      }
      row.cells[i] = dot;
    }
  });
  return [...rows.values()].sort((a, b) => a.at - b.at);
}

/** A text that a spreadsheet would take for a formula gets an apostrophe; numbers are left alone. */
export function csvCell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(columns: readonly Column[], rows: readonly Row[]): string {
  const head = ['time_utc', ...columns.flatMap((c) => [c.name, `${c.name} quality`])];
  const lines = [head.map(csvCell).join(',')];
  for (const row of rows) {
    const cells = row.cells.flatMap((dot) => (dot ? [csvCell(dot.y), dot.q] : ['', '']));
    lines.push([new Date(row.at).toISOString(), ...cells].join(','));
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** A table as it stands on the screen, its figures as the server tells them. */
export function tableCsv(head: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  return `${[head, ...rows].map((row) => row.map(csvCell).join(',')).join('\r\n')}\r\n`;
}
