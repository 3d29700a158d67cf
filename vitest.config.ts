import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{nexus,tpm,vmm,attestation,guests,cli,test,scripts}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
