/** PCR banks. Part 1, section 17; attributes from the PC Client Platform TPM Profile, table 9. */
import { concat, u16be, u32be } from '../crypto/bytes.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { TPML_PCR_SELECTION, TPMS_PCR_SELECTION } from '../structures/base.ts';
import { DIGEST_SIZE } from '../structures/constants.ts';

export const PCR_COUNT = 24;

interface PcrAttributes {
  /** Kept by Shutdown(STATE). */
  readonly saved: boolean;
  /** Localities that may reset and extend, one bit each. */
  readonly reset: number;
  readonly extend: number;
}

const attributes = (pcr: number): PcrAttributes => {
  if (pcr < 16) return { saved: true, reset: 0, extend: 0x1f };
  switch (pcr) {
    case 17:
    case 18:
      return { saved: false, reset: 0x10, extend: 0x1c };
    case 19:
      return { saved: false, reset: 0x10, extend: 0x0c };
    case 20:
      return { saved: false, reset: 0x14, extend: 0x0e };
    case 21:
    case 22:
      return { saved: false, reset: 0x14, extend: 0x04 };
    default:
      return { saved: false, reset: 0x0f, extend: 0x1f };
  }
};

export const PCR_ATTRIBUTES: readonly PcrAttributes[] = Array.from({ length: PCR_COUNT }, (_, pcr) => attributes(pcr));
/** Reset by _TPM_Hash_Start. */
export const isDrtmPcr = (pcr: number): boolean => pcr >= 17 && pcr <= 22;
/** Changes do not count: debug, and those of the static and dynamic operating system. */
export const isNoIncrement = (pcr: number): boolean => pcr === 16 || pcr >= 21;

/** In the one group that has an authorisation value and policy: 20-22, as in the reference. */
export const isAuthorizedPcr = (pcr: number): boolean => pcr >= 20 && pcr <= 22;

/** The PCR of one TPM, all banks. */
export class PcrBanks {
  readonly #crypto: CryptoProvider;
  /** Values by bank, then PCR. */
  banks = new Map<number, Uint8Array[]>();
  updateCounter = 0;

  constructor(crypto: CryptoProvider, algs: readonly number[]) {
    this.#crypto = crypto;
    this.allocate(algs.map((hash) => ({ hash: hash as TPMS_PCR_SELECTION['hash'], pcrSelect: allPcrs })));
  }

  /** Make the banks of an allocation, all at reset values. A bank without PCR does not exist. */
  allocate(allocation: TPML_PCR_SELECTION): void {
    this.banks = new Map(
      allocation
        .filter(({ pcrSelect }) => pcrSelect.length > 0)
        .map(({ hash }) => [hash, Array.from({ length: PCR_COUNT }, () => new Uint8Array(DIGEST_SIZE[hash]!))]),
    );
  }

  read(hash: number, pcr: number): Uint8Array | undefined {
    return this.banks.get(hash)?.[pcr];
  }

  set(pcr: number, fill: number): void {
    for (const [hash, values] of this.banks) values[pcr] = new Uint8Array(DIGEST_SIZE[hash]!).fill(fill);
  }

  /** Extend one PCR of one bank; nothing happens when the bank is not allocated. */
  extend(hash: number, pcr: number, digest: Uint8Array): void {
    const bank = this.banks.get(hash);
    if (bank === undefined) return;
    bank[pcr] = this.#crypto.hash(hash, bank[pcr]!, digest);
    this.changed(pcr);
  }

  changed(pcr: number): void {
    if (!isNoIncrement(pcr)) this.updateCounter = (this.updateCounter + 1) >>> 0;
  }

  /** Startup(CLEAR): PCR 0 starts at the locality of the start-up; 17-22 at all ones; the rest at zero. */
  startup(locality: number, keepSaved: boolean): void {
    for (let pcr = 0; pcr < PCR_COUNT; pcr++) {
      if (keepSaved && PCR_ATTRIBUTES[pcr]!.saved) continue;
      this.set(pcr, isDrtmPcr(pcr) ? 0xff : 0);
    }
    if (!keepSaved) {
      for (const values of this.banks.values()) values[0]![values[0]!.length - 1] = locality;
      this.updateCounter = 0;
    }
  }

  /** What of a selection exists: PCR that are not implemented drop out. Part 3, section 22.4. */
  filter(selection: TPML_PCR_SELECTION): TPML_PCR_SELECTION {
    return selection.map(({ hash, pcrSelect }) => ({
      hash,
      pcrSelect: this.banks.has(hash) ? pcrSelect.filter((pcr) => pcr < PCR_COUNT) : [],
    }));
  }

  /** H(concatenation of the selected PCR) and the selection as it was found. */
  digest(alg: number, selection: TPML_PCR_SELECTION): { digest: Uint8Array; selection: TPML_PCR_SELECTION } {
    const found = this.filter(selection);
    const values: Uint8Array[] = [];
    for (const { hash, pcrSelect } of found) for (const pcr of pcrSelect) values.push(this.banks.get(hash)![pcr]!);
    return { digest: this.#crypto.hash(alg, concat(...values)), selection: found };
  }
}

export const allPcrs: readonly number[] = Array.from({ length: PCR_COUNT }, (_, pcr) => pcr);

/** A selection as it enters a policy digest: TPML_PCR_SELECTION's bytes. */
export function selectionBytes(selection: TPML_PCR_SELECTION): Uint8Array {
  const octets = (pcrs: readonly number[]): Uint8Array => {
    const bits = pcrs.reduce((all, pcr) => all | (1 << pcr), 0);
    return Uint8Array.of(3, bits, bits >> 8, bits >> 16);
  };
  return concat(
    u32be(selection.length),
    ...selection.map(({ hash, pcrSelect }) => concat(u16be(hash), octets(pcrSelect))),
  );
}
