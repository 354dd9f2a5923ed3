// A command from a room's card: sent once, and how it ended.

import { newId } from '$lib/domain/id';
import { asProblem, ask } from '$lib/api/http';
import { commandResult } from '$lib/api/parse';
import type { Scalar, Tag } from '$lib/api/types';
import { t } from '$messages';

export type Ended = { how: 'confirmed' } | { how: 'unknown' } | { how: 'not'; detail: string };

/** Waits until the command has ended, or longer than it can take. */
export async function carryOut(tag: Tag, value: Scalar): Promise<Ended> {
  try {
    const body = { tag: tag.path, value, key: newId() };
    const timeoutMs = (tag.write?.lifeMs ?? 0) + (tag.write?.confirmWithinMs ?? 0) + 15_000;
    const { outcome, detail } = await ask('/api/commands', { method: 'POST', body, read: commandResult, timeoutMs });
    if (outcome === 'confirmed' || outcome === 'unknown') return { how: outcome };
    return { how: 'not', detail: detail ?? t(`write.step.${outcome}`, { value: '' }) };
  } catch (error) {
    const problem = asProblem(error);
    if (problem.kind === 'offline') return { how: 'unknown' };
    return { how: 'not', detail: problem.detail ?? t(`error.${problem.kind}.what`, { status: problem.status }) };
  }
}
