/** The `ibex` command: reads the command line, runs one command, and turns whatever happens into an exit code. */
import { CommanderError } from 'commander';
import { exitCodes, usageError } from './exit-codes.js';
import { endQuietlyWhenReaderLeaves, type OutputForm, Printer } from './output/printer.js';
import { buildProgram, usedBy } from './program.js';

/** Errors may come before the command line is understood: the form of their output is looked up beforehand. */
function outputForm(argv: readonly string[]): OutputForm {
  const at = argv.lastIndexOf('--output');
  return argv.includes('--output=json') || (at >= 0 && argv[at + 1] === 'json') ? 'json' : 'table';
}

/** commander has printed help and version itself; its errors are wrong uses. */
function fromCommander(error: CommanderError): unknown {
  const text = error.message.replace(/^error: /, '').replace(/\n\s*/g, ' ');
  return usageError(`${text}; see ibex --help`);
}

async function main(argv: readonly string[]): Promise<void> {
  endQuietlyWhenReaderLeaves();
  const printer = new Printer(outputForm(argv));
  try {
    const program = await buildProgram(usedBy(argv));
    if (argv.length === 0) {
      process.stderr.write(program.helpInformation());
      process.exitCode = exitCodes.usage;
      return;
    }
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return;
      // `ibex node` alone: its help is on stderr already.
      process.exitCode = error.code === 'commander.help' ? exitCodes.usage : printer.error(fromCommander(error)).exitCode;
      return;
    }
    process.exitCode = printer.error(error).exitCode;
  }
}

await main(process.argv.slice(2));
