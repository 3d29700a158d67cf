/** The distribution's own clients give the same transcript on the served TPM as on swtpm, response codes included. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { startNexusTpm } from '../support/nexus-tpm.ts';
import { freePortPair, hasSwtpm, startSwtpm } from '../support/swtpm.ts';
import { folder, SUITES, type Suite, scripts, transcript } from './transcripts.ts';

const installed = ({ probe, needs = 'true' }: Suite) =>
  spawnSync('sh', ['-c', `command -v ${probe} && ${needs}`]).status === 0;
const recorded = (suite: Suite, script: string) => readFileSync(`${folder(suite)}${script}.transcript`, 'utf8');

for (const suite of SUITES) {
  describe.skipIf(!installed(suite))(`${suite.name} on the served TPM (needs the package)`, () => {
    test.each(scripts(suite))('%s', async (script) => {
      const mssim = await freePortPair();
      const tpm = await startNexusTpm('--mssim', `${mssim}`);
      try {
        const { text, diagnostics } = await transcript(suite, script, suite.environment({ swtpm: tpm.port, mssim }));
        expect(text, diagnostics).toBe(recorded(suite, script));
      } finally {
        await tpm.kill();
      }
    });
  });

  describe.skipIf(!installed(suite) || !hasSwtpm)(`${suite.name} on swtpm (needs both installed)`, () => {
    test.each(scripts(suite))('%s: the recorded transcript is what swtpm gives', async (script) => {
      const peer = await startSwtpm();
      try {
        const { text } = await transcript(suite, script, suite.environment({ swtpm: peer.port }));
        expect(text).toBe(recorded(suite, script));
      } finally {
        peer.stop();
      }
    });
  });
}
