// The plant model as the server gave it, with the look-ups that screens need.

import { ask } from './http';
import { plant as parsePlant } from './parse';
import type { AlarmDef, Equipment, Plant, Profile, Tag } from './types';
import { buildTree } from '$lib/domain/tree';

const EMPTY: Plant = { version: 0, equipment: [], tags: [], alarms: [] };

class PlantStore {
  model = $state.raw<Plant>(EMPTY);

  readonly tags = $derived(new Map(this.model.tags.map((t): [string, Tag] => [t.path, t])));
  readonly equipment = $derived(new Map(this.model.equipment.map((e): [string, Equipment] => [e.path, e])));
  readonly tree = $derived(buildTree(this.model.equipment));
  readonly tagsOf = $derived(group(this.model.tags));
  readonly alarmed = $derived(new Set(this.model.alarms.map((a) => a.tag)));
  readonly alarmsOf = $derived.by(() => {
    const found = new Map<string, AlarmDef[]>();
    for (const a of this.model.alarms) found.set(a.tag, [...(found.get(a.tag) ?? []), a]);
    return found;
  });
  /** Which profiles have sites here; decides between Overview and Rooms. */
  readonly profiles = $derived(
    new Set<Profile>(this.model.equipment.filter((e) => e.level !== 'enterprise').map((e) => e.profile)),
  );

  async load(): Promise<void> {
    this.model = await ask('/api/plant', { read: parsePlant, timeoutMs: 30_000 });
  }

  clear(): void {
    this.model = EMPTY;
  }

  title(path: string): string {
    return this.tags.get(path)?.title ?? this.equipment.get(path)?.title ?? path;
  }
}

function group(tags: readonly Tag[]): Map<string, Tag[]> {
  const found = new Map<string, Tag[]>();
  for (const tag of tags) {
    const list = found.get(tag.equipment);
    if (list) list.push(tag);
    else found.set(tag.equipment, [tag]);
  }
  return found;
}

export const plant = new PlantStore();
