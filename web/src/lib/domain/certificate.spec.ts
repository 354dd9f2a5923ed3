import { expect, test } from 'vitest';
import { complaint, fingerprintText, isFingerprint, validity } from './certificate';
import { DAY } from './time';

test('a fingerprint is written as openssl writes it, and told from a name', () => {
  expect(fingerprintText('09af')).toBe('09:AF');
  expect(isFingerprint('0a'.repeat(32))).toBe(true);
  for (const name of ['press-7', '0a'.repeat(31), `${'0a'.repeat(31)}0g`]) expect(isFingerprint(name)).toBe(false);
});

test('the end of a certificate is told thirty days before, to the last second', () => {
  const at = (now: number) => validity(10 * DAY, 100 * DAY, now);
  expect(at(9 * DAY)).toEqual({ state: 'not_yet' });
  expect(at(70 * DAY)).toEqual({ state: 'good' });
  expect(at(70 * DAY + 1)).toEqual({ state: 'soon', days: 29 });
  expect(at(99 * DAY + 1)).toEqual({ state: 'soon', days: 0 });
  expect(at(100 * DAY)).toEqual({ state: 'soon', days: 0 });
  expect(at(100 * DAY + 1)).toEqual({ state: 'over' });
});

test('a private key is not sent, whatever stands beside it', () => {
  expect(complaint(' \n')).toBe('empty');
  expect(complaint('-----BEGIN EC PRIVATE KEY-----')).toBe('key');
  expect(complaint('-----BEGIN CERTIFICATE-----\n')).toBe(null);
});
