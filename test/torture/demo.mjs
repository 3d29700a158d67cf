// Kill the demo with SIGKILL at random moments on one state directory. After each kill: everything that it had
// acknowledged (blobs, the TPM's NV counter, the enrolment) is there, the blobs open, and nothing needs repair; at the
// end the demo runs through. `npm run torture:demo -- [--kills 20] [--seed N]`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, installPackages, root } from '../../scripts/setup.mjs';

installPackages();
build();
const { HostClient } = await import('../../dist/cli/demo/host-client.js');
const { prepareWorkspace } = await import('../../dist/cli/demo/workspace.js');
const { createVerifier } = await import('../../dist/attestation/index.js');

const HOST_PROGRAM = join(root, 'dist/cli/demo/host-process.js');
/** Kills fall within the time that a whole run takes on a quiet machine. */
const RUN_MS = 20_000;

const { values } = parseArgs({ options: { kills: { type: 'string', default: '20' }, seed: { type: 'string' } } });
const kills = Number(values.kills);
let seed = Number(values.seed ?? Date.now() % 1e9);
console.log(`seed ${seed}`);

function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

/** Run the demo; kill its process group after `ms`, if given. Returns what it acknowledged and its exit code. */
function runDemo(state, ms) {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['dist/cli/main.js', 'demo', '--keep', state], {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (data) => {
      text += data;
    });
    const timer = ms === undefined ? undefined : setTimeout(() => process.kill(-child.pid, 'SIGKILL'), ms);
    child.on('close', (code) => {
      clearTimeout(timer);
      done({
        code,
        text,
        acknowledged: [...text.matchAll(/acknowledged (\w+) (\S+)(?: (\S+))?/g)].map((m) => m.slice(1)),
      });
    });
  });
}

/** What a fresh host finds: the boot counter, and which of the two blobs open to which secret. */
async function inspect(state) {
  const { stateDirectory, vault } = await prepareWorkspace(state);
  const host = new HostClient(HOST_PROGRAM, {
    stateDirectory,
    tpm: 'embedded',
    engine: 'v86',
    channels: [],
    partitions: [
      { name: 'vault', kind: 'trusted', ...vault, memoryBytes: 16 * 2 ** 20, commandLine: '', mode: 'unseal' },
    ],
  });
  const exit = await host.until('the vault', () => host.of('exit', 'vault')[0]);
  const boots = host.of('platform')[0].boots;
  const opened = host.of('result', 'vault').map(({ line }) => line);
  await host.stop();
  if (exit.crashed) throw new Error(`the vault crashed: ${exit.reason}`);
  return { boots, opened };
}

/** Names of the platforms that the verifier knows. */
async function enrolled(state) {
  const { verifierDirectory } = await prepareWorkspace(state);
  if (!existsSync(verifierDirectory)) return [];
  const verifier = await createVerifier({ database: { directory: verifierDirectory }, manufacturers: [] });
  try {
    const rows = await verifier.service.db.selectFrom('platform').select('id').execute();
    return rows.map(({ id }) => id);
  } finally {
    await verifier.close();
  }
}

const state = mkdtempSync(join(tmpdir(), 'nexus-kill-'));
let failures = 0;
const known = { boots: 0, identity: false, signer: false, platform: undefined };

for (let kill = 1; kill <= kills; kill++) {
  const ms = Math.round(500 + random() * RUN_MS);
  const run = await runDemo(state, ms);
  for (const [what, name, value] of run.acknowledged) {
    if (what === 'counter') known.boots = Math.max(known.boots, Number(value));
    if (what === 'enrolment') known.platform = name;
    if (what === 'blob') known[name.split('/')[1]] = true;
  }
  let problem = '';
  try {
    const found = await inspect(state);
    if (found.boots <= known.boots) problem += `boot counter ${found.boots} after ${known.boots}; `;
    known.boots = found.boots;
    if (known.platform !== undefined && !(await enrolled(state)).includes(known.platform)) {
      problem += `the enrolment of ${known.platform} is lost; `;
    }
    for (const selector of ['identity', 'signer']) {
      const opens = found.opened.some((line) => line.startsWith(`unsealed selector=${selector} `));
      if (known[selector] && !opens) problem += `the blob for ${selector} is lost: ${found.opened.join(' | ')}; `;
    }
  } catch (error) {
    problem += error.message;
  }
  if (problem) failures++;
  console.log(`kill ${kill} after ${ms} ms: ${run.acknowledged.length} acknowledgements, ${problem || 'all there'}`);
}

const last = await runDemo(state);
if (last.code !== 0) {
  failures++;
  console.log(last.text);
}
console.log(`the demo then ${last.code === 0 ? 'runs through' : `fails with ${last.code}`}`);
rmSync(state, { recursive: true, force: true });
console.log(`${kills} kills, ${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
