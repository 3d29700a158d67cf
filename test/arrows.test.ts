/** The arrows of docs/architecture.md are lint rules: each forbidden import fails the build, each allowed one passes. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Lint a file with one import, in a tree that holds nothing but the project's rules. */
function lint(file: string, imported: string): { status: number | null; output: string } {
  const tree = mkdtempSync(join(tmpdir(), 'nexus-arrows-'));
  try {
    copyFileSync(join(root, 'biome.json'), join(tree, 'biome.json'));
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), `export * from '${imported}';\n`);
    const result = spawnSync(join(root, 'node_modules/.bin/biome'), ['lint', '--error-on-warnings', '.'], {
      cwd: tree,
      encoding: 'utf8',
    });
    return { status: result.status, output: result.stdout + result.stderr };
  } finally {
    rmSync(tree, { recursive: true });
  }
}

const FORBIDDEN = [
  ['tpm/x.ts', '../vmm/engine.ts'],
  ['tpm/commands/x.ts', '../../attestation/index.ts'],
  ['tpm/state/x.ts', '../../nexus/host/index.ts'],
  ['nexus/core/x.ts', '../launch/index.ts'],
  ['nexus/core/x.ts', '../../tpm/index.ts'],
  ['nexus/core/x.ts', 'node:fs'],
  ['attestation/x.ts', '../vmm/engine.ts'],
  ['attestation/x.ts', '../nexus/launch/index.ts'],
  ['attestation/x.ts', '../tpm/state/store.ts'],
  ['attestation/x.ts', '../tpm/commands/quote.ts'],
  ['vmm/x.ts', '../nexus/core/index.ts'],
  ['vmm/v86/x.ts', '../../attestation/index.ts'],
  ['nexus/launch/x.ts', '../host/index.ts'],
  ['nexus/services/x.ts', '../../vmm/engine.ts'],
  ['nexus/proof/x.ts', '../host/index.ts'],
  ['nexus/host/x.ts', '../../cli/main.ts'],
  ['nexus/host/x.ts', '../../console/main.ts'],
] as const;

const ALLOWED = [
  ['tpm/commands/x.ts', '../structures/index.ts'],
  ['nexus/core/x.ts', './calls.ts'],
  ['attestation/x.ts', '../tpm/structures/index.ts'],
  ['vmm/x.ts', '../tpm/device.ts'],
  ['nexus/services/x.ts', '../../attestation/index.ts'],
  ['nexus/host/x.ts', '../../vmm/engine.ts'],
  ['cli/x.ts', '../nexus/host/index.ts'],
] as const;

test.each(FORBIDDEN)('%s may not import %s', (file, imported) => {
  const { status, output } = lint(file, imported);
  expect(output).toContain('noRestrictedImports');
  expect(status).toBe(1);
});

test.each(ALLOWED)('%s may import %s', (file, imported) => {
  expect(lint(file, imported).output).not.toContain('noRestrictedImports');
});
