/** Wrong uses of the commands of attestation: each is refused with a code, a way out and the documented exit code. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const CLI = join(import.meta.dirname, '../../dist/cli/main.js');
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-wrong-use-'));
  writeFileSync(join(directory, 'text'), 'neither PEM nor DER\n');
  writeFileSync(join(directory, 'empty'), '');
  writeFileSync(join(directory, 'broken.yaml'), 'a: [\n');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function nexus(line: string): Promise<{ exit: number; code: string; remedy: string }> {
  return new Promise((resolve) => {
    const args = [CLI, ...line.split(' '), '--json'];
    const child = execFile(process.execPath, args, { cwd: directory, timeout: 30_000 }, (_error, stdout) => {
      const { error } = JSON.parse(stdout) as { error: { code: string; remedy: string } };
      resolve({ exit: child.exitCode ?? -1, ...error });
    });
  });
}

test.each([
  ['verifier serve --port 99999', 'E_USAGE_PORT', 2],
  ['verifier serve --port 80a', 'E_USAGE_PORT', 2],
  ['verifier serve --rate-limit many', 'E_USAGE_NUMBER', 2],
  ['verifier serve --trust-proxy 10.0.0.0/33', 'E_USAGE_CIDR', 2],
  ['verifier serve --log-level loud', 'E_USAGE', 2],
  ['verifier serve --database mysql://db', 'E_USAGE_DATABASE', 2],
  ['verifier serve --database postgres://db', 'E_USAGE_KEK', 2],
  ['verifier serve --manufacturer-ca text', 'E_USAGE_CERTIFICATE', 2],
  ['verifier serve --crl text', 'E_USAGE_CRL', 2],
  ['verifier serve --tls-key text --tls-cert text', 'E_USAGE_TLS', 2],
  ['verifier serve --state text', 'E_STATE_DATABASE_UNAVAILABLE', 3],
  ['verifier token ci --roles king', 'E_USAGE_ROLE', 2],
  ['verifier token ci', 'E_USAGE', 2],
  ['agent enrol --verifier verifier.example', 'E_USAGE_URL', 2],
  ['agent run --verifier http://127.0.0.1:1 --every 0', 'E_USAGE_NUMBER', 2],
  ['agent attest --verifier http://127.0.0.1:1 --tpm floppy', 'E_TRANSPORT_ADDRESS', 2],
  ['verifier serve --kek-tpm floppy --state typo', 'E_TRANSPORT_ADDRESS', 2],
  ['verifier token ci --roles auditor --state typo', 'E_STATE_ABSENT', 3],
  ['verifier audit empty', 'E_USAGE_AUDIT', 2],
  ['tpm import text typo --export-key-file absent', 'E_STORE_CORRUPT', 3],
  ['tpm serve --key-file key', 'E_USAGE_KEY', 2],
  ['policy show constructor', 'E_POLICY', 2],
  ['manifest sign --image text --name Bad --key text -o typo', 'E_USAGE_NAME', 2],
  ['policy check text', 'E_POLICY', 2],
  ['help frob', 'E_USAGE', 2],
  ['constructor', 'E_USAGE', 2],
  ['agent attest --verifier http://127.0.0.1:1 --tpm device:/dev/null', 'E_ENV_UNREACHABLE', 4],
  ['policy check broken.yaml', 'E_POLICY', 2],
])(
  '%s: %s',
  async (line, code, exit) => {
    const refused = await nexus(line);
    expect(refused).toMatchObject({ code, exit });
    expect(refused.remedy).not.toBe('');
    expect(existsSync(join(directory, 'typo'))).toBe(false);
  },
  60_000,
);
