/** Completion scripts: all words are in the script, so that the Tab key answers at once. */
import type { Command } from 'commander';
import { type CompletionCommand, type CompletionOption, completionWords } from './words.js';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const flagsOf = (options: readonly CompletionOption[]): string[] => options.flatMap((option) => option.flags);

/** One case of the bash script: the words that can follow those of `command`. */
function bashCase(command: CompletionCommand, globals: readonly CompletionOption[]): string {
  const options = [...flagsOf(command.options), ...(command.words.length === 0 ? [] : flagsOf(globals)), '--help'];
  const names = command.below.map(({ name }) => name);
  return `    ${quote(command.words.join(' '))}) names=${quote(names.join(' '))}; options=${quote(options.join(' '))} ;;`;
}

function bash(commands: readonly CompletionCommand[]): string {
  const [program, ...rest] = commands as [CompletionCommand, ...CompletionCommand[]];
  const groups = rest.filter((command) => command.below.length > 0).map((command) => command.words.join(' '));
  const takesValue = [...new Set(commands.flatMap((command) => flagsOf(command.options.filter((option) => option.takesValue))))];
  return `# bash completion for ibex; use: source <(ibex completion bash)
_ibex() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' names='' options='' word at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    case $word in
      ${takesValue.join('|')}) at=$((at + 1)); continue ;;
      -*) continue ;;
    esac
    if [[ -z $path ]]; then path=$word; else
      case $path in ${groups.map(quote).join('|')}) path="$path $word" ;; esac
    fi
  done
  case $path in
${commands.map((command) => bashCase(command, program.options)).join('\n')}
  esac
  COMPREPLY=()
  if [[ $previous == --output ]]; then mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$current")
  elif [[ $current == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ -n $names ]]; then mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
  else mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _ibex ibex
`;
}

const zshText = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');

function zshOption(option: CompletionOption): string[] {
  const value = option.takesValue ? `:value:${option.choices.length > 0 ? `(${option.choices.join(' ')})` : '_files'}` : '';
  return option.flags.map((flag) => quote(`${flag}[${zshText(option.help)}]${value}`));
}

function zsh(commands: readonly CompletionCommand[]): string {
  const program = commands[0] as CompletionCommand;
  const name = (words: readonly string[]): string => ['_ibex', ...words].join('_');
  const functions = commands.map((command) => {
    const options = [...command.options, ...(command === program ? [] : program.options)].flatMap(zshOption);
    if (command.below.length === 0) return `${name(command.words)}() {\n  _arguments ${options.join(' ')} '*:path:_files'\n}`;
    const below = command.below.map((entry) => `    ${quote(`${entry.name}:${zshText(entry.help)}`)}`).join('\n');
    const cases = command.below.map((entry) => `        ${entry.name}) ${name([...command.words, entry.name])} ;;`).join('\n');
    return `${name(command.words)}() {
  local -a below=(
${below}
  )
  local state line
  _arguments -C ${options.join(' ')} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command below ;;
    rest)
      case $line[1] in
${cases}
      esac ;;
  esac
}`;
  });
  return `#compdef ibex\n# zsh completion for ibex\n${functions.join('\n')}\ncompdef _ibex ibex\n`;
}

function fish(commands: readonly CompletionCommand[]): string {
  const lines = ['# fish completion for ibex', 'complete -c ibex -e'];
  for (const { words, options, below } of commands) {
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`);
    const here = seen.length === 0 ? '__fish_use_subcommand' : seen.join('; and ');
    for (const { name, help } of below) {
      const siblings = below.map((entry) => entry.name).join(' ');
      const condition = words.length === 0 ? here : `${here}; and not __fish_seen_subcommand_from ${siblings}`;
      lines.push(`complete -c ibex -f -n ${quote(condition)} -a ${quote(name)} -d ${quote(help)}`);
    }
    for (const option of options) {
      const flags = option.flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
      const value = option.takesValue ? (option.choices.length > 0 ? ` -x -a ${quote(option.choices.join(' '))}` : ' -r') : '';
      const condition = words.length === 0 ? '' : ` -n ${quote(here)}`;
      lines.push(`complete -c ibex${condition} ${flags}${value} -d ${quote(option.help)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const writers: Readonly<Record<Shell, (commands: readonly CompletionCommand[]) => string>> = { bash, zsh, fish };

export function completionScript(shell: Shell, program: Command): string {
  return writers[shell](completionWords(program));
}
