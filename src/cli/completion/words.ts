/** What can be completed, taken from the commander program itself so that it cannot fall behind. */
import type { Command, Option } from 'commander';

export interface CompletionOption {
  /** '--output', '-l' */
  readonly flags: readonly string[];
  readonly help: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

export interface CompletionCommand {
  /** Words after `ibex`; empty for the program itself. */
  readonly words: readonly string[];
  readonly help: string;
  readonly options: readonly CompletionOption[];
  /** Names of the commands below it, with their help. */
  readonly below: readonly { readonly name: string; readonly help: string }[];
}

function optionWords(option: Option): CompletionOption {
  return {
    flags: [option.long, option.short].filter((flag): flag is string => typeof flag === 'string'),
    help: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

function visible(command: Command): readonly Command[] {
  return command.createHelp().visibleCommands(command);
}

/** The program and every command below it. */
export function completionWords(program: Command): CompletionCommand[] {
  const found: CompletionCommand[] = [];
  const visit = (command: Command, words: readonly string[]): void => {
    found.push({
      words,
      help: command.description(),
      options: command.options.filter((option) => !option.hidden).map(optionWords),
      below: visible(command)
        .filter((child) => child.name() !== 'help')
        .map((child) => ({ name: child.name(), help: child.description() })),
    });
    for (const child of visible(command)) if (child.name() !== 'help') visit(child, [...words, child.name()]);
  };
  visit(program, []);
  return found;
}
