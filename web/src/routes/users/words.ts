// The words of a role, as the site's profile says it, and of the end of a certificate.

import { plant } from '$lib/api/plant.svelte';
import type { Certificate, Grant } from '$lib/api/types';
import { validity } from '$lib/domain/certificate';
import { when } from '$lib/features/value/reading.svelte';
import { t, tn } from '$messages';

export function roleWord(grant: Grant): string {
  const onlyHome = plant.profiles.size === 1 && plant.profiles.has('home');
  const home = grant.branch ? plant.equipment.get(grant.branch)?.profile === 'home' : onlyHome;
  return t(home ? `role_home.${grant.role}` : `role.${grant.role}`);
}

/** `worth`: somebody should see to it. */
export function validityWords(certificate: Certificate, now: number, say: (ms: number) => string = when): { text: string; worth: boolean } {
  const valid = validity(certificate.notBeforeMs, certificate.notAfterMs, now);
  switch (valid.state) {
    case 'good':
      return { text: t('devices.cert_until', { time: say(certificate.notAfterMs) }), worth: false };
    case 'soon':
      return { text: tn('devices.cert_soon', valid.days), worth: true };
    case 'over':
      return { text: t('devices.cert_over', { time: say(certificate.notAfterMs) }), worth: true };
    case 'not_yet':
      return { text: t('devices.cert_not_yet', { time: say(certificate.notBeforeMs) }), worth: true };
  }
}
