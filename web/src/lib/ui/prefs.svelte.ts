// What a person set for this browser: colours, density, width of the navigation.

import { MediaQuery } from 'svelte/reactivity';
import { remember, remembered } from '$messages';

export type Density = 'normal' | 'dense' | 'touch';

/** Below this width the phone layout holds. */
export const phone = new MediaQuery('(max-width: 759.98px)', false);
/** Between phone and this width the navigation shows icons only. */
export const narrow = new MediaQuery('(max-width: 1179.98px)', false);
const coarse = new MediaQuery('(pointer: coarse)', false);

class Prefs {
  theme = $state<'light' | 'dark'>(document.documentElement.dataset['theme'] === 'dark' ? 'dark' : 'light');
  /** What was chosen; null lets the pointer decide. */
  chosenDensity = $state<Density | null>(densityOf(remembered('andon.density')));
  railNarrow = $state(remembered('andon.rail') === 'narrow');

  /** What the page in sight needs, whatever was chosen: an operator's screen is for gloves. */
  neededDensity = $state<Density | null>(null);

  readonly density = $derived<Density>(this.neededDensity ?? this.chosenDensity ?? (coarse.current ? 'touch' : 'normal'));

  setTheme(theme: 'light' | 'dark'): void {
    this.theme = theme;
    document.documentElement.dataset['theme'] = theme;
    remember('andon.theme', theme);
  }

  setDensity(density: Density): void {
    this.chosenDensity = density;
    remember('andon.density', density);
  }

  toggleRail(): void {
    this.railNarrow = !this.railNarrow;
    remember('andon.rail', this.railNarrow ? 'narrow' : 'wide');
  }
}

function densityOf(text: string | null): Density | null {
  return text === 'normal' || text === 'dense' || text === 'touch' ? text : null;
}

export const prefs = new Prefs();
