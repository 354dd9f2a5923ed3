// The pages there are. What is not in this list is not on the screen; each page is a chunk of its own.

import type { Component } from 'svelte';
import type { PresetId } from '$lib/domain/range';
import type { Key } from '$messages';
import { plant } from '$lib/api/plant.svelte';
import { access } from '$lib/api/session.svelte';

export interface Route {
  path: string;
  name: Key;
  section: 'operate' | 'improve' | 'build';
  load: () => Promise<{ default: Component }>;
  /** The time range it starts with; absent where the page has none. */
  range?: PresetId;
  /** With `kiosk=1` in the address it stands alone, without the frame around it: for a screen on the wall. */
  kiosk?: boolean;
  /** Whoever stands before it wears gloves, whatever was chosen for the desk. */
  density?: 'touch';
  /** `g` and this key opens it. */
  key: string;
  shown: () => boolean;
  /** Why it is not shown, where that is no question of rights. */
  absent?: { title: Key; what: Key };
}

const always = (): boolean => true;
const inPlant = (): boolean => plant.profiles.has('plant') || !plant.profiles.has('home');

export const ROUTES: readonly Route[] = [
  { path: '/overview', name: 'nav.overview', section: 'operate', key: 'o', load: () => import('./overview/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/rooms', name: 'nav.rooms', section: 'operate', key: 'r', load: () => import('./rooms/Page.svelte'), shown: () => plant.profiles.has('home'), absent: { title: 'rooms.none.title', what: 'rooms.none.what' } },
  { path: '/trends', name: 'nav.trends', section: 'operate', key: 't', range: '1h', load: () => import('./trends/Page.svelte'), shown: always },
  { path: '/alarms', name: 'nav.alarms', section: 'operate', key: 'a', load: () => import('./alarms/Page.svelte'), shown: always },
  { path: '/timeline', name: 'nav.timeline', section: 'operate', key: 'e', range: '24h', load: () => import('./timeline/Page.svelte'), shown: always },
  { path: '/station', name: 'nav.station', section: 'operate', key: 'n', density: 'touch', load: () => import('./station/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/shift', name: 'nav.shift', section: 'operate', key: 's', load: () => import('./shift/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/andon', name: 'nav.andon', section: 'operate', key: 'b', kiosk: true, load: () => import('./andon/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/plant', name: 'nav.plant', section: 'improve', key: 'p', range: '8h', load: () => import('./plant/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/orders', name: 'nav.orders', section: 'improve', key: 'w', load: () => import('./orders/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/trace', name: 'nav.trace', section: 'improve', key: 'l', load: () => import('./trace/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/oee', name: 'nav.oee', section: 'improve', key: 'k', range: '8h', load: () => import('./oee/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/maintenance', name: 'nav.maintenance', section: 'improve', key: 'i', range: '24h', load: () => import('./maintenance/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/energy', name: 'nav.energy', section: 'improve', key: 'y', range: '24h', load: () => import('./energy/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/reports', name: 'nav.reports', section: 'improve', key: 'f', load: () => import('./reports/Page.svelte'), shown: inPlant, absent: { title: 'overview.none.title', what: 'overview.none.what' } },
  { path: '/query', name: 'nav.query', section: 'improve', key: 'q', load: () => import('./query/Page.svelte'), shown: always },
  { path: '/connectors', name: 'nav.connectors', section: 'build', key: 'c', load: () => import('./connectors/Page.svelte'), shown: () => access.seesAll },
  { path: '/broker', name: 'nav.mqtt', section: 'build', key: 'm', load: () => import('./mqtt/Page.svelte'), shown: always },
  { path: '/storage', name: 'nav.storage', section: 'build', key: 'd', load: () => import('./storage/Page.svelte'), shown: () => access.may('configure') },
  { path: '/users', name: 'nav.users', section: 'build', key: 'u', load: () => import('./users/Page.svelte'), shown: () => access.mayAnywhere('administer') },
];

export const shownRoutes = (): Route[] => ROUTES.filter((route) => route.shown());

/** The page for an address; null for none of ours. */
export function routeFor(path: string): Route | null {
  if (path === '/' || path === '/login' || path === '/setup') return shownRoutes()[0] ?? null;
  return ROUTES.find((route) => route.path === path) ?? null;
}
