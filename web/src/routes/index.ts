// The pages there are. What is not in this list is not on the screen; each page is a chunk of its own.

import type { Component } from 'svelte';
import type { PresetId } from '$lib/domain/range';
import type { Key } from '$messages';
import { plant } from '$lib/api/plant.svelte';

export interface Route {
  path: string;
  name: Key;
  section: 'operate' | 'build';
  load: () => Promise<{ default: Component }>;
  /** The time range it starts with; absent where the page has none. */
  range?: PresetId;
  /** `g` and this key opens it. */
  key: string;
  shown: () => boolean;
}

export const ROUTES: readonly Route[] = [
  { path: '/overview', name: 'nav.overview', section: 'operate', key: 'o', load: () => import('./overview/Page.svelte'), shown: () => plant.profiles.has('plant') || !plant.profiles.has('home') },
];

export const shownRoutes = (): Route[] => ROUTES.filter((route) => route.shown());

/** The page for an address; null for none of ours. */
export function routeFor(path: string): Route | null {
  if (path === '/' || path === '/login' || path === '/setup') return shownRoutes()[0] ?? null;
  return ROUTES.find((route) => route.path === path) ?? null;
}
