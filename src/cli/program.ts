/** Puts the commander program together: global options, overview of all commands, the full definition of those that are used. */

import { Command, Option } from 'commander';
import { exitCodeHelp } from './exit-codes.js';
import { terminalColumns } from './output/terminal.js';
import { type CommandEntry, commands, groupSummaries } from './registry.js';
import { packageVersion } from './version.js';

function globalOptions(program: Command): void {
  program
    .addOption(new Option('--output <form>', 'how results are printed').choices(['table', 'json']).default('table'))
    .option('--config <file>', 'configuration file (TOML)')
    .option('--mgmtd <addresses>', 'management daemon as HOST:PORT (several with commas), instead of the one configured')
    .option('--key-file <file>', "the cluster's key, instead of the one configured");
}

/** Help of commands names the options that all of them take only in short. */
const globalsNote = '\nOptions of all commands: --output table|json, --config FILE, --mgmtd HOST:PORT, --key-file FILE (see ibex --help).';

function parentOf(program: Command, words: readonly string[]): Command {
  if (words.length === 1) return program;
  const name = words[0] as string;
  const known = program.commands.find((command) => command.name() === name);
  if (known !== undefined) return known;
  const parent = program.command(name).description(groupSummaries[name] ?? '');
  parent.addHelpText(
    'after',
    () => `\nExamples:\n${parent.commands.map((command) => `  ibex ${name} ${command.name()} --help`).join('\n')}`,
  );
  return parent;
}

async function addCommand(program: Command, entry: CommandEntry, full: boolean): Promise<void> {
  const words = entry.name.split(' ');
  const parent = parentOf(program, words);
  const command = parent.command(words.at(-1) as string).description(entry.summary);
  if (parent === program) command.helpGroup(entry.group);
  else if (parent.helpGroup() === '') parent.helpGroup(entry.group);
  if (!full) return;
  const { define } = await entry.load();
  define(command);
  command.addHelpText('after', globalsNote);
}

/** @param isUsed which commands get their options and action; the others only appear in the overview */
export async function buildProgram(isUsed: (entry: CommandEntry) => boolean): Promise<Command> {
  const program = new Command('ibex');
  program
    .description('ibexfs, a parallel file system: run it, look at it, move files')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ helpWidth: Math.min(terminalColumns(process.stdout, 110), 110) });
  globalOptions(program);
  for (const entry of commands) await addCommand(program, entry, isUsed(entry));
  program.addHelpText(
    'after',
    `
Paths: \`ibex:/a/b\` and \`/a/b\` start at the root of the file system; a path below a mount of it on this machine works too.
Configuration: --config, $IBEX_CONFIG, /etc/ibexfs/client.toml, or the cluster of \`ibex dev\`; variables IBEX_SECTION_KEY and flags override it.

${exitCodeHelp}

Examples:
  ibex dev                          # a cluster to try things with
  ibex status                       # is all well?
  ibex cp -r ./results ibex:/runs   # copy a tree in
  ibex cp --help                    # help of one command`,
  );
  return program;
}

/** A command line uses at most the commands whose first word appears in it. */
export function usedBy(argv: readonly string[]): (entry: CommandEntry) => boolean {
  const words = new Set(argv);
  return ({ name }) => name.split(' ').every((word) => words.has(word)) || words.has(name.split(' ')[0] as string);
}
