/** The main job on an engine, through the command: every stage behaves and shows its evidence. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { DemoReport } from '../../cli/demo/report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export function demoOn(engine: 'v86' | 'kvm'): void {
  const args = ['dist/cli/main.js', 'demo', '--json', '--engine', engine];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const report = JSON.parse(stdout) as DemoReport;
  expect(report.stages.map(({ name, ok }) => [name, ok])).toEqual([
    ['platform', true],
    ['partitions', true],
    ['attestation', true],
    ['sealing', true],
    ['refusals', true],
  ]);
  const [platform, , attestation, , refusals] = report.stages;
  const { pcrs, replayed } = (platform?.evidence ?? {}) as {
    pcrs: Record<string, string>;
    replayed: Record<string, string>;
  };
  expect(pcrs).toEqual(replayed);
  expect(new Set([pcrs[0], pcrs[4], pcrs[17], pcrs[18]]).size).toBe(4);
  expect(attestation?.evidence.ear).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  expect(refusals?.refusals?.filter(({ refused }) => refused).length).toBeGreaterThanOrEqual(10);
}
