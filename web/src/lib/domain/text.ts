// Words that come from the server, made fit to stand alone.

/** As a sentence: a capital at the start, a mark at the end. What starts with a name of the settings (`unit_id`) keeps it. */
export function sentence(text: string): string {
  const plain = text.trim();
  if (plain === '') return '';
  const word = /^\S+/.exec(plain)?.[0] ?? '';
  const begin = /[_.`:/\d]/.test(word.slice(0, -1)) ? plain : plain.charAt(0).toUpperCase() + plain.slice(1);
  return /[.!?…]$/.test(begin) ? begin : `${begin}.`;
}

/** The server writes a value behind `→` or a colon as it is, with all its digits (`raw`): `said` takes its place. */
export function withValue(text: string, raw: string, said: string): string {
  for (const mark of ['→ ', ': ']) {
    const at = text.indexOf(mark + raw) + mark.length;
    if (at < mark.length) continue;
    const rest = text.slice(at + raw.length);
    // Behind it the line ends, or goes on after a mark; else it is the beginning of something longer.
    if (/^(?:$|[,:])/.test(rest)) return text.slice(0, at) + said + rest;
  }
  return text;
}

/** As the start of a line, without a mark at its end; what people write in capitals stays so. */
export function headline(text: string): string {
  return text.replace(/^mqtt\b/, 'MQTT').replace(/^\p{Ll}/u, (letter) => letter.toUpperCase());
}

/** The server writes a time in a line as `2026-11-22T06:42:10.250Z`: `say` puts it as the screens do. */
export function withTimes(text: string, say: (ms: number) => string): string {
  return text.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\b/g, (time) => {
    const ms = Date.parse(time);
    return Number.isNaN(ms) ? time : say(ms);
  });
}
