// Checks what a browser has to load: the entry at most 110 kB of scripts and 12 kB of styles, every other chunk 90 kB,
// all gzipped. Run after `vite build`.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const ENTRY_JS = 110_000;
const ENTRY_CSS = 12_000;
const CHUNK = 90_000;

const folder = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', folder), 'utf8'));
const size = (file) => gzipSync(readFileSync(new URL(file, folder))).length;
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

/** The entry and everything it imports before the first page is shown. */
function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) closure(next, seen);
  return seen;
}

const [entry] = Object.entries(manifest).find(([, chunk]) => chunk.isEntry);
const first = closure(entry);
const js = [...first].reduce((sum, key) => sum + size(manifest[key].file), 0);
const css = [...new Set([...first].flatMap((key) => manifest[key].css ?? []))].reduce((sum, file) => sum + size(file), 0);
const faults = [];
console.log(`entry: ${kb(js)} of ${kb(ENTRY_JS)} scripts, ${kb(css)} of ${kb(ENTRY_CSS)} styles`);
if (js > ENTRY_JS) faults.push('the entry scripts are over their budget');
if (css > ENTRY_CSS) faults.push('the entry styles are over their budget');

for (const [key, chunk] of Object.entries(manifest)) {
  if (first.has(key) || !chunk.file.endsWith('.js')) continue;
  const bytes = size(chunk.file) + (chunk.css ?? []).reduce((sum, file) => sum + size(file), 0);
  console.log(`${key}: ${kb(bytes)}`);
  if (bytes > CHUNK) faults.push(`${key} is over ${kb(CHUNK)}`);
}
for (const fault of faults) console.error(`over budget: ${fault}`);
process.exit(faults.length ? 1 : 0);
