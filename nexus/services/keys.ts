/**
 * Keys of the nexus, all derived from its root secret, which the platform TPM releases only to this nexus build under
 * this launch policy. HKDF-SHA256 (RFC 5869) with an empty salt; info = purpose || 0x00 || selector.
 */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';

export const ROOT_SECRET_SIZE = 32;

/** Whom a sealing key belongs to. */
export type SealSelector =
  | { readonly kind: 'identity'; readonly identity: Uint8Array }
  /** Any code of this signer (digest of its public key) whose security version is at least `minimumSvn`. */
  | { readonly kind: 'signer'; readonly signer: Uint8Array; readonly minimumSvn: number };

/** What a partition's keys are for: the state of its TPM, its snapshots, its disk. */
export type PartitionPurpose = 'tpm' | 'snapshot' | 'volume';

export class NexusKeys {
  private readonly root: Uint8Array;
  private counters: Uint8Array | undefined;
  private attestation: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined;

  /** Takes ownership of the root secret; `destroy` zeroes it. */
  constructor(root: Uint8Array) {
    if (root.length !== ROOT_SECRET_SIZE) throw new RangeError(`root secret of ${root.length} bytes`);
    this.root = root;
  }

  /** AES-256 key for blobs sealed to `selector`. The caller zeroes it after use. */
  sealingKey(selector: SealSelector): Uint8Array {
    return selector.kind === 'identity'
      ? this.derive('nexus-tcb seal to identity v1', selector.identity)
      : this.derive('nexus-tcb seal to signer v1', Buffer.concat([selector.signer, u32(selector.minimumSvn)]));
  }

  /** AES-256 key of what the operator seals to this platform and nexus (`nexus seal`). */
  operatorKey(): Uint8Array {
    return this.derive('nexus-tcb seal to platform v1', new Uint8Array());
  }

  /** 32 bytes of key for what the nexus keeps for the partition `owner` (32 bytes). The caller zeroes it after use. */
  partitionKey(purpose: PartitionPurpose, owner: Uint8Array): Uint8Array {
    return this.derive(`nexus-tcb partition ${purpose} v1`, owner);
  }

  /** HMAC key that authenticates the records of counters. The same array each time; zeroed by `destroy`. */
  counterKey(): Uint8Array {
    this.counters ??= this.derive('nexus-tcb counters v1', new Uint8Array());
    return this.counters;
  }

  /** The ECDSA P-256 key that signs reports; the same for the life of the root secret. */
  attestationKey(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
    if (this.attestation === undefined) {
      const seed = this.derive('nexus-tcb attestation key v1', new Uint8Array(), p256.lengths.seed);
      const { secretKey } = p256.keygen(seed);
      const point = p256.getPublicKey(secretKey, false);
      const coordinate = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
      const privateKey = createPrivateKey({
        format: 'jwk',
        key: {
          kty: 'EC',
          crv: 'P-256',
          x: coordinate(point.subarray(1, 33)),
          y: coordinate(point.subarray(33)),
          d: coordinate(secretKey),
        },
      });
      seed.fill(0);
      secretKey.fill(0);
      this.attestation = { privateKey, publicKey: createPublicKey(privateKey) };
    }
    return this.attestation;
  }

  destroy(): void {
    this.root.fill(0);
    this.counters?.fill(0);
    this.attestation = undefined;
  }

  private derive(purpose: string, selector: Uint8Array, length = 32): Uint8Array {
    const info = Buffer.concat([Buffer.from(purpose), Buffer.of(0), selector]);
    return new Uint8Array(hkdfSync('sha256', this.root, new Uint8Array(), info, length));
  }
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
