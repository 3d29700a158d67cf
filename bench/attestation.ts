/**
 * Appraisal on one core: quote and replay, with typing and policy, IMA lists; beside tpm2_checkquote and tpm2_eventlog.
 * The service over HTTP is bench/attestation-http.ts, run at the end. Rates are per second of processor time, so that a
 * busy machine does not count. Run: npm run bench:attestation [-- --seconds 2]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '../attestation/bytes.ts';
import { EVENT, parseEventLog } from '../attestation/eventlog/format.ts';
import { replayLog } from '../attestation/eventlog/replay.ts';
import { SHA256 } from '../attestation/hash.ts';
import { parseImaList } from '../attestation/ima/list.ts';
import { replayIma } from '../attestation/ima/replay.ts';
import { appraiseMachine, machineEvidence } from '../attestation/machine/appraise.ts';
import { decodeMachineEvidence } from '../attestation/machine/evidence.ts';
import { corpusBytes, corpusFiles, corpusIsThere } from '../test/attestation/corpus.ts';
import { imaList } from '../test/attestation/ima-list.ts';
import { bootLog, type KeyKind, type Machine, NONCE, SELECTION, softwareMachine } from '../test/attestation/machine.ts';
import { httpFigures } from './attestation-http.ts';
import { atLeast, type Figure, report } from './figures.ts';

const WANTED = { rsa: 5000, ecdsa: 4000, typed: 3000, ima: 200_000, peers: 10 } as const;
const IMA_ENTRIES = 5000;
const COLD_KEYS = 40;
const ROUNDS = 3;

const at = process.argv.indexOf('--seconds');
const seconds = at < 0 ? 1.5 : Number(process.argv[at + 1]);

/** Calls per second of this process's processor time, the best of some rounds. */
function rate(run: () => void): number {
  const warm = performance.now() + 300;
  while (performance.now() < warm) run();
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const until = performance.now() + (seconds * 1000) / ROUNDS;
    const before = process.cpuUsage();
    let calls = 0;
    while (performance.now() < until) {
      for (let i = 0; i < 10; i++) run();
      calls += 10;
    }
    const { user, system } = process.cpuUsage(before);
    best = Math.max(best, (calls * 1e6) / (user + system));
  }
  return best;
}

/** A log of about a hundred events: a real one where the corpus is, else one of the same make. */
function log(): { readonly bytes: Uint8Array; readonly origin: string } {
  const real = corpusFiles('eventlog').find(({ path }) => path.includes('eventlogs/tpm/ubuntu-2104-no-secure-boot'));
  if (corpusIsThere && real !== undefined) return { bytes: corpusBytes(real.path), origin: real.name };
  const bytes = bootLog((writer) => {
    for (let i = 0; i < 89; i++) writer.appendMeasured(9, EVENT.IPL, Buffer.from(`(hd0,gpt2)/boot/grub/file${i}\0`));
  });
  return { bytes, origin: 'made here' };
}

function bad(what: string): never {
  throw new Error(`${what}: good evidence was refused; nothing was measured`);
}

const { bytes: logBytes, origin } = log();
const events = parseEventLog(logBytes).events.length;
console.log(
  `event log: ${events} events, ${logBytes.length} bytes (${origin}); quote over PCR ${SELECTION.join(' ')}\n`,
);

const figures: Figure[] = [];
const line = (name: string, value: number, unit = '/s') =>
  console.log(`  ${name.padEnd(62)} ${Math.round(value).toLocaleString('en').padStart(10)} ${unit}`);

/** One appraisal of parsed evidence without a policy: signature, structure, selection, digests, clock, log, replay. */
function plain(machine: Machine, reference: object): () => void {
  const evidence = decodeMachineEvidence(machine.evidence());
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now: new Date(0) };
  return () => {
    if (appraiseMachine(evidence, context).state !== 'affirming') bad('quote + replay');
  };
}

/** The whole way from bytes: envelope, checks, typing of every event, and the ready policies. */
function whole(machine: Machine, reference: object): () => void {
  const bytes = machine.evidence();
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now: new Date(0) };
  return () => {
    const { state, checks } = machineEvidence.open(bytes).appraise(context);
    if (state !== 'affirming') bad(JSON.stringify(checks.filter(({ passed }) => !passed)));
  };
}

const kinds: readonly (readonly [KeyKind, string, number])[] = [
  ['rsassa', 'RSA 2048', WANTED.rsa],
  ['ecdsa', 'ECDSA P-256', WANTED.ecdsa],
];
let evidenceBytes: Machine | undefined;
for (const [kind, name, wanted] of kinds) {
  const machine = softwareMachine(kind, logBytes);
  // What no policy reads is not made, so these read the meaning, and the binding, of every event.
  const reading = (test: string) => ({
    name: 'every-event',
    clauses: [
      { expect: `events.size() == ${events} && pcrs["sha256"]["7"] != ""` },
      { expect: `events.all(e, ${test})` },
    ],
  });
  const typed = ['no-debug-boot', 'trusted-clock', reading('e.kind != "malformed"')];
  const held = ['no-debug-boot', 'trusted-clock', reading('e.kind != "malformed" && e.binding != "contradicted"')];
  const plainRate = rate(plain(machine, machine.reference));
  line(`${name}: quote + replay, known key`, plainRate);
  figures.push(atLeast(`${name} quote + replay per core`, wanted, plainRate, '/s'));
  const typedRate = rate(whole(machine, { ...machine.reference, policies: typed }));
  line(`${name}: from bytes, every event typed, three CEL policies`, typedRate);
  figures.push(atLeast(`${name} with typing and CEL per core`, WANTED.typed, typedRate, '/s'));
  line(
    `${name}: the same, and every event held to its digest`,
    rate(whole(machine, { ...machine.reference, policies: held })),
  );
  const cold = coldRate(kind, machine.reference);
  line(`${name}: quote + replay, key never seen before`, cold);
  if (kind === 'ecdsa') evidenceBytes = machine;
}

/** Each key is used once, against the reference values of their fleet. Making keys is not measured. */
function coldRate(kind: KeyKind, reference: object): number {
  const runs = Array.from({ length: COLD_KEYS }, () => plain(softwareMachine(kind, logBytes), reference));
  const before = process.cpuUsage();
  for (const run of runs) run();
  const { user, system } = process.cpuUsage(before);
  return (runs.length * 1e6) / (user + system);
}

const list = imaList(
  Array.from({ length: IMA_ENTRIES }, (_, i) => ({ path: `/usr/lib/x86_64-linux-gnu/library-${i}.so.1` })),
);
const imaRate = rate(() => {
  if (replayIma(parseImaList(list.bytes), SHA256.id, list.pcr).reached === undefined) bad('IMA');
});
line('IMA: entries read and replayed', imaRate * IMA_ENTRIES);
figures.push(atLeast('IMA entries per core', WANTED.ima, imaRate * IMA_ENTRIES, '/s'));

const peer = peers();
if (peer === undefined) console.log('\n  tpm2_checkquote and tpm2_eventlog: not installed, not compared');
else {
  line('tpm2_checkquote + tpm2_eventlog, as processes', peer);
  const ours = Number(figures[2]?.measured.replace(/[^0-9.]/g, ''));
  figures.push(atLeast('ECDSA quote + replay over tpm2_checkquote + tpm2_eventlog', WANTED.peers, ours / peer));
}

/** Pairs of both tools per second of their processor time; undefined where they are not installed. */
function peers(): number | undefined {
  if (evidenceBytes === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'nexus-bench-'));
  try {
    const parts = evidenceBytes.parts();
    const file = (name: string, bytes: Uint8Array) => {
      writeFileSync(join(directory, name), bytes);
      return join(directory, name);
    };
    const size = Buffer.alloc(2);
    size.writeUInt16BE(parts.akPublic.length);
    const ak = file('ak', Buffer.concat([size, parts.akPublic]));
    const quote = [
      '-u',
      ak,
      '-m',
      file('quote', parts.quoted),
      '-s',
      file('signature', parts.signature),
      '-q',
      toHex(NONCE),
    ];
    const eventlog = file('log', parts.eventLog);
    const spent = () => {
      const { userCPUTime, systemCPUTime } = process.resourceUsage();
      return userCPUTime + systemCPUTime;
    };
    const run = () => {
      const checked = spawnSync('tpm2_checkquote', quote);
      const read = spawnSync('tpm2_eventlog', [eventlog], { maxBuffer: 1 << 26 });
      return checked.status === 0 && read.status === 0;
    };
    if (!run()) return undefined;
    const pairs = 20;
    const own = spent();
    const before = performance.now();
    for (let i = 0; i < pairs; i++) run();
    // The tools' own time: what passed, less what starting them cost this process.
    return (pairs * 1e6) / ((performance.now() - before) * 1e3 - (spent() - own));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

// The registers a machine of this log has, so that a reader can compare with the tools.
console.log(`\n  PCR 7 of the log: ${toHex(replayLog(parseEventLog(logBytes), SHA256.id)[7] ?? new Uint8Array())}`);
figures.push(...(await httpFigures(5)));
process.exitCode = report(figures);
