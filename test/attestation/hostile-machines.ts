/** Hostile evidence of machines with a TPM: each with where it comes from and the check that must refuse it. */
import { concatBytes } from '../../attestation/bytes.ts';
import type { Status } from '../../attestation/checks.ts';
import { EVENT, EventLogWriter, parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { SHA1, SHA256 } from '../../attestation/hash.ts';
import { CERTIFICATE } from '../../attestation/ima/vectors.test-support.ts';
import { machineEvidence } from '../../attestation/machine/appraise.ts';
import type { MachineCertificates } from '../../attestation/machine/certificates.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import type { AppraisalContext } from '../../attestation/verifier/evidence-format.ts';
import { encode, TPM_GENERATED_VALUE, TPM_ST, TPMS_ATTEST } from '../../tpm/structures/index.ts';
import { base64, corim, type Manifest } from './corim.ts';
import { bootAggregate, entryBytes, type FileEntry, imaList, templateData } from './ima-list.ts';
import { bootLog, efiVariable, NONCE, SELECTION, softwareKey, softwareMachine, type Variation } from './machine.ts';

export interface Hostile {
  readonly name: string;
  /** The check that must fail; `evidence-format` for what must not open. */
  readonly check: string;
  readonly state?: Exclude<Status, 'affirming'>;
  run(): { readonly state: string; readonly failed: readonly string[] };
}

const machine = softwareMachine('ecdsa');
const rsa = softwareMachine('rsassa');
const other = softwareKey('ecdsa');
const good = bootLog();
const IMA_SELECTION = [...SELECTION, 10];
const aggregate = bootAggregate(replayLog(parseEventLog(good), SHA256.id));
const files = [aggregate, { path: '/usr/bin/bash' }, { path: '/usr/bin/login' }];
const ima = imaList(files);
const policies = (...names: readonly unknown[]) => ({ reference: { ...machine.reference, policies: names } });
const imaReference = {
  reference: { selection: [{ bank: 'sha256', pcrs: IMA_SELECTION }], ima: {} },
};

function appraised(bytes: Uint8Array, changed: Partial<AppraisalContext> = {}) {
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference: machine.reference, clock: null };
  const opened = machineEvidence.open(bytes);
  const { state, checks } = opened.appraise({ ...context, now: new Date(0), ...changed });
  return { state, failed: checks.filter(({ passed }) => !passed).map(({ name }) => name) };
}

const varied = (
  name: string,
  check: string,
  variation: Variation,
  changed: Partial<AppraisalContext> = {},
): Hostile => ({
  name,
  check,
  run: () => appraised(machine.evidence(variation), changed),
});

/** Another log under the good quote. */
const withLog = (name: string, check: string, log: Uint8Array): Hostile => varied(name, check, { log });

/** A machine that truly booted so: quote and log agree, the policy must see it. */
const booted = (name: string, check: string, log: Uint8Array, changed: Partial<AppraisalContext>): Hostile => ({
  name,
  check,
  run() {
    const machineBooted = softwareMachine('ecdsa', log);
    const reference = { ...(changed.reference ?? {}), pcrs: {} };
    return appraised(machineBooted.evidence(), { akPublic: machineBooted.key.publicArea, ...changed, reference });
  },
});

const withIma = (name: string, check: string, variation: Variation, changed: Partial<AppraisalContext> = {}): Hostile =>
  varied(
    name,
    check,
    { selection: IMA_SELECTION, registers: { 10: ima.pcr }, ima: ima.bytes, ...variation },
    { ...imaReference, ...changed },
  );

/** A list that was measured so. */
function withOwnIma(name: string, check: string, entries: readonly FileEntry[], rules: object = {}): Hostile {
  const list = imaList(entries);
  const reference = { ...imaReference.reference, ima: rules };
  return withIma(name, check, { registers: { 10: list.pcr }, ima: list.bytes }, { reference });
}

const edited = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at < 0 ? copy.length + at : at] = value;
  return copy;
};
const clock = (clockMs: bigint, resetCount: number, restartCount: number, safe = true) => ({
  clock: { clock: clockMs, resetCount, restartCount, safe },
});
const before = { clock: '1000', resetCount: 3, restartCount: 1 };
const logOf = (fill: (log: EventLogWriter) => void): Uint8Array => {
  const log = new EventLogWriter([SHA1.id, SHA256.id]);
  fill(log);
  return log.bytes();
};
const secureBootLog = (fill: (log: EventLogWriter) => void) =>
  logOf((log) => {
    fill(log);
    for (const pcr of [0, 1, 2, 3, 4, 5, 6]) log.appendMeasured(pcr, EVENT.SEPARATOR, new Uint8Array(4));
  });
const secureBoot = (on: number) => efiVariable('SecureBoot', Uint8Array.of(on));
const DRIVER_CONFIG = EVENT.EFI_VARIABLE_DRIVER_CONFIG;
const separator = new Uint8Array(4);
const parts = machine.parts();
const malformed = (name: string, make: () => Uint8Array): Hostile => ({
  name,
  check: 'evidence-format',
  run: () => appraised(make()),
});

/** The good machine over values in a manifest, and nothing else. */
const withManifest = (name: string, check: string, manifest: Manifest, more: object = {}): Hostile => ({
  name,
  check,
  ...('revoked' in more && { state: 'revoked' as const }),
  run() {
    const { selection } = machine.reference;
    const reference = { selection, manifests: [{ corim: base64(corim(manifest)), ...more }] };
    return appraised(machine.evidence(), { reference });
  },
});

/** What is certified here is a key of openssl's, which is its own authority. */
const withCertificates = (
  name: string,
  check: string,
  certificates: MachineCertificates,
  require: string[] = [],
): Hostile => ({
  name,
  check,
  run() {
    const reference = { ...machine.reference, certificates: { anchors: [base64(CERTIFICATE)], require } };
    return appraised(encodeMachineEvidence({ ...parts, certificates }), { reference });
  },
});

export const HOSTILE_MACHINES: readonly Hostile[] = [
  // The quote.
  varied('a quote signed by another key', 'quote-signature', { signer: other }),
  varied('an RSA signature under the enrolled ECC key', 'quote-signature', { signer: rsa.key }),
  { name: 'the key of another machine', check: 'attestation-key', run: () => appraised(rsa.evidence()) },
  varied('another magic: data that a key signed at its owner’s request (CVE-2024-29038)', 'quote-structure', {
    magic: 0x54434700,
  }),
  varied('magic of zero', 'quote-structure', { magic: 0 }),
  varied('a replayed quote over an older nonce', 'quote-nonce', { nonce: new Uint8Array(32).fill(4) }),
  varied('an empty nonce', 'quote-nonce', { nonce: new Uint8Array() }),
  varied('a nonce that is the right one and more', 'quote-nonce', { nonce: concatBytes(NONCE, NONCE) }),
  varied('a prefix of the nonce', 'quote-nonce', { nonce: NONCE.subarray(0, 31) }),
  varied('no register quoted (CVE-2024-29039)', 'quote-selection', { selection: [] }),
  varied('no bank quoted', 'quote-selection', { selections: [] }),
  varied('fewer registers than asked for (CVE-2022-0317)', 'quote-selection', { selection: SELECTION.slice(1) }),
  varied('more registers than asked for', 'quote-selection', { selection: [...SELECTION, 16] }),
  varied('a register in the place of another', 'quote-selection', { selection: [...SELECTION.slice(0, -1), 16] }),
  varied('the SHA-1 bank in place of SHA-256', 'quote-selection', { bank: SHA1.id }),
  varied('the same bank twice', 'quote-selection', {
    selections: [
      { hash: SHA256.id, pcrSelect: SELECTION },
      { hash: SHA256.id, pcrSelect: SELECTION },
    ],
  }),
  varied('the registers split over two selections', 'quote-selection', {
    selections: [
      { hash: SHA256.id, pcrSelect: SELECTION.slice(0, 5) },
      { hash: SHA256.id, pcrSelect: SELECTION.slice(5) },
    ],
  }),
  varied('a digest over other registers', 'pcr-digest', { pcrDigest: new Uint8Array(32) }),
  varied('an empty digest', 'pcr-digest', { pcrDigest: new Uint8Array() }),
  varied('register values that were not quoted', 'pcr-digest', { claimed: { 4: new Uint8Array(32) } }),
  varied('values of PCR 0 and 1 exchanged', 'pcr-digest', {
    claimed: { 0: parts.pcrs.get(SHA256.id)?.get(1) ?? NONCE, 1: parts.pcrs.get(SHA256.id)?.get(0) ?? NONCE },
  }),
  {
    name: 'a certification in place of a quote',
    check: 'quote-structure',
    run: () => {
      const name = new Uint8Array(34);
      const quoted = encode(TPMS_ATTEST, {
        magic: TPM_GENERATED_VALUE,
        type: TPM_ST.ATTEST_CERTIFY,
        qualifiedSigner: name,
        extraData: NONCE,
        clockInfo: { clock: 1000n, resetCount: 3, restartCount: 0, safe: true },
        firmwareVersion: 1n,
        attested: { name, qualifiedName: name },
      });
      return appraised(encodeMachineEvidence({ ...parts, quoted, signature: machine.key.sign(quoted) }));
    },
  },
  {
    name: 'a quote with bytes after its end',
    check: 'quote-structure',
    run: () => {
      const quoted = concatBytes(parts.quoted, Uint8Array.of(0));
      return appraised(encodeMachineEvidence({ ...parts, quoted, signature: machine.key.sign(quoted) }));
    },
  },
  {
    name: 'an empty quote',
    check: 'quote-structure',
    run: () => appraised(encodeMachineEvidence({ ...parts, quoted: new Uint8Array() })),
  },
  {
    name: 'an empty signature',
    check: 'quote-signature',
    run: () => appraised(encodeMachineEvidence({ ...parts, signature: new Uint8Array() })),
  },
  {
    name: 'a null signature (TPM_ALG_NULL)',
    check: 'quote-signature',
    run: () => appraised(encodeMachineEvidence({ ...parts, signature: Uint8Array.of(0, 0x10) })),
  },
  {
    name: 'an HMAC in place of a signature',
    check: 'quote-signature',
    run: () =>
      appraised(
        encodeMachineEvidence({ ...parts, signature: concatBytes(Uint8Array.of(0, 5, 0, 0x0b), new Uint8Array(32)) }),
      ),
  },
  {
    name: 'a signature of zeros (CVE-2022-21449)',
    check: 'quote-signature',
    run: () => {
      const zeros = concatBytes(Uint8Array.of(0, 32), new Uint8Array(32));
      return appraised(
        encodeMachineEvidence({ ...parts, signature: concatBytes(Uint8Array.of(0, 0x18, 0, 0x0b), zeros, zeros) }),
      );
    },
  },
  {
    name: 'SHA-1 in the signature where SHA-256 is quoted',
    check: 'quote-signature',
    run: () => appraised(encodeMachineEvidence({ ...parts, signature: edited(parts.signature, 3, 4) })),
  },
  {
    name: 'the scheme of the signature changed to ECDAA',
    check: 'quote-signature',
    run: () => appraised(encodeMachineEvidence({ ...parts, signature: edited(parts.signature, 1, 0x1a) })),
  },
  {
    name: 'good evidence for a machine whose key was replaced since',
    check: 'attestation-key',
    run: () => appraised(machine.evidence(), { akPublic: other.publicArea }),
  },
  {
    name: 'no reference values at all',
    check: 'reference-values',
    run: () => appraised(machine.evidence(), { reference: undefined }),
  },
  {
    name: 'reference values for a register that is not quoted',
    check: 'reference-values',
    run: () =>
      appraised(machine.evidence(), {
        reference: { ...machine.reference, pcrs: { sha256: { 23: ['00'.repeat(32)] } } },
      }),
  },
  {
    name: 'another register value than the reference',
    check: 'reference-pcr-sha256-0',
    run: () =>
      appraised(machine.evidence(), {
        reference: { ...machine.reference, pcrs: { sha256: { 0: ['00'.repeat(32)] } } },
      }),
  },
  {
    name: 'TPM firmware that is not accepted',
    check: 'firmware-version',
    run: () =>
      appraised(machine.evidence({ firmwareVersion: 2n }), {
        reference: { ...machine.reference, firmwareVersions: ['0000000000000001'] },
      }),
  },
  // The clock.
  varied('a quote from before the last reboot', 'clock', clock(9000n, 2, 9), { clock: before }),
  varied('a quote from before the last restart', 'clock', clock(9000n, 3, 0), { clock: before }),
  varied('a clock that went back', 'clock', clock(999n, 3, 1), { clock: before }),
  {
    ...varied(
      'a TPM whose clock may have gone back',
      'policy-trusted-clock',
      clock(1n, 3, 1, false),
      policies('trusted-clock'),
    ),
    state: 'warning',
  },
  // The event log.
  withLog('no event log', 'event-log', new Uint8Array()),
  withLog('a log without its last byte', 'event-log', good.subarray(0, -1)),
  withLog('a log with one byte more', 'event-log', concatBytes(good, Uint8Array.of(1))),
  withLog('a log without its last event', 'log-replay-sha256', bootLogWithoutLast()),
  withLog(
    'a log of no event',
    'log-replay-sha256',
    logOf(() => {}),
  ),
  withLog(
    'an event more, which no policy reads',
    'log-replay-sha256',
    bootLog((log) => log.appendMeasured(9, EVENT.IPL, NONCE)),
  ),
  withLog('a log without the quoted bank', 'log-replay-sha256', new EventLogWriter([SHA1.id]).bytes()),
  withLog('a header that declares 4 GiB of banks', 'event-log', edited(good, 32 + 24 + 3, 0xff)),
  withLog('a header that names a bank twice', 'event-log', new EventLogWriter([SHA256.id, SHA256.id]).bytes()),
  withLog('a header with a bank of another size', 'event-log', edited(good, 32 + 28 + 2, 21)),
  withLog('an event that declares 4 GiB of data', 'event-log', edited(good, firstEventSize(), 0xff)),
  withLog('an event of PCR 255', 'event-log', edited(good, headerSize(), 0xff)),
  withLog('an event with more digests than banks', 'event-log', edited(good, headerSize() + 8, 3)),
  withLog('an event with no digest', 'event-log', edited(good, headerSize() + 8, 0)),
  withLog('an event with the same bank twice', 'event-log', edited(good, headerSize() + 12 + 2 + 20, 4)),
  withLog('a start-up locality that was not', 'log-replay-sha256', withLocality(3)),
  withLog('an event moved to another register', 'log-replay-sha256', edited(good, headerSize(), 1)),
  withLog('one bit of a digest', 'log-replay-sha256', edited(good, headerSize() + 12 + 2 + 20 + 2, 1)),
  withLog('an event hidden as one that extends nothing', 'log-replay-sha256', edited(good, headerSize() + 4, 3)),
  withLog('an event of no register that is to be measured', 'event-log', noRegister()),
  booted(
    'a separator whose digest is of something else',
    'event-binding',
    bootLog((log) => {
      log.appendMeasured(9, EVENT.SEPARATOR, separator, NONCE);
    }),
    policies('secure-boot'),
  ),
  booted(
    'a firmware version whose digest is of something else',
    'event-binding',
    bootLog((log) => {
      log.appendMeasured(0, EVENT.S_CRTM_VERSION, Buffer.from('newer'), Buffer.from('older'));
    }),
    policies('secure-boot'),
  ),
  booted(
    'a partition table whose digest is of something else',
    'event-binding',
    bootLog((log) => {
      log.appendMeasured(5, EVENT.EFI_GPT_EVENT, new Uint8Array(100), NONCE);
    }),
    policies('trusted-clock'),
  ),
  withLog('an SHA-1 log under a SHA-256 quote', 'log-replay-sha256', sha1Log()),
  // Secure Boot and the rest of the boot, with logs that agree with the quote.
  booted(
    'Secure Boot off',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(0));
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'Secure Boot told after the separator',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1));
    }),
    policies('secure-boot'),
  ),
  booted(
    'Secure Boot told twice',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(0));
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1));
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'Secure Boot on in the data, off in the digest',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1), secureBoot(0));
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'Secure Boot of a variable whose name was not measured',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1), Uint8Array.of(1));
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'a second separator in PCR 7',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1));
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'an error separator in PCR 7',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, DRIVER_CONFIG, secureBoot(1));
      log.appendMeasured(7, EVENT.SEPARATOR, Uint8Array.of(1, 0, 0, 0));
    }),
    policies('secure-boot'),
  ),
  booted(
    'no word of Secure Boot',
    'policy-secure-boot',
    secureBootLog((log) => {
      log.appendMeasured(7, EVENT.SEPARATOR, separator);
    }),
    policies('secure-boot'),
  ),
  booted(
    'a firmware debugger',
    'policy-no-debug-boot',
    bootLog((log) => {
      log.appendMeasured(7, EVENT.EFI_ACTION, Buffer.from('UEFI Debug Mode'));
    }),
    policies('no-debug-boot'),
  ),
  booted(
    'Windows started for kernel debugging',
    'policy-no-debug-boot',
    bootLog((log) => {
      log.appendMeasured(12, EVENT.EVENT_TAG, Uint8Array.of(1, 0, 5, 0, 1, 0, 0, 0, 1));
    }),
    policies('no-debug-boot'),
  ),
  booted(
    'a kernel told to start a shell',
    'policy-linux-command-line',
    bootLog((log) => {
      const line = 'root=/dev/vda1 init=/bin/sh';
      log.appendMeasured(8, EVENT.IPL, Buffer.from(`kernel_cmdline: ${line}\0`), Buffer.from(line));
    }),
    policies('linux-command-line'),
  ),
  booted(
    'a kernel command line that was not measured',
    'policy-linux-command-line',
    logOf((log) => {
      log.appendMeasured(8, EVENT.IPL, Buffer.from('kernel_cmdline: quiet\0'), Buffer.from('init=/bin/sh'));
    }),
    policies('linux-command-line'),
  ),
  booted(
    'an authority that is not known',
    'policy-known-authorities',
    bootLog((log) => {
      log.appendMeasured(7, EVENT.EFI_VARIABLE_AUTHORITY, efiVariable('db', new Uint8Array(40).fill(0x30)));
    }),
    policies('known-authorities'),
  ),
  booted(
    'an authority whose certificate was not measured',
    'policy-known-authorities',
    bootLog((log) => {
      log.appendMeasured(7, EVENT.EFI_VARIABLE_AUTHORITY, efiVariable('db', new Uint8Array(40)), NONCE);
    }),
    policies('known-authorities'),
  ),
  {
    name: 'a policy with an error when it runs: a bank that is not there',
    check: 'policy-own',
    run: () =>
      appraised(machine.evidence(), policies({ name: 'own', clauses: [{ expect: 'pcrs["sha512"]["0"] == ""' }] })),
  },
  {
    name: 'a policy that does not compile',
    check: 'reference-values',
    run: () => appraised(machine.evidence(), policies({ name: 'own', clauses: [{ expect: 'secureBoot.enabledd' }] })),
  },
  {
    name: 'a policy that gives a number',
    check: 'reference-values',
    run: () => appraised(machine.evidence(), policies({ name: 'own', clauses: [{ expect: 'quote.resetCount' }] })),
  },
  // IMA.
  withIma('no list of IMA', 'ima-list', { ima: undefined as never }),
  withIma('a list without its first entry', 'ima-replay', { ima: imaList(files.slice(1)).bytes }),
  withIma('a list without its last entry', 'ima-replay', { ima: imaList(files.slice(0, -1)).bytes }),
  withIma('two entries exchanged', 'ima-replay', { ima: imaList([...files].reverse()).bytes }),
  withIma('an entry that was never measured', 'ima-replay', { ima: imaList([{ path: '/evil' }, ...files]).bytes }),
  withIma('the name in an entry changed, its digest kept (CVE-2021-3406)', 'ima-replay', {
    ima: concatBytes(
      entryBytes(aggregate),
      entryBytes({ path: '/usr/bin/bash' }, templateData({ path: '/usr/bin/dash' })),
      entryBytes({ path: '/usr/bin/login' }),
    ),
  }),
  withIma('a list cut in an entry', 'ima-list', { ima: ima.bytes.subarray(0, -1) }),
  withIma('a template that no kernel has', 'ima-list', { ima: entryBytes({ path: '/bin/sh', template: 'ima-evil' }) }),
  withIma('a template name of 4 GiB', 'ima-list', { ima: edited(ima.bytes, 27, 0xff) }),
  withIma('template data of 4 GiB', 'ima-list', { ima: edited(ima.bytes, 28 + 6 + 3, 0xff) }),
  withIma(
    'an entry with a digest field that names no hash',
    'ima-entries',
    ownIma((entry) => entry.fill(0x41, 4, 10)),
  ),
  withOwnIma('a list of another boot', 'ima-boot-aggregate', [{ path: 'boot_aggregate' }, ...files.slice(1)]),
  withOwnIma('a list that does not start with its boot', 'ima-boot-aggregate', files.slice(1)),
  withOwnIma(
    'a key that nobody listed, loaded into a keyring',
    'ima-keyrings',
    [...files, { path: '.ima', buffer: Uint8Array.of(1, 2, 3) }],
    { keyrings: { '.ima': [] } },
  ),
  withOwnIma('a key whose digest is not of it', 'ima-entries', [
    ...files,
    { path: '.ima', buffer: Uint8Array.of(1, 2, 3), digest: SHA256.digest(NONCE) },
  ]),
  withIma(
    'entries of the last boot, after a reboot',
    'ima-replay',
    { ima: new Uint8Array(), ...clock(5n, 4, 0) },
    {
      clock: {
        clock: '1000',
        resetCount: 3,
        restartCount: 0,
        ima: { entries: 3, bank: SHA256.id, value: hexOf(ima.pcr) },
      },
    },
  ),
  withIma(
    'a file without a signature',
    'policy-ima-signed',
    {},
    {
      reference: { ...imaReference.reference, policies: ['ima-signed'] },
    },
  ),
  withIma(
    'a file that is not on the list',
    'policy-ima-allow-list',
    {},
    {
      reference: { ...imaReference.reference, policies: ['ima-allow-list'] },
    },
  ),
  {
    name: 'a file that was written while it was measured',
    check: 'policy-ima-no-violations',
    state: 'warning',
    run: () => {
      const list = imaList([...files, { path: '/etc/shadow', violation: true }]);
      const reference = { ...imaReference.reference, policies: ['ima-no-violations'] };
      const variation = { selection: IMA_SELECTION, registers: { 10: list.pcr }, ima: list.bytes };
      return appraised(machine.evidence(variation), { reference });
    },
  },
  // Manifests and certificates.
  withManifest('a register that the manifest has otherwise', 'reference-pcr-sha256-7', { registers: { 7: [NONCE] } }),
  withManifest('an event that the manifest does not list', 'reference-event-sha256-8', { events: { 8: [NONCE] } }),
  withManifest(
    'values of a manifest that was revoked',
    'reference-pcr-sha256-0',
    { registers: { 0: [parts.pcrs.get(SHA256.id)?.get(0) ?? NONCE] } },
    { revoked: 'withdrawn' },
  ),
  withManifest('a manifest about a register that is not quoted', 'reference-values', { registers: { 23: [NONCE] } }),
  withCertificates('no certificate of its key where one is required', 'iak-certificate', {}, ['iak']),
  withCertificates('the certificate of another key', 'iak-key', { iak: [CERTIFICATE] }),
  withCertificates('a certificate that is none', 'iak-certificate', { iak: [NONCE] }),
  withCertificates('a certificate in BER of indefinite length', 'iak-certificate', {
    iak: [Uint8Array.of(0x30, 0x80, 0, 0)],
  }),
  withCertificates('an IDevID that nobody certified', 'idevid-key', { iak: [CERTIFICATE], idevid: [CERTIFICATE] }),
  withCertificates('an EK certificate where none was enrolled', 'ek-certificate', { ek: [CERTIFICATE] }),
  withCertificates('a platform certificate that is an ordinary one', 'platform-certificate', {
    platform: [CERTIFICATE],
  }),
  // The envelope.
  malformed('a chain of nine certificates', () =>
    encodeMachineEvidence({ ...parts, certificates: { iak: Array.from({ length: 9 }, () => CERTIFICATE) } }),
  ),
  malformed('certificates of nobody', () =>
    encodeMachineEvidence({ ...parts, certificates: { nobody: [CERTIFICATE] } as MachineCertificates }),
  ),
  malformed('nothing', () => new Uint8Array()),
  malformed('bytes that are not CBOR', () => new Uint8Array(100).fill(0xff)),
  malformed('a byte after the end', () => concatBytes(machine.evidence(), Uint8Array.of(0))),
  malformed('evidence without its last byte', () => machine.evidence().subarray(0, -1)),
  malformed('an array nested a hundred thousand deep', () => new Uint8Array(100_000).fill(0x81)),
  malformed('a register value of the wrong size', () => machine.evidence({ claimed: { 0: new Uint8Array(31) } })),
  malformed('a map that declares 2^32 entries', () => Uint8Array.of(0xba, 0xff, 0xff, 0xff, 0xff)),
  malformed('a collection of another type', () => swapped('nexus-tcb,2026:machine', 'nexus-tcb,2026:macHine')),
  malformed('a message of another type', () => swapped('vnd.nexus-tcb.pcrs+cbor', 'vnd.nexus-tcb.pcrz+cbor')),
  malformed('an attestation key that is no public area', () => encodeMachineEvidence({ ...parts, akPublic: NONCE })),
  malformed('a string of indefinite length', () => Uint8Array.of(0x5f, 0x41, 0x00, 0xff)),
];

/** The good evidence with a text in it exchanged for one of the same length. */
function swapped(text: string, by: string): Uint8Array {
  return Uint8Array.from(Buffer.from(Buffer.from(machine.evidence()).toString('latin1').replace(text, by), 'latin1'));
}

/** An event of register 0xffffffff, which only Windows' events that extend nothing may have. */
function noRegister(): Uint8Array {
  const log = Uint8Array.from(good);
  log.fill(0xff, headerSize(), headerSize() + 4);
  return log;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Bytes of the crypto-agile header of the good log, SHA-1 framing and 37 bytes of Spec ID. */
function headerSize(): number {
  return 32 + new DataView(good.buffer, good.byteOffset).getUint32(28, true);
}

/** Offset of the highest byte of the first event's data size: register, type, count, two digests. */
function firstEventSize(): number {
  return headerSize() + 12 + 2 + 20 + 2 + 32 + 3;
}

function bootLogWithoutLast(): Uint8Array {
  const { events, algorithms } = parseEventLog(good);
  const log = new EventLogWriter(algorithms);
  for (const event of events.slice(0, -1)) {
    const digests = new Map(algorithms.map((algorithm, bank) => [algorithm, event.digestOf(bank) ?? NONCE]));
    log.append(event.pcr, event.type, digests, event.data);
  }
  return log.bytes();
}

function withLocality(locality: number): Uint8Array {
  return bootLog((log) => {
    log.appendMeasured(0, EVENT.NO_ACTION, concatBytes(Buffer.from('StartupLocality\0'), Uint8Array.of(locality)));
  });
}

/** The first events of a log in the old form, whose only bank is SHA-1. */
function sha1Log(): Uint8Array {
  return concatBytes(
    new Uint8Array(4),
    Uint8Array.of(8, 0, 0, 0),
    SHA1.digest(NONCE),
    Uint8Array.of(32, 0, 0, 0),
    NONCE,
  );
}

/** A list that replays, whose last entry's template data were changed before they were measured. */
function ownIma(change: (data: Uint8Array) => void): Variation {
  const data = templateData({ path: '/usr/bin/x' });
  change(data);
  const pcr = SHA256.digest(concatBytes(ima.pcr, SHA256.digest(data)));
  return {
    ima: concatBytes(ima.bytes, entryBytes({ path: '/usr/bin/x' }, data)),
    registers: { 10: Uint8Array.from(pcr) },
  };
}

/** The good machine, for tests that start from it. */
export const GOOD = {
  machine,
  appraised,
  ima,
  imaReference,
  IMA_SELECTION,
  replayed: replayLog(parseEventLog(good), SHA256.id),
};
