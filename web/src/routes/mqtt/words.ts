// Words about messages, clients and subscriptions.

import type { Client, Shown, Subscription, TopicRule } from '$lib/api/parseMqtt';
import { bytesParts, formatNumber, withUnit } from '$lib/domain/number';
import { spanText } from '$lib/domain/time';
import { language, t } from '$messages';

export function bytesText(bytes: number): string {
  const { text, unit } = bytesParts(bytes, language.tag);
  return withUnit(text, unit);
}

/** Who published: the user and its client, or the person. */
export function publisherText(m: Pick<Shown, 'publisher' | 'user'>): string {
  if (m.publisher === null) return m.user === null ? t('word.system') : t('mqtt.by_hand', { user: m.user });
  return m.user === null || m.user === m.publisher ? m.publisher : t('mqtt.client_of', { client: m.publisher, user: m.user });
}

/** As whom a client is known: by its user; one without by its identifier. */
export const knownAs = (c: { clientId: string; user: string | null }): string => c.user ?? c.clientId;

/** Its identifier, where it is known by another word. */
export const alsoKnownAs = (c: { clientId: string; user: string | null }): string => (knownAs(c) === c.clientId ? '' : c.clientId);

/** The last payload in one line, or why there is none. */
export function previewText(m: Pick<Shown, 'preview' | 'kind' | 'size'>): string {
  if (m.preview === null) return t('mqtt.not_kept');
  return m.kind === 'empty' ? t('mqtt.kind.empty') : m.preview;
}

export function qosText(m: Pick<Shown, 'qos' | 'retain'>): string {
  return m.retain ? t('mqtt.qos_retain', { qos: m.qos }) : t('mqtt.qos', { qos: m.qos });
}

/** A level's name; an empty one cannot be seen. */
export const levelName = (name: string): string => (name === '' ? t('mqtt.empty_level') : name);

export function sessionText(c: Client): string {
  if (c.expiryS === null) return t('mqtt.session_for_ever');
  return c.expiryS === 0 ? t('mqtt.session_none') : t('mqtt.session', { span: spanText(c.expiryS * 1000) });
}

export function keepAliveText(c: Client): string {
  if (c.keepAliveS === null) return '–';
  return c.keepAliveS === 0 ? t('mqtt.keep_alive_none') : spanText(c.keepAliveS * 1000);
}

/** What is special about a subscription. */
export function optionsText(s: Subscription): string {
  const words = [
    s.filter.startsWith('$share/') ? t('mqtt.option.shared') : '',
    s.noLocal ? t('mqtt.option.no_local') : '',
    s.retainAsPublished ? t('mqtt.option.retain_as_published') : '',
    s.retained === 'send' ? '' : t(`mqtt.option.retained.${s.retained}`),
    s.id === null ? '' : t('mqtt.option.id', { id: s.id }),
    s.origin ? t('mqtt.option.origin') : '',
    s.deliver === 'all' ? '' : t('mqtt.option.deliver', { deliver: s.deliver, count: formatNumber(s.leftOut, 0, language.tag) }),
  ];
  return words.filter(Boolean).join(', ');
}

/** For how long, and how much at most, a rule keeps messages: as it is written, in MiB. */
export function keepText(keep: { ms: number; bytes: number }): string {
  return t('mqtt.keep_most', { span: spanText(keep.ms), size: withUnit(formatNumber(keep.bytes / 2 ** 20, 0, language.tag), 'MiB') });
}

/** What a topic rule says, in short. */
export function ruleText(rule: TopicRule): string {
  const words = [rule.volatile ? t('mqtt.volatile') : '', rule.keep === null ? '' : t('mqtt.keeps', { span: spanText(rule.keep.ms) }), rule.mode === null ? '' : t(`mqtt.mode.${rule.mode}`)].filter(Boolean);
  const all = words.length > 0 ? words.join(', ') : t('mqtt.rule_nothing');
  return all.charAt(0).toUpperCase() + all.slice(1);
}
