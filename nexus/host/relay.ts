/**
 * What the untrusted root does for its guests: carry messages to a verifier, keep blobs, say what is wanted, print
 * results. Nothing here is trusted by a partition; a root that lies is noticed by the guest or by the verifier.
 */
import { createHash } from 'node:crypto';
import { type VerifierClient, VerifierRefusal } from '../../attestation/client.ts';
import { SERVICE_ERROR } from '../services/abi.ts';
import { type RelayRequest, ServiceError } from '../services/requests.ts';
import type { HostEvent, HostObserver } from './events.ts';
import type { HostStore } from './store.ts';
import type { VerifierLink } from './verifier-link.ts';

/** The most that one partition may store, bytes per blob. */
export const BLOB_MAX = 128 * 1024;
const BLOBS_PER_PARTITION = 256;

export class Relay {
  private readonly name: string;
  private readonly mode: string;
  private readonly verifier: VerifierLink | undefined;
  private readonly store: HostStore;
  private readonly observe: HostObserver;
  /** The verifier's name of the last challenge that this partition asked for. */
  private challenge: string | undefined;

  constructor(
    partition: { readonly name: string; readonly mode: string },
    verifier: VerifierLink | undefined,
    store: HostStore,
    observe: HostObserver,
  ) {
    this.name = partition.name;
    this.mode = partition.mode;
    this.verifier = verifier;
    this.store = store;
    this.observe = observe;
  }

  /** Do what the guest asks and return the reply's bytes. Throws ServiceError. */
  async handle(request: RelayRequest): Promise<Uint8Array> {
    switch (request.operation) {
      case 'challenge':
        return this.getChallenge();
      case 'release':
        return this.getRelease(request);
      case 'store':
        return this.storeBlob(request.name, request.blob);
      case 'load':
        return this.loadBlob(request.name);
      case 'result':
        this.tell({ kind: 'result', name: this.name, line: request.line });
        return new Uint8Array();
      case 'mode':
        return Buffer.from(this.mode);
    }
  }

  private async getChallenge(): Promise<Uint8Array> {
    const { id, nonce } = await this.ask((verifier) => verifier.challenge());
    this.challenge = id;
    return nonce;
  }

  private async getRelease(request: Extract<RelayRequest, { operation: 'release' }>): Promise<Uint8Array> {
    const { challenge } = this;
    if (challenge === undefined) throw failed('no challenge was asked for');
    this.challenge = undefined; // a nonce serves once
    this.tell({ kind: 'evidence', name: this.name, evidence: Buffer.from(request.evidence).toString('hex') });
    const { result, state } = await this.ask((verifier) => verifier.attest(challenge, request.evidence));
    const { enc, ciphertext } = await this.ask((verifier) =>
      verifier.release(request.resource, request.guestKey, { result }),
    );
    this.tell({ kind: 'verdict', name: this.name, released: true, ear: result, detail: state });
    return Buffer.concat([enc, ciphertext]);
  }

  /** A partition writes under its own name only, so that no guest destroys another's blobs; reading is open to all. */
  private async storeBlob(name: string, blob: Uint8Array): Promise<Uint8Array> {
    const own = `${this.name}/`;
    if (!name.startsWith(own)) throw failed(`${this.name} stores under ${own} only`);
    if (blob.length > BLOB_MAX) throw failed(`a blob of ${blob.length} bytes; at most ${BLOB_MAX}`);
    const existing = this.store.blobNames().filter((other) => other.startsWith(own));
    if (existing.length >= BLOBS_PER_PARTITION && !existing.includes(name)) {
      throw failed(`${BLOBS_PER_PARTITION} blobs are stored already`);
    }
    await this.store.putBlob(name, blob);
    const digest = createHash('sha256').update(blob).digest('hex');
    this.tell({ kind: 'durable', name: this.name, what: 'blob', detail: `${name} ${digest}` });
    return new Uint8Array();
  }

  private loadBlob(name: string): Uint8Array {
    const blob = this.store.blob(name);
    if (blob === undefined) throw failed(`nothing is stored as ${name}`);
    return blob;
  }

  private async ask<T>(question: (verifier: VerifierClient) => Promise<T>): Promise<T> {
    if (this.verifier === undefined) throw failed('no verifier is configured');
    try {
      return await question(await this.verifier.ready());
    } catch (error) {
      if (!(error instanceof VerifierRefusal)) throw error;
      const { code, message, failed: names } = error;
      this.tell({ kind: 'verdict', name: this.name, released: false, code, detail: message, failed: names });
      throw failed([code, message, ...names].join('; '));
    }
  }

  private tell(event: HostEvent): void {
    this.observe(event);
  }
}

const failed = (message: string) => new ServiceError(SERVICE_ERROR.RELAY_FAILED, message);
