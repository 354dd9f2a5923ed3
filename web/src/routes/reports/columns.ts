// Which columns of a kept report's tables are shown, and how: the names are those of the document, what is not named here is in its file.

import type { TableName } from '$lib/api/parseReports';
import type { Key } from '$messages';

type How = 'text' | 'number' | 'time' | 'span' | 'share' | 'place' | 'person' | 'job' | 'job_state' | 'order_state' | 'kind' | 'disposition' | 'amount' | 'maintenance' | 'handover' | 'tag';
export interface Column {
  of: string;
  title: Key;
  how: How;
}
const column = (of: string, title: Key, how: How = 'text'): Column => ({ of, title, how });
const COUNTED = [column('good', 'oee.amount.good', 'number'), column('scrap', 'oee.amount.scrap', 'number'), column('rework', 'oee.amount.rework', 'number')];

export const COLUMNS: Readonly<Record<TableName, readonly Column[]>> = {
  children: [column('path', 'plant.node', 'place'), column('oee', 'oee.kpi.oee_index', 'share'), column('availability', 'oee.kpi.availability', 'share'), column('effectiveness', 'oee.kpi.effectiveness', 'share'), column('quality_ratio', 'oee.kpi.quality_ratio', 'share'), column('good', 'oee.amount.good', 'number'), column('scrap', 'oee.amount.scrap', 'number')],
  orders: [column('number', 'orders.number'), column('title', 'orders.material'), column('state', 'orders.state', 'order_state'), column('quantity', 'orders.quantity', 'amount'), ...COUNTED, column('due_ms', 'orders.due', 'time')],
  jobs: [column('number', 'reports.job'), column('equipment', 'reports.equipment', 'place'), column('state', 'orders.state', 'job_state'), column('started_ms', 'reports.started', 'time'), column('ended_ms', 'reports.ended', 'time'), ...COUNTED],
  counts: [column('job', 'reports.job', 'job'), column('at_ms', 'reports.at', 'time'), column('scrap', 'oee.amount.scrap', 'number'), column('rework', 'oee.amount.rework', 'number'), column('reason', 'oee.reason'), column('by', 'oee.by', 'person')],
  consumption: [column('job', 'reports.job', 'job'), column('material', 'orders.material'), column('number', 'trace.number'), column('quantity', 'orders.quantity', 'number')],
  units: [column('number', 'trace.number'), column('state', 'trace.state', 'disposition'), column('made_ms', 'trace.made', 'time'), column('certificate', 'trace.certificate')],
  alarms: [column('priority', 'reports.priority'), column('message', 'alarms.message'), column('tag', 'reports.equipment', 'tag'), column('raised', 'reports.raised', 'number'), column('total_ms', 'oee.long', 'span')],
  logbook: [column('at_ms', 'reports.at', 'time'), column('kind', 'maintenance.kind', 'kind'), column('path', 'reports.equipment', 'place'), column('text', 'reports.text'), column('by', 'oee.by', 'person')],
  handovers: [column('at_ms', 'reports.at', 'time'), column('path', 'reports.equipment', 'place'), column('summary', 'reports.text'), column('by', 'oee.by', 'person'), column('state', 'orders.state', 'handover'), column('confirmed_by', 'reports.confirmed', 'person')],
  labour: [column('path', 'shift.place', 'place'), column('people', 'shift.people_label', 'number'), column('attendance_ms', 'shift.attendance', 'span'), column('working_ms', 'shift.working', 'span'), column('worker_efficiency', 'shift.efficiency', 'share')],
  maintenance: [column('number', 'orders.number'), column('title', 'reports.text'), column('equipment', 'reports.equipment', 'place'), column('kind', 'maintenance.kind', 'maintenance'), column('state', 'orders.state', 'job_state'), column('work_ms', 'maintenance.worked', 'span'), column('failed_ms', 'maintenance.failed', 'time'), column('restored_ms', 'maintenance.restored_at', 'time')],
};
export const isFigure = (how: How): boolean => how === 'number' || how === 'span' || how === 'share' || how === 'amount';
