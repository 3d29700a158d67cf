/** CoRIM of a machine's registers and events, unsigned and signed, for tests. draft-ietf-rats-corim-08. */
import type { KeyObject } from 'node:crypto';
import { toHex } from '../../attestation/bytes.ts';
import { type CborValue, encodeCbor, Tag } from '../../attestation/cbor.ts';
import { signSign1 } from '../../attestation/cose/sign.ts';

/** IANA Named Information registry. */
const SHA_256 = 1;

export interface Manifest {
  readonly tagId?: string;
  readonly tagVersion?: number;
  readonly vendor?: string;
  /** PCR to the values it may have, SHA-256. */
  readonly registers?: Readonly<Record<number, readonly Uint8Array[]>>;
  /** PCR to the digests that may be measured into it. */
  readonly events?: Readonly<Record<number, readonly Uint8Array[]>>;
  readonly notAfter?: Date;
  readonly algorithm?: number | string;
}

const digests = (values: readonly Uint8Array[], algorithm: number | string) =>
  values.map((value): CborValue => [algorithm, value]);

/** An unsigned CoRIM with one CoMID. */
export function corim(manifest: Manifest): Uint8Array {
  const { registers = {}, events = {}, algorithm = SHA_256, notAfter } = manifest;
  const measurements: CborValue[] = [];
  if (Object.keys(registers).length > 0) {
    const values = Object.entries(registers).map(([pcr, list]) => [Number(pcr), digests(list, algorithm)] as const);
    measurements.push(new Map<number, CborValue>([[1, new Map([[14, new Map(values)]])]]));
  }
  for (const [pcr, list] of Object.entries(events)) {
    measurements.push(
      new Map<number, CborValue>([
        [0, Number(pcr)],
        [1, new Map([[2, digests(list, algorithm)]])],
      ]),
    );
  }
  const environment = new Map([[0, new Map([[1, manifest.vendor ?? 'Example']])]]);
  const comid = new Map<number, CborValue>([
    [
      1,
      new Map<number, CborValue>([
        [0, manifest.tagId ?? 'firmware'],
        [1, manifest.tagVersion ?? 1],
      ]),
    ],
    [4, new Map([[0, [[environment, measurements]]]])],
  ]);
  const document = new Map<number, CborValue>([
    [0, 'example-manifest'],
    [1, [new Tag(encodeCbor(comid), 506)]],
  ]);
  if (notAfter !== undefined) document.set(4, new Map([[1, new Tag(notAfter.getTime() / 1000, 1)]]));
  return encodeCbor(new Tag(document, 501));
}

/** The same, signed; with the signer's certificates, where there are some. */
export function signedCorim(manifest: Manifest, key: KeyObject, chain: readonly Uint8Array[] = []): Uint8Array {
  const meta = encodeCbor(new Map([[0, new Map([[0, 'Example']])]]));
  const headers = new Map<number, CborValue>([
    [3, 'application/rim+cbor'],
    [8, meta],
    ...(chain.length === 0 ? [] : [[33, chain] as const]),
  ]);
  return signSign1(corim(manifest), key, headers);
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(toHex(bytes), 'hex').toString('base64');
