// Generates the TypeScript and C++ views of src/wire/schema.json, the one description of every
// fixed layout that both languages see. `--check` fails when a generated file is not current.
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const schema = JSON.parse(readFileSync(new URL('src/wire/schema.json', root), 'utf8'));
const widths = { u8: 1, u16: 2, u32: 4, u64: 8, i64: 8 };
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const pascal = (name) => name[0].toUpperCase() + name.slice(1);

for (const [name, struct] of Object.entries(schema.structs)) {
  let end = struct.fields[0][2];
  for (const [field, type, offset] of struct.fields) {
    if (offset !== end) throw new Error(`${name}.${field}: offset ${offset}, expected ${end}`);
    end = offset + widths[type];
  }
  if (end !== struct.size) throw new Error(`${name}: size ${struct.size}, fields end at ${end}`);
}

function typescript() {
  const out = ['// Generated from schema.json by scripts/generate-wire.mjs. Do not edit.', ''];
  for (const [name, { value, doc }] of Object.entries(schema.constants)) out.push(`/** ${doc} */`, `export const ${name} = ${value};`);
  out.push('');
  for (const [name, { doc, values }] of Object.entries(schema.enums)) {
    out.push(`/** ${doc} */`, `export const ${name} = {`);
    for (const [key, value] of Object.entries(values)) out.push(`  ${key}: ${value},`);
    out.push('} as const;', `export type ${name} = (typeof ${name})[keyof typeof ${name}];`, '');
  }
  for (const [name, { doc, size, fields }] of Object.entries(schema.structs)) {
    const visible = fields.filter(([field]) => !field.startsWith('reserved'));
    out.push(`/** ${doc} */`, `export interface ${name} {`);
    for (const [field] of visible) out.push(`  ${field}: number;`);
    out.push(
      '}',
      `export const ${name}Bytes = ${size};`,
      `/** Byte offsets of the fields of ${name}. */`,
      `export const ${name}Offset = {`,
    );
    for (const [field, , offset] of visible) out.push(`  ${field}: ${offset},`);
    out.push('} as const;');
    out.push(`export function read${name}(view: DataView, at: number): ${name} {`, '  return {');
    for (const [field, type, offset] of visible) {
      const where = offset === 0 ? 'at' : `at + ${offset}`;
      const expression = {
        u8: `view.getUint8(${where})`,
        u16: `view.getUint16(${where}, true)`,
        u32: `view.getUint32(${where}, true)`,
        u64: `view.getUint32(${where}, true) + view.getUint32(at + ${offset + 4}, true) * 4294967296`,
        i64: `view.getUint32(${where}, true) + view.getInt32(at + ${offset + 4}, true) * 4294967296`,
      }[type];
      out.push(`    ${field}: ${expression},`);
    }
    out.push('  };', '}');
    out.push(`export function write${name}(view: DataView, at: number, value: Partial<${name}>): void {`);
    for (const [field, type, offset] of fields) {
      const where = offset === 0 ? 'at' : `at + ${offset}`;
      const source = field.startsWith('reserved') ? '0' : `value.${field} ?? 0`;
      if (type === 'u8') out.push(`  view.setUint8(${where}, ${source});`);
      else if (type === 'u16') out.push(`  view.setUint16(${where}, ${source}, true);`);
      else if (type === 'u32') out.push(`  view.setUint32(${where}, ${source}, true);`);
      else if (source === '0') out.push(`  view.setUint32(${where}, 0, true);`, `  view.setUint32(at + ${offset + 4}, 0, true);`);
      else {
        const local = `${field}Value`;
        out.push(
          `  const ${local} = ${source};`,
          `  view.setUint32(${where}, ${local} >>> 0, true);`,
          `  view.setUint32(at + ${offset + 4}, Math.floor(${local} / 4294967296), true);`,
        );
      }
    }
    out.push('}', '');
  }
  return `${out.join('\n')}`;
}

function cplusplus() {
  const out = [
    '// Generated from src/wire/schema.json by scripts/generate-wire.mjs. Do not edit.',
    '// clang-format off',
    '#pragma once',
    '',
    '#include <bit>',
    '#include <cstddef>',
    '#include <cstdint>',
    '',
    'namespace ibexfs::wire {',
    '',
    'static_assert(std::endian::native == std::endian::little, "the wire is little-endian and structs are copied as they are");',
    '',
  ];
  for (const [name, { value, doc }] of Object.entries(schema.constants)) {
    const constant = `k${name.toLowerCase().split('_').map(pascal).join('')}`;
    out.push(`// ${doc}`, `inline constexpr uint32_t ${constant} = ${value};`);
  }
  out.push('');
  for (const [name, { doc, type, values }] of Object.entries(schema.enums)) {
    out.push(`// ${doc}`, `enum class ${name} : uint${type.slice(1)}_t {`);
    for (const [key, value] of Object.entries(values)) out.push(`  k${pascal(key)} = ${value},`);
    out.push('};', '');
  }
  for (const [name, { doc, size, fields }] of Object.entries(schema.structs)) {
    out.push(`// ${doc}`, `struct __attribute__((packed)) ${name} {`);
    if (fields[0][2] === 8) out.push('  RingRecord record{};');
    for (const [field, type] of fields) out.push(`  ${type === 'i64' ? 'int64_t' : `uint${type.slice(1)}_t`} ${snake(field)}{};`);
    out.push('};', `static_assert(sizeof(${name}) == ${size});`);
    for (const [field, , offset] of fields)
      if (!field.startsWith('reserved')) out.push(`static_assert(offsetof(${name}, ${snake(field)}) == ${offset});`);
    out.push('');
  }
  out.push('}  // namespace ibexfs::wire', '');
  return out.join('\n');
}

const files = { 'src/wire/generated.ts': typescript(), 'native/base/wire.h': cplusplus() };
let stale = false;
for (const [path, text] of Object.entries(files)) {
  const url = new URL(path, root);
  if (process.argv.includes('--check')) {
    let current = '';
    try {
      current = readFileSync(url, 'utf8');
    } catch {
      /* a missing file is a stale one */
    }
    if (current !== text) {
      stale = true;
      console.error(`${path} is not current: run npm run generate`);
    }
  } else writeFileSync(url, text);
}
process.exit(stale ? 1 : 0);
