/** Running the conformance scripts against a TPM that listens on this machine. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';

/** A family of scripts: one client, found in one Debian package. */
export interface Suite {
  readonly name: 'tpm2-tools' | 'tpm2-abrmd' | 'fapi' | 'ibm-tss';
  /** A program of the package, to see whether it is installed. */
  readonly probe: string;
  /** A shell command that says whether what the scripts need besides is installed. */
  readonly needs?: string;
  /** How the names of the tools that its scripts use begin. */
  readonly prefix: string;
  /** Variables that send the client to the TPM at a port. */
  environment(ports: { readonly swtpm: number; readonly mssim?: number }): Record<string, string>;
}

export const SUITES: readonly Suite[] = [
  {
    name: 'tpm2-tools',
    probe: 'tpm2_getcap',
    prefix: 'tpm2_',
    environment: ({ swtpm }) => ({ TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${swtpm}` }),
  },
  {
    name: 'tpm2-abrmd',
    probe: 'tpm2-abrmd',
    needs: 'command -v dbus-run-session && /sbin/ldconfig -p | grep -q libtss2-tcti-tabrmd',
    prefix: 'tpm2_',
    environment: ({ swtpm }) => ({ TPM_TCTI: `swtpm:host=127.0.0.1,port=${swtpm}` }),
  },
  {
    name: 'fapi',
    probe: 'tss2_provision',
    prefix: 'tss2_',
    environment: ({ swtpm }) => ({ TPM_TCTI: `swtpm:host=127.0.0.1,port=${swtpm}` }),
  },
  {
    name: 'ibm-tss',
    probe: 'tssgetcapability',
    prefix: 'tss',
    environment: ({ swtpm, mssim }) => ({
      TPM_INTERFACE_TYPE: 'socsim',
      TPM_SERVER_TYPE: mssim ? 'mssim' : 'raw',
      TPM_COMMAND_PORT: `${mssim ?? swtpm}`,
      TPM_PLATFORM_PORT: `${(mssim ?? swtpm) + 1}`,
    }),
  },
];

/** Folder of a suite's scripts and transcripts, from the project's root. */
export const folder = (suite: Suite): string => `test/conformance/${suite.name}/`;

/** Names of a suite's scripts. */
export function scripts(suite: Suite): string[] {
  return readdirSync(folder(suite))
    .filter((file) => file.endsWith('.sh') && file !== 'lib.sh')
    .map((file) => file.slice(0, -3))
    .sort();
}

/** Run one script; resolves with its transcript. What tools say on standard error comes back beside it. */
export function transcript(
  suite: Suite,
  script: string,
  environment: Record<string, string>,
): Promise<{ text: string; diagnostics: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [`${folder(suite)}${script}.sh`], { env: { ...process.env, ...environment } });
    let text = '';
    let diagnostics = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    child.stderr.on('data', (chunk) => {
      diagnostics += chunk;
    });
    child.on('error', reject);
    child.on('close', () => resolve({ text, diagnostics }));
  });
}
