/** What `ibex dev` says when everything is up: where things are, and three things to try. Pure. */

export interface Welcome {
  readonly folder: string;
  /** undefined: no mount. */
  readonly mount: string | undefined;
  readonly noMountReason: string | undefined;
  readonly httpPort: number;
  readonly key: string;
  /** How the command is called here: `ibex`, or the path of bin/ibex.mjs in a checkout. */
  readonly command: string;
  /** --config for commands; undefined when they find it by themselves. */
  readonly config: string | undefined;
}

export const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export function welcome({ folder, mount, noMountReason, httpPort, key, command, config }: Welcome): string {
  const ibex = config === undefined ? command : `${command} --config ${shellWord(config)}`;
  const tries =
    mount === undefined
      ? [`${ibex} cp -r /usr/include ibex:/`, `${ibex} ls -l ibex:/include`, `${ibex} status`]
      : [
          `cp -r /usr/include ${shellWord(mount)}/ && ls ${shellWord(mount)}/include`,
          `${ibex} status`,
          `${ibex} entry info ${shellWord(mount)}/include/stdio.h`,
        ];
  return [
    '',
    `ibexfs is up. Ctrl-C stops it; files stay in ${folder}.`,
    '',
    `  mount  ${mount ?? `none: ${noMountReason}`}`,
    `  http   http://127.0.0.1:${httpPort}/ (bearer token: ${ibex} key token)`,
    `  key    ${key}`,
    `  logs   ${folder}/logs`,
    '',
    'Try in another terminal:',
    ...tries.map((line) => `  ${line}`),
    '',
  ].join('\n');
}
