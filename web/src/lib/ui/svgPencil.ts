import type { Pencil } from '$lib/domain/curve';

/** Writes what is drawn as the `d` of an SVG path, to a tenth of a pixel. */
export class SvgPencil implements Pencil {
  d = '';
  moveTo(x: number, y: number): void {
    this.d += `M${x.toFixed(1)} ${y.toFixed(1)}`;
  }
  lineTo(x: number, y: number): void {
    this.d += `L${x.toFixed(1)} ${y.toFixed(1)}`;
  }
  /** A whole circle, whatever the angles. */
  arc(x: number, y: number, r: number): void {
    this.d += `M${(x - r).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }
}
