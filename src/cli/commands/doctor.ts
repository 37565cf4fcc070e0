/** `ibex doctor`: what this machine has, what it lacks, what that means, and how to get it. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { action, examples } from '../context.js';
import { runChecks } from '../doctor/checks.js';
import type { Finding, FindingState } from '../doctor/finding.js';
import type { Column } from '../output/table.js';

const paints: Readonly<Record<FindingState, (text: string) => string>> = { ok: pc.green, note: pc.cyan, missing: pc.yellow, wrong: pc.red };

const columns: readonly Column<Finding>[] = [
  { title: 'WHAT', value: (finding) => finding.name },
  { title: 'STATE', value: (finding) => finding.state, paint: (cell, finding) => paints[finding.state](cell) },
  { title: 'DETAIL', value: (finding) => finding.detail },
];

export function define(command: Command): void {
  command.option('--no-cluster', 'only this machine: do not try to reach the cluster').action(
    action<{ cluster: boolean }>(async (context, { cluster }) => {
      const findings = await runChecks(context, { cluster });
      context.out.table(columns, findings);
      for (const finding of findings) {
        if (finding.advice === undefined) continue;
        context.out.line('');
        context.out.line(`${paints[finding.state](finding.name)}: ${finding.advice}`);
      }
      return findings.some((finding) => finding.state === 'wrong') ? 1 : 0;
    }),
  );
  command.addHelpText(
    'after',
    `
States: ok; note: good to know; missing: works without it, at a price; wrong: has to be mended (exit code 1).`,
  );
  examples(command, [
    ['ibex doctor', 'this machine and the way to the cluster'],
    ['ibex doctor --no-cluster --output json', 'this machine alone, for scripts'],
  ]);
}
