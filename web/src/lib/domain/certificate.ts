// What a screen says about a device's certificate.

import { DAY } from './time';

/** As `openssl x509 -fingerprint -sha256` writes it: pairs of digits with colons between. */
export function fingerprintText(hex: string): string {
  return (hex.match(/../g) ?? []).join(':').toUpperCase();
}

/** Whether a device names its certificate by its SHA-256; else it is by its common name. */
export const isFingerprint = (name: string): boolean => /^[0-9a-f]{64}$/i.test(name);

/** A certificate that ends within so many days is worth a word. */
export const SOON_DAYS = 30;

export type Validity = { state: 'good' } | { state: 'not_yet' } | { state: 'soon'; days: number } | { state: 'over' };

/** Days are counted down to whole ones: 0 is within a day. */
export function validity(notBeforeMs: number, notAfterMs: number, now: number): Validity {
  if (now > notAfterMs) return { state: 'over' };
  if (now < notBeforeMs) return { state: 'not_yet' };
  const days = Math.floor((notAfterMs - now) / DAY);
  return days < SOON_DAYS ? { state: 'soon', days } : { state: 'good' };
}

/** Why a text is not sent to be looked at; null: it may be. A private key stays where it is. */
export function complaint(pem: string): 'empty' | 'key' | null {
  if (pem.includes('PRIVATE KEY')) return 'key';
  return pem.trim() === '' ? 'empty' : null;
}
