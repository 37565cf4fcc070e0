/** RDMA as the library itself finds it: no library, no device, or devices with what keeps them from being used. */
import type { Finding } from './finding.js';

const meanwhile = 'Data moves over TCP without it.';
const sentence = (text: string): string => (text === '' ? '' : `${text[0]?.toUpperCase()}${text.slice(1)}.`);

export async function checkRdma(): Promise<Finding[]> {
  const { devices } = await import('../../rdma/devices.js');
  let report: ReturnType<typeof devices>;
  try {
    report = devices();
  } catch (error) {
    return [{ name: 'RDMA', state: 'note', detail: (error as Error).message, advice: meanwhile }];
  }
  const { state, reason, cure } = report.availability;
  if (state !== 'usable') return [{ name: 'RDMA', state: 'note', detail: reason, advice: `${meanwhile} ${sentence(cure)}`.trim() }];
  return report.devices.map(({ name, ports, problems }) => {
    const [problem, ...others] = problems;
    if (problem === undefined)
      return { name: 'RDMA', state: 'ok', detail: `${name}, ${ports.length} port${ports.length === 1 ? '' : 's'}` };
    const advice = [`${meanwhile} ibex rdma devices shows the device.`, ...others.map(sentence)].join(' ');
    return { name: 'RDMA', state: 'missing', detail: problem, advice };
  });
}
