import { expect, test } from 'vitest';
import { allCommands } from '../../tpm/commands/index.ts';
import { Tpm } from '../../tpm/tpm.ts';
import { declared, fuzz, memoryTpm } from './run.ts';

test('half a minute of generated and mutated commands: no fault, no ill-formed answer, no half-changed state', async () => {
  const until = performance.now() + 30_000;
  const seed = Date.now() % 1_000_000; // A finding names it.
  const result = await fuzz(memoryTpm(Tpm), declared(allCommands), {
    seed,
    commands: 1_000_000,
    until: () => performance.now() > until,
  });
  expect(result.commands).toBeGreaterThan(1000);
  expect(result.comparisons).toBeGreaterThan(50);
  // The fuzzer gets past the first checks: commands succeed, those too that need a chain of others (all within 20 s).
  expect(result.reached.size).toBeGreaterThan(100);
}, 120_000);
