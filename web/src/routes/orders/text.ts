// What the pages of work orders say about what holds one up.

import type { Order } from '$lib/api/parseOrders';
import type { blockedBy } from '$lib/domain/orders';
import { jobState } from '$lib/features/orders/words';
import { exact } from '$lib/features/value/count';
import { t } from '$messages';

/** "20 Label: held, inside the machine", "30 Pack waits for 20 Label". */
export function blockWords(block: ReturnType<typeof blockedBy>[number]): string {
  const job = `${block.job.operation} ${block.job.title}`;
  if (block.why === 'after') return t('orders.waits_for', { job, other: block.waitsFor.map((one) => `${one.operation} ${one.title}`).join(', ') });
  return t('orders.blocked', { job, state: jobState(block.job) });
}

/** What runs of an order: "10 Fill and cap: 5,340"; null where nothing does, or the last operation, whose count the order shows itself. */
export function runWords(order: Order): string | null {
  const job = order.jobs.find((one) => one.state === 'Running');
  return job && job !== order.jobs.at(-1) ? `${job.operation} ${job.title}: ${exact(job.good)}` : null;
}
