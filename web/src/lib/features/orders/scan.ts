// What a scanned number is, where the page's own list does not know it.

import { asProblem } from '$lib/api/http';
import { getOrder } from '$lib/api/orders';
import type { Job, Order } from '$lib/api/parseOrders';
import { orderNumber, sameNumber } from '$lib/domain/orders';

/** The order, and the job where the number is a job's; null: there is no such thing here. Fails with a `Problem` where that is not known. */
export async function findNumber(text: string): Promise<{ order: Order; job: Job | null } | null> {
  const number = orderNumber(text);
  if (number === '') return null;
  try {
    const order = await getOrder(number);
    const job = sameNumber(text).flatMap((is) => order.jobs.filter((one) => is(one.number)))[0] ?? null;
    return text.includes('/') && job === null ? null : { order, job };
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status === 404) return null;
    throw problem;
  }
}
