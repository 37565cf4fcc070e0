/**
 * On which line a TOML document sets what. The parser gives values without places, so this scans a document
 * that the parser has accepted: it may be lax about what is allowed, never about where strings and lists end.
 */

/** Lines, counted from 1, by `section`, `section.key` or `key`. */
export type Positions = ReadonlyMap<string, number>;

const bareOrQuoted = /^\s*(?:([A-Za-z0-9_-]+)|"([^"\n]*)"|'([^'\n]*)')\s*/;

/** Splits `a.b."c d"` at its dots; stops at what is no key. */
function keyParts(text: string): string[] {
  const parts: string[] = [];
  for (let rest = text; ; ) {
    const match = bareOrQuoted.exec(rest);
    if (match === null) return parts;
    parts.push(match[1] ?? match[2] ?? match[3] ?? '');
    rest = rest.slice(match[0].length);
    if (!rest.startsWith('.')) return parts;
    rest = rest.slice(1);
  }
}

/** Index just after the string that starts at `at`. */
function endOfString(document: string, at: number): number {
  const quote = document[at] ?? '';
  const long = quote.repeat(3);
  const end = document.startsWith(long, at) ? long : quote;
  let index = at + end.length;
  while (index < document.length && !document.startsWith(end, index)) index += quote === '"' && document[index] === '\\' ? 2 : 1;
  // Up to two more quotes may belong to the text of a long string.
  index += end.length;
  while (end.length === 3 && document[index] === quote) index++;
  return index;
}

/** Index of the line break that ends the value which starts at `at`, with its lists and long strings. */
function endOfStatement(document: string, at: number): number {
  let depth = 0;
  let index = at;
  while (index < document.length) {
    const character = document[index];
    if (character === '"' || character === "'") {
      index = endOfString(document, index);
      continue;
    }
    if (character === '#') {
      while (index < document.length && document[index] !== '\n') index++;
      continue;
    }
    if (character === '[' || character === '{') depth++;
    if (character === ']' || character === '}') depth--;
    if (character === '\n' && depth <= 0) return index;
    index++;
  }
  return document.length;
}

export function findPositions(document: string): Positions {
  const positions = new Map<string, number>();
  let section: string[] = [];
  let line = 1;
  for (let at = 0; at < document.length; ) {
    const end = endOfStatement(document, at);
    const statement = document.slice(at, end).trimStart();
    if (statement.startsWith('[')) {
      section = keyParts(statement.replace(/^\[+/, ''));
      positions.set(section.join('.'), line);
    } else if (statement !== '' && !statement.startsWith('#')) {
      const full = [...section, ...keyParts(statement)];
      if (!positions.has(full.join('.'))) positions.set(full.join('.'), line);
      const outer = full[0] ?? '';
      if (!positions.has(outer)) positions.set(outer, line);
    }
    for (let index = at; index <= end; index++) if (document[index] === '\n') line++;
    at = end + 1;
  }
  return positions;
}
