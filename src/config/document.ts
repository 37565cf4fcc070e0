/** The documented configuration file of each program, made from the key table, so that it never differs from the code. */
import type { ConfigKey } from './key.js';
import { type ConfigKind, configKinds, environmentName, type SectionTable } from './kinds.js';

const titles: Readonly<Record<ConfigKind, string>> = {
  mgmtd: 'Management daemon: ibex mgmtd',
  meta: 'Metadata daemon: ibex meta',
  storage: 'Storage daemon: ibex storage',
  client: 'Clients: ibex mount, the command line, the Node library',
};

function wrap(text: string, width = 100): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function literal(value: ConfigKey['fallback']): string {
  return typeof value === 'object' ? `[${value.map((item) => JSON.stringify(item)).join(', ')}]` : JSON.stringify(value);
}

function keyLines(section: string, name: string, key: ConfigKey): string[] {
  return [
    '',
    ...wrap(key.help).map((line) => `# ${line}`),
    ...wrap(`Expected: ${key.expected}.`).map((line) => `# ${line}`),
    `# Variable: ${environmentName(section, name)}`,
    `${name} = ${literal(key.fallback)}`,
  ];
}

export function renderConfigFile(kind: ConfigKind): string {
  const tables: SectionTable = configKinds[kind];
  const lines = [
    `# ${titles[kind]}`,
    '# Every key is listed with its default. Variables override this file, flags override both.',
    '# Relative paths start at the folder of this file. Made by `npm run generate`.',
  ];
  for (const [section, keys] of Object.entries(tables)) {
    lines.push('', `[${section}]`);
    for (const [name, key] of Object.entries(keys)) lines.push(...keyLines(section, name, key));
  }
  return `${lines.join('\n')}\n`;
}
