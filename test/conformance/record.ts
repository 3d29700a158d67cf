/**
 * Record the transcripts of the conformance scripts from swtpm: `node scripts/tool.mjs test/conformance/record.ts`,
 * with the names of scripts for these alone.
 * They are what the served TPM is held to, also on machines without swtpm.
 */
import { writeFileSync } from 'node:fs';
import { startSwtpm } from '../support/swtpm.ts';
import { folder, SUITES, scripts, transcript } from './transcripts.ts';

const wanted = process.argv.slice(2);

for (const suite of SUITES) {
  for (const script of scripts(suite).filter((name) => wanted.length === 0 || wanted.includes(name))) {
    const peer = await startSwtpm();
    const { text } = await transcript(suite, script, suite.environment({ swtpm: peer.port }));
    peer.stop();
    writeFileSync(`${folder(suite)}${script}.transcript`, text);
    console.log(`${suite.name}/${script}: ${text.split('\n').length - 1} lines`);
  }
}
