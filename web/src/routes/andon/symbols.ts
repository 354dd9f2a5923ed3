// The shape of each time, on a field of 24 × 24: known from afar, and told apart without colour.

import type { Element } from '$lib/api/parseOee';

export const SYMBOLS: Readonly<Record<Element, string>> = {
  production: 'M6 3l15 9-15 9z',
  setup: 'M10.600 2h2.800l.5 3 2 .9 2.500-1.800 2 2-1.800 2.500.9 2 3 .5v2.800l-3 .5-.9 2 1.800 2.500-2 2-2.500-1.800-2 .9-.5 3h-2.800l-.5-3-2-.9-2.500 1.800-2-2 1.800-2.500-.9-2-3-.5v-2.800l3-.5.9-2-1.800-2.500 2-2 2.500 1.800 2-.9zM12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z',
  delay: 'M4 4h16v16H4z',
  minor_stop: 'M5 4h5v16H5zM14 4h5v16h-5z',
  idle: 'M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14z',
  unknown: 'M8 8.500C8 6 9.800 4 12.200 4c2.400 0 4.300 1.700 4.300 4 0 3.300-4.300 3.700-4.300 6.500v1M12.200 19v1.500',
  planned_down: 'M4 5h16v3H4zM4 10.500h16v3H4zM4 16h16v3H4z',
  off_shift: 'M15 3a9.500 9.500 0 1 0 6 14A8 8 0 0 1 15 3z',
};
