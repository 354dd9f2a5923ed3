// How the tiles of the overview share the room: as few holes as can be, the same columns in every group, and on a large
// screen larger tiles rather than an empty half.

export interface TileRoom {
  /** Tiles of each group, in the order shown. */
  groups: readonly number[];
  /** Of the page, in px. */
  width: number;
  /** Of the part of the screen that is left for tiles even while alarms are announced above them. */
  height: number;
}

export interface TileLayout {
  /** Groups side by side. */
  across: number;
  /** Tiles side by side in each group. */
  columns: number;
  /** Of a tile, in px before the zoom. */
  tall: number;
  zoom: number;
}

export const TILE_GAP = 12;
export const GROUP_GAP = 24;
const TILE = 248;
const GROUP = 1000;
const HEAD = 30;
const LOWEST = 200;
const HIGHEST = 250;
/** From here a screen is looked at from further away. */
const WALL = 2100;

const fits = (width: number, each: number, gap: number): number => Math.max(1, Math.floor((width + gap) / (each + gap)));

/** Between what fits and a little less than that: the number that leaves the fewest holes, the greater of two equal ones. */
export function columnsFor(groups: readonly number[], most: number): number {
  const holes = (columns: number): number => groups.reduce((sum, n) => sum + Math.ceil(n / columns) * columns - n, 0);
  let best = most;
  for (let columns = most - 1; columns >= Math.max(1, Math.ceil(most * 0.6)); columns -= 1) if (holes(columns) < holes(best)) best = columns;
  return best;
}

/** Wall screens: the largest of these that still shows everything at once, else the smallest. */
const ZOOMS = [2, 1.7, 1.35];

export function tileLayout(room: TileRoom): TileLayout {
  if (room.width < WALL) return layoutAt(room, 1).layout;
  for (const zoom of ZOOMS) {
    const { layout, whole } = layoutAt(room, zoom);
    if (whole) return layout;
  }
  return layoutAt(room, ZOOMS.at(-1) ?? 1).layout;
}

function layoutAt({ groups, width, height }: TileRoom, zoom: number): { layout: TileLayout; whole: boolean } {
  const w = width / zoom;
  const across = Math.min(Math.max(1, groups.length), fits(w, GROUP, GROUP_GAP));
  const columns = columnsFor(groups, fits((w - GROUP_GAP * (across - 1)) / across, TILE, TILE_GAP));
  let rows = 0;
  let bands = 0;
  for (let i = 0; i < groups.length; i += across) {
    rows += Math.max(...groups.slice(i, i + across).map((n) => Math.ceil(n / columns)));
    bands += 1;
  }
  const free = height / zoom - bands * (HEAD + GROUP_GAP) - (rows - bands) * TILE_GAP;
  const each = rows > 0 ? free / rows : LOWEST;
  return { layout: { across, columns, tall: Math.floor(Math.min(HIGHEST, Math.max(LOWEST, each))), zoom }, whole: each >= LOWEST };
}
