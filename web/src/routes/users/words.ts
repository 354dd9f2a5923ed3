// A role's word, as the site's profile says it.

import { plant } from '$lib/api/plant.svelte';
import type { Grant } from '$lib/api/types';
import { t } from '$messages';

export function roleWord(grant: Grant): string {
  const onlyHome = plant.profiles.size === 1 && plant.profiles.has('home');
  const home = grant.branch ? plant.equipment.get(grant.branch)?.profile === 'home' : onlyHome;
  return t(home ? `role_home.${grant.role}` : `role.${grant.role}`);
}
