/** `ibex rdma devices`: what there is, and what is wrong with it. */
import type { Command } from 'commander';
import type { DeviceInfo, DeviceReport, GidInfo, PortInfo } from '../../rdma/devices.js';
import { action, type Context, examples } from '../context.js';
import { exitCodes } from '../exit-codes.js';
import { formatBytes, formatCount } from '../output/format.js';
import type { Column } from '../output/table.js';

interface PortRow {
  readonly device: DeviceInfo;
  readonly port: PortInfo;
}

interface AddressRow extends PortRow {
  readonly gid: GidInfo;
}

const formatSpeed = (mbps: number): string => (mbps === 0 ? '?' : `${mbps / 1000} Gb/s`);

const portColumns: readonly Column<PortRow>[] = [
  { title: 'DEVICE', value: ({ device }) => device.name },
  { title: 'DRIVER', value: ({ device }) => device.driver },
  { title: 'PORT', align: 'right', value: ({ port }) => String(port.number) },
  { title: 'STATE', value: ({ port }) => port.state },
  { title: 'LINK', value: ({ port }) => port.linkLayer },
  { title: 'SPEED', align: 'right', value: ({ port }) => formatSpeed(port.speedMbps) },
  { title: 'MTU', align: 'right', value: ({ port }) => `${port.mtuBytes} of ${port.mtuBytesMax}` },
];

const addressColumns: readonly Column<AddressRow>[] = [
  { title: 'DEVICE', value: ({ device }) => device.name },
  { title: 'PORT', align: 'right', value: ({ port }) => String(port.number) },
  { title: 'GID', align: 'right', value: ({ gid }) => String(gid.index) },
  { title: 'TYPE', value: ({ gid }) => gid.type },
  { title: 'ADDRESS', value: ({ gid }) => gid.gid },
  { title: 'INTERFACE', value: ({ gid }) => (gid.interface === '' || gid.interfaceUp ? gid.interface : `${gid.interface} (down)`) },
];

const limitColumns: readonly Column<DeviceInfo>[] = [
  { title: 'DEVICE', value: ({ name }) => name },
  { title: 'QUEUE PAIRS', align: 'right', value: ({ limits }) => formatCount(limits?.queuePairsMax ?? 0) },
  { title: 'REQUESTS EACH', align: 'right', value: ({ limits }) => formatCount(limits?.workRequestsMax ?? 0) },
  { title: 'COMPLETIONS', align: 'right', value: ({ limits }) => formatCount(limits?.completionEntriesMax ?? 0) },
  { title: 'REGIONS', align: 'right', value: ({ limits }) => formatCount(limits?.memoryRegionsMax ?? 0) },
  { title: 'REGION SIZE', align: 'right', value: ({ limits }) => formatBytes(limits?.memoryRegionBytesMax ?? 0) },
  { title: 'READS AT ONCE', align: 'right', value: ({ limits }) => formatCount(limits?.initiatorDepthMax ?? 0) },
  { title: 'ATOMICS', value: ({ limits }) => (limits?.atomics === true ? 'yes' : 'no') },
];

function show({ out }: Context, { availability, devices, problems }: DeviceReport): void {
  const ports = devices.flatMap((device) => device.ports.map((port) => ({ device, port })));
  out.table(portColumns, ports, undefined, availability.reason);
  const addresses = ports.flatMap((row) => row.port.gids.map((gid) => ({ ...row, gid })));
  if (addresses.length > 0) {
    out.line('');
    out.table(addressColumns, addresses);
  }
  const opened = devices.filter(({ limits }) => limits !== undefined);
  if (opened.length > 0) {
    out.line('');
    out.table(limitColumns, opened);
  }
  const wrong = [...(availability.cure === '' ? [] : [availability.cure]), ...problems, ...devices.flatMap((device) => device.problems)];
  for (const problem of wrong) {
    out.line('');
    out.line(`! ${problem}`);
  }
}

export function define(command: Command): void {
  command.action(
    action(async (context) => {
      const { devices } = await import('../../rdma/devices.js');
      const report = devices();
      if (context.out.json) context.out.document(report);
      else show(context, report);
      if (report.availability.state !== 'usable') return exitCodes.notFound;
      const isUsable = report.devices.some(({ ports }) => ports.some(({ problem }) => problem === undefined));
      return isUsable ? exitCodes.ok : exitCodes.failure;
    }),
  );
  command.addHelpText(
    'after',
    '\nExit code: 0 when a port can be used, 1 when there are only ports that cannot, 4 when there is no device.',
  );
  examples(command, [
    ['ibex rdma devices', 'ports, addresses, limits, and what is wrong'],
    ['ibex rdma devices --output json', 'the same for scripts'],
  ]);
}
