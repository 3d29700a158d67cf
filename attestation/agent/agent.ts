/**
 * The agent of a machine with a TPM 2.0: enrols it, makes evidence over the verifier's nonces, fetches secrets, and
 * attests again and again. It pushes, so it works behind address translation; nothing connects to it.
 */
import fs from 'node:fs';
import { x25519 } from '@noble/curves/ed25519.js';
import type { TpmClient } from '../../tpm/client/index.ts';
import { encode, TPM_ALG, TPMT_SIGNATURE } from '../../tpm/structures/index.ts';
import { hpkeOpen } from '../broker/hpke.ts';
import { RELEASE_INFO } from '../broker/release-binding.ts';
import { toHex } from '../bytes.ts';
import { type AttestReply, type ReleaseReply, type VerifierClient, VerifierRefusal } from '../client.ts';
import { hashByName } from '../hash.ts';
import { imaListAfter } from '../ima/list.ts';
import type { MachineCertificates } from '../machine/certificates.ts';
import type { DeviceEvidence } from '../machine/device-identity.ts';
import { encodeMachineEvidence, type PcrValues } from '../machine/evidence.ts';
import { type Replacement, withReplacements } from '../machine/learn.ts';
import type { MachineReference } from '../machine/reference.ts';
import { decodeQuote } from '../quote.ts';
import { boundNonce, enrolmentNonce } from '../verifier/nonces.ts';
import { idevidCertificates, idevidSignature } from './device-identity.ts';
import {
  AgentError,
  activateCredential,
  attestationKey,
  ekCertificates,
  endorsementKey,
  iakCertificates,
  type KeyKind,
  withKey,
} from './keys.ts';

/** One bank of what is quoted. */
export interface Selection {
  readonly bank: 'sha1' | 'sha256' | 'sha384' | 'sha512';
  /** Ascending. */
  readonly pcrs: readonly number[];
}

export interface AgentOptions {
  readonly tpm: TpmClient;
  readonly verifier: VerifierClient;
  /** Default: ecc. With iak, the machine enrols and quotes by the initial attestation key of its manufacturer. */
  readonly key?: KeyKind;
  /** Default: PCR 0-7 of the SHA-256 bank, and 10 where IMA runs. It must be what the reference values ask for. */
  readonly selection?: readonly Selection[];
  /** EK certificate chain, DER, where the TPM holds none. */
  readonly ekCertificates?: readonly Uint8Array[];
  /** Send the EK's certificate (or the IAK's) and its issuers with the evidence, and the platform's certificate with its own (DER). */
  readonly certificates?: { readonly platform?: readonly Uint8Array[] };
  /** Send the device's identity (IDevID): its certificate, and a signature by its key over what is quoted. */
  readonly idevid?: boolean;
  /** Default: where Linux shows them. A missing file is an empty log, or no list. */
  readonly eventLog?: string;
  readonly imaList?: string;
}

export interface RunOptions {
  /** Seconds between attestations; a tenth of it is random. */
  readonly everySeconds: number;
  readonly signal: AbortSignal;
  /** Told of every verdict, and of every failure to obtain one. */
  readonly observe: (outcome: AttestReply | Error) => void;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const EVENT_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements';
const IMA_LIST = '/sys/kernel/security/ima/binary_runtime_measurements';
const BOOT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7];
const IMA_PCR = 10;
/** PCR_Read returns at most this many values at once. */
const PCRS_AT_ONCE = 8;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 5 * 60_000;
const EMPTY = new Uint8Array(0);

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(fs.readFileSync(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new AgentError('E_AGENT_LOG', `${path} cannot be read (${code}).`, 'Run the agent as root.', error);
  }
}

async function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #tpm: TpmClient;
  readonly #kind: KeyKind;
  #certified: readonly Uint8Array[] | undefined;
  #idevid: readonly Uint8Array[] | undefined;
  /** How much of IMA's list the verifier has acknowledged to this object. */
  #shown: AttestReply['shown'];

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#tpm = options.tpm;
    this.#kind = options.key ?? 'ecc';
  }

  /** Enrol, or enrol again with the same TPM; returns the platform's name. Throws `VerifierRefusal`, `AgentError`. */
  async enrol(platform?: string): Promise<string> {
    const { verifier } = this.#options;
    const kind = this.#kind;
    if (kind === 'iak') {
      const quote = async (nonce: Uint8Array) =>
        (await this.#evidenceSince(enrolmentNonce(platform, nonce), undefined, { iak: await this.#chain() })).evidence;
      return (await verifier.enrolDevice(quote, platform)).platform;
    }
    const certificates = await this.#chain();
    return withKey(this.#tpm, endorsementKey(this.#tpm, kind), (ek) =>
      withKey(this.#tpm, attestationKey(this.#tpm, kind), async (ak) => {
        const enrolled = await verifier.enrol(
          {
            ekPublic: ek.publicArea,
            akPublic: ak.publicArea,
            ekCertificates: certificates,
            activate: (blob, secret) => activateCredential(this.#tpm, ak, ek, blob, secret),
          },
          platform,
        );
        return enrolled.platform;
      }),
    );
  }

  /** Certificates of the key that the manufacturer certified. NV is slow, and they do not change: read once. */
  async #chain(): Promise<readonly Uint8Array[]> {
    const { ekCertificates: given } = this.#options;
    if (this.#kind === 'iak') this.#certified ??= await iakCertificates(this.#tpm);
    else this.#certified ??= given ?? (await ekCertificates(this.#tpm, this.#kind));
    return this.#certified;
  }

  async #certificates(): Promise<MachineCertificates | undefined> {
    const { certificates } = this.#options;
    return certificates && { [this.#kind === 'iak' ? 'iak' : 'ek']: await this.#chain(), ...certificates };
  }

  async #deviceEvidence(akPublic: Uint8Array, nonce: Uint8Array): Promise<DeviceEvidence | undefined> {
    if (this.#options.idevid !== true) return undefined;
    this.#idevid ??= await idevidCertificates(this.#tpm);
    return { idevid: this.#idevid, ...(await idevidSignature(this.#tpm, akPublic, nonce)) };
  }

  /** Evidence over a nonce, with the whole of IMA's list. */
  async evidence(nonce: Uint8Array): Promise<Uint8Array> {
    return (await this.#evidenceSince(nonce, undefined)).evidence;
  }

  /** The same with what IMA's list has beyond `since`, if this is still the boot of which it was said. */
  async #evidenceSince(
    nonce: Uint8Array,
    since: AttestReply['shown'],
    shown?: MachineCertificates,
  ): Promise<{ readonly evidence: Uint8Array; readonly since: AttestReply['shown'] }> {
    const selection = this.#selection(this.#imaRuns());
    const certificates = shown ?? (await this.#certificates());
    return withKey(this.#tpm, attestationKey(this.#tpm, this.#kind), async (ak) => {
      const { quoted, signature } = await this.#tpm.Quote({
        signHandle: ak.handle,
        qualifyingData: nonce,
        inScheme: { scheme: TPM_ALG.NULL },
        PCRselect: selection.map(({ bank, pcrs }) => ({ hash: bankId(bank), pcrSelect: pcrs })),
      });
      const pcrs = await this.#readPcrs(selection);
      // After the quote: a list that lacks an entry which was quoted would look forged, one with more does not.
      const whole = readIfThere(this.#options.imaList ?? IMA_LIST);
      const boot = since?.resetCount === decodeQuote(quoted).clock.resetCount ? since : undefined;
      const rest = boot && whole && imaListAfter(whole, boot.entries);
      const ima = rest ?? whole;
      const device = await this.#deviceEvidence(ak.publicArea, nonce);
      const evidence = encodeMachineEvidence({
        quoted,
        signature: encode(TPMT_SIGNATURE, signature),
        akPublic: ak.publicArea,
        eventLog: this.#bootLog(),
        pcrs,
        ...(ima !== undefined && { ima }),
        ...((certificates ?? device) && { certificates: { ...certificates, ...device } }),
      });
      return { evidence, since: rest === undefined ? undefined : since };
    });
  }

  /** One attestation. After the first, only what IMA's list has gained is sent, unless the verifier wants all of it. */
  async attest(): Promise<AttestReply> {
    const since = this.#shown;
    this.#shown = undefined;
    try {
      return await this.#attestSince(since);
    } catch (error) {
      if (!(error instanceof VerifierRefusal) || error.code !== 'evidence-partial') throw error;
      return this.#attestSince(undefined);
    }
  }

  async #attestSince(shown: AttestReply['shown']): Promise<AttestReply> {
    const { verifier } = this.#options;
    const { id, nonce } = await verifier.challenge();
    const { evidence, since } = await this.#evidenceSince(nonce, shown);
    const reply = await verifier.attest(id, evidence, since);
    this.#shown = reply.shown;
    return reply;
  }

  /** Fetch a resource, encrypted on its way to a key that lives only for this call. */
  async fetch(resource: string): Promise<{ readonly content: Uint8Array; readonly release: ReleaseReply }> {
    const secretKey = x25519.utils.randomSecretKey();
    try {
      const key = x25519.getPublicKey(secretKey);
      const { id, nonce } = await this.#options.verifier.challenge();
      const evidence = await this.evidence(boundNonce(key, nonce));
      const release = await this.#options.verifier.release(resource, key, { challenge: id, evidence });
      const content = hpkeOpen(secretKey, release, RELEASE_INFO, new TextEncoder().encode(resource));
      return { content, release };
    } finally {
      secretKey.fill(0);
    }
  }

  /**
   * Reference values that accept this machine as it is now: record, review, then pin. With replacements, as it will be
   * when it has booted them, too; they need the boot log. Throws RangeError where the log does not foretell it.
   */
  async reference(replacements: readonly Replacement[] = []): Promise<MachineReference> {
    const ima = this.#imaRuns();
    const selection = this.#selection(ima);
    const values = await this.#readPcrs(selection);
    const pcrs = selection.map(({ bank, pcrs: indices }) => {
      // IMA's register differs after every boot; its list is what is appraised.
      const pinned = indices.filter((index) => index !== IMA_PCR);
      const entries = pinned.map((index) => [index, [toHex(values.get(bankId(bank))?.get(index) ?? EMPTY)]]);
      return [bank, Object.fromEntries(entries)];
    });
    const reference: MachineReference = {
      selection: selection.map(({ bank, pcrs: indices }) => ({ bank, pcrs: [...indices] })),
      pcrs: Object.fromEntries(pcrs),
      ...(ima && { ima: {} }),
    };
    return replacements.length === 0 ? reference : withReplacements(reference, this.#bootLog(), replacements);
  }

  /** Attest until stopped; after a failure wait twice as long, up to five minutes. */
  async run({ everySeconds, signal, observe, sleep = sleepFor }: RunOptions): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        observe(await this.attest());
        failures = 0;
      } catch (error) {
        if (!(error instanceof VerifierRefusal) && !(error instanceof AgentError)) throw error;
        failures += 1;
        observe(error);
      }
      const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 20));
      // Jitter: a fleet that lost its verifier does not come back all at once.
      await sleep((failures === 0 ? everySeconds * 1000 : delay) * (0.9 + Math.random() * 0.2), signal);
    }
  }

  #bootLog(): Uint8Array {
    return readIfThere(this.#options.eventLog ?? EVENT_LOG) ?? EMPTY;
  }

  #imaRuns(): boolean {
    return fs.existsSync(this.#options.imaList ?? IMA_LIST);
  }

  #selection(ima: boolean): readonly Selection[] {
    const pcrs = ima ? [...BOOT_PCRS, IMA_PCR] : BOOT_PCRS;
    return this.#options.selection ?? [{ bank: 'sha256', pcrs }];
  }

  async #readPcrs(selection: readonly Selection[]): Promise<PcrValues> {
    const banks = new Map<number, Map<number, Uint8Array>>();
    for (const { bank, pcrs } of selection) {
      const values = new Map<number, Uint8Array>();
      for (let from = 0; from < pcrs.length; from += PCRS_AT_ONCE) {
        const some = pcrs.slice(from, from + PCRS_AT_ONCE);
        const read = await this.#tpm.PCR_Read({ pcrSelectionIn: [{ hash: bankId(bank), pcrSelect: some }] });
        for (const [at, index] of (read.pcrSelectionOut[0]?.pcrSelect ?? []).entries()) {
          const value = read.pcrValues[at];
          if (value !== undefined) values.set(index, value);
        }
      }
      if (values.size !== pcrs.length) {
        throw new AgentError(
          'E_AGENT_BANK',
          `The TPM has no ${bank} bank for these registers.`,
          'Choose another bank.',
        );
      }
      banks.set(bankId(bank), values);
    }
    return banks;
  }
}

type BankId = Parameters<TpmClient['Quote']>[0]['PCRselect'][number]['hash'];

function bankId(name: Selection['bank']): BankId {
  // Every name of a `Selection` is a TPM hash.
  return hashByName(name)?.id as BankId;
}
