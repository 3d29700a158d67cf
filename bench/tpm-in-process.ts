/** Figures of the TPM as a library: commands a second without a socket, and a heap that stays as it is. */
import { Tpm } from 'nexus-tcb/tpm';
import { ALG, CC, command, open, selection, u16, u32 } from '../test/support/tpm-wire.ts';
import { atLeast, atMost, type Figure } from './figures.ts';

const PCR_READ = command(CC.PCR_Read, [], 0, selection([0, 1, 2, 3, 4, 5, 6, 7]));
const PCR_EXTEND = command(CC.PCR_Extend, [16], 1, u32(1), u16(ALG.SHA256), new Uint8Array(32));
const STARTUP_CLEAR = command(CC.Startup, [], 0, u16(0));

export async function inProcessFigures(): Promise<Figure[]> {
  const tpm = await Tpm.create();
  tpm.powerOn();
  open(await tpm.execute(STARTUP_CLEAR));
  const read = await perSecond(tpm, PCR_READ);
  const extend = await perSecond(tpm, PCR_EXTEND);
  console.log(`\nin process: ${rate(read)} PCR_Read/s (8 PCR), ${rate(extend)} PCR_Extend/s`);
  const growth = await heapGrowth(tpm, 1_000_000);
  console.log(`heap after 1,000,000 commands: ${growth.toFixed(2)} MiB more than before`);
  await tpm.close();
  return [
    atLeast('in process, PCR_Read', 100_000, read, '/s'),
    atLeast('in process, PCR_Extend', 20_000, extend, '/s'),
    atMost('heap growth over 1,000,000 commands', 4, growth, ' MiB'),
  ];
}

const rate = (value: number) => Math.round(value).toLocaleString('en');

/** Best of five half-seconds. */
async function perSecond(tpm: Tpm, bytes: Uint8Array): Promise<number> {
  open(await tpm.execute(bytes));
  let best = 0;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    let count = 0;
    do {
      for (let i = 0; i < 500; i++) await tpm.execute(bytes);
      count += 500;
    } while (performance.now() - start < 500);
    best = Math.max(best, (count * 1000) / (performance.now() - start));
  }
  return best;
}

/** MiB that the collected heap gains over so many commands. */
async function heapGrowth(tpm: Tpm, commands: number): Promise<number> {
  const heap = async () => {
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().heapUsed;
  };
  for (let i = 0; i < 10_000; i++) await tpm.execute(i % 2 ? PCR_READ : PCR_EXTEND);
  const before = await heap();
  for (let i = 0; i < commands; i++) await tpm.execute(i % 2 ? PCR_READ : PCR_EXTEND);
  return ((await heap()) - before) / 2 ** 20;
}
