// Acknowledging: one request for one or many, and a plain word for each that did not work.

import { asProblem, ask } from '$lib/api/http';
import { live } from '$lib/api/live.svelte';
import { ackResults } from '$lib/api/parse';
import type { Alarm } from '$lib/api/types';
import { t } from '$messages';

/** Null when all were acknowledged, else what to tell the person. */
export async function acknowledge(alarms: readonly Alarm[], note = ''): Promise<string | null> {
  if (alarms.length === 0) return null;
  try {
    const body = { alarms: alarms.map(({ name, occurrence }) => ({ name, occurrence })), ...(note.trim() ? { note: note.trim() } : {}) };
    const results = await ask('/api/alarms/ack', { method: 'POST', body, read: ackResults });
    const failed = results.filter((r) => !r.ok);
    await live.refreshAlarms();
    return failed[0] ? t('alarms.ack_failed', { detail: failed.map((r) => r.detail ?? r.name).join('; ') }) : null;
  } catch (error) {
    const problem = asProblem(error);
    return t('alarms.ack_failed', { detail: problem.detail ?? t(`error.${problem.kind}.what`, { status: problem.status }) });
  }
}
