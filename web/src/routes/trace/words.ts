// What the page says about lots and units, in the viewer's language.

import type { Item } from '$lib/api/parseTrace';
import type { Material } from '$lib/api/parseOrders';
import { MISSING } from '$lib/domain/number';
import { amount } from '$lib/features/orders/words';
import { router } from '$lib/router.svelte';
import { t } from '$messages';

/** What the master data say of materials, by name: their words and units. Without them there are numbers alone. */
export type Materials = ReadonlyMap<string, Material>;

export const materialWord = (name: string): string => (name === 'unknown' ? t('trace.not_known') : name);
export const amountOf = (n: number | null, material: string, materials: Materials): string => (n === null ? MISSING : amount(n, materials.get(material)?.unit ?? ''));
export const itemLink = (id: string): string => router.link('/trace', { item: id });
export const placeLink = (place: string): string => router.link('/trace', { place });
export const vesselLink = (vessel: string): string => router.link('/trace', { vessel });
export const kindWord = (item: Item): string => t(`trace.kind.${item.kind}`);
