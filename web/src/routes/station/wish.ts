// What every dialog of the station is given: it says what is wished, and the page sends it and tells what became of it.

import type { Came } from '$lib/api/orders';
import type { Job } from '$lib/api/parseOrders';

export interface Wish {
  busy: boolean;
  /** Why nothing can be sent now; null: it can. */
  blocked: string | null;
  /** The answer to the last try was lost: the dialog stays open, and the same again, with the same key, is done once. '': none was. */
  unsure: string;
  onclose: () => void;
  ondo: (doing: () => Promise<Came>, done: (job: Job) => string) => void;
}
