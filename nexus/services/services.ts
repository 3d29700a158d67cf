/** The services of the nexus to one partition: what is asked is parsed, judged, done, and encoded as the ABI says. */
import { GATE_READ, GATE_USE, LOCALITY_STANDARD, LOCALITY_TRUSTED } from '../core/index.ts';
import { SERVICE_ERROR } from './abi.ts';
import type { NexusKeys, SealSelector } from './keys.ts';
import { parseRequest, type RelayRequest, ServiceError, type ServiceRequest } from './requests.ts';
import { type CodeIdentity, sealBlob, unsealBlob } from './sealing.ts';

/** A trusted partition as it was launched. */
export interface TrustedCode extends CodeIdentity {
  readonly measurement: Uint8Array;
  readonly debug: boolean;
  /** Names this code's counters: they are shared by all versions of (signer, manifest name). */
  readonly counterOwner: Uint8Array;
}

/** What the services need of the platform. */
export interface ServicePlatform {
  readonly keys: NexusKeys;
  random(count: number): Promise<Uint8Array>;
  /** Evidence (docs/evidence.md) of the platform and of `code`, over the verifier's nonce. */
  report(name: string, code: TrustedCode, nonce: Uint8Array, userData: Uint8Array): Promise<Uint8Array>;
  readCounter(owner: Uint8Array, index: number): bigint;
  /** Durable when it resolves. */
  incrementCounter(owner: Uint8Array, index: number): Promise<bigint>;
}

/** The untrusted root's side. */
export interface ServiceRelay {
  handle(request: RelayRequest): Promise<Uint8Array>;
}

/** The core's word on what this partition may do with the platform's TPM: its call `gate`. */
export type ServiceGate = (kind: number, locality: number) => boolean;

/** Counters that a partition has. */
export const COUNTERS_PER_PARTITION = 8;
/** The counter that rollback-protected blobs are bound to. */
const SEAL_COUNTER = 0;
/** COSE headers carry the counter as an integer that every decoder reads exactly. */
const COUNTER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export class PartitionServices {
  private readonly name: string;
  private readonly code: TrustedCode | undefined;
  private readonly platform: ServicePlatform;
  private readonly relay: ServiceRelay;
  private readonly gate: ServiceGate;

  /** `code` is absent for a standard partition, which may use randomness and the relay only. */
  constructor(
    name: string,
    code: TrustedCode | undefined,
    platform: ServicePlatform,
    relay: ServiceRelay,
    gate: ServiceGate,
  ) {
    this.gate = gate;
    this.name = name;
    this.code = code;
    this.platform = platform;
    this.relay = relay;
  }

  /** Serve one call; returns the output buffer. Throws ServiceError with the code for the guest. */
  async handle(call: number, input: Uint8Array): Promise<Uint8Array> {
    const request = parseRequest(call, input);
    switch (request.service) {
      case 'random':
        this.require(GATE_READ, LOCALITY_STANDARD, request.service);
        return this.platform.random(request.count);
      case 'relay':
        return this.relay.handle(request.relay);
      default:
        this.require(GATE_USE, LOCALITY_TRUSTED, request.service);
        return this.trusted(request, this.requireCode(request.service));
    }
  }

  /** Who may use the platform's keys is for the core to say, which is proved. */
  private require(kind: number, locality: number, service: string): void {
    if (this.gate(kind, locality)) return;
    throw new ServiceError(SERVICE_ERROR.DENIED, `the core refuses ${service} to ${this.name}`);
  }

  private async trusted(
    request: Exclude<ServiceRequest, { service: 'random' | 'relay' }>,
    code: TrustedCode,
  ): Promise<Uint8Array> {
    const { keys } = this.platform;
    switch (request.service) {
      case 'report':
        return this.platform.report(this.name, code, request.nonce, request.userData);
      case 'identity':
        return encode(code.identity, u32(code.svn), u32(code.debug ? 1 : 0));
      case 'seal': {
        const selector: SealSelector =
          request.selector === 'identity'
            ? { kind: 'identity', identity: code.identity }
            : { kind: 'signer', signer: code.signer, minimumSvn: request.minimumSvn };
        const counter = request.rollbackProtected
          ? this.platform.readCounter(code.counterOwner, SEAL_COUNTER) + 1n
          : undefined;
        return sealBlob(keys, code, selector, counter, request.data);
      }
      case 'unseal': {
        const counter = this.platform.readCounter(code.counterOwner, SEAL_COUNTER);
        const unsealed = unsealBlob(keys, code, counter, request.blob);
        const low = Number((unsealed.counter ?? 0n) & 0xffffffffn);
        return encode(unsealed.sealer, u32(unsealed.sealerSvn), u32(low), unsealed.data);
      }
      case 'counter': {
        if (request.index >= COUNTERS_PER_PARTITION) {
          throw new ServiceError(SERVICE_ERROR.BAD_INPUT, `counter ${request.index} of ${COUNTERS_PER_PARTITION}`);
        }
        return u64(await this.count(code, request.index, request.increment));
      }
    }
  }

  private async count(code: TrustedCode, index: number, increment: boolean): Promise<bigint> {
    const value = this.platform.readCounter(code.counterOwner, index);
    if (!increment) return value;
    if (value >= COUNTER_MAX) throw new ServiceError(SERVICE_ERROR.DENIED, `counter ${index} is exhausted`);
    return this.platform.incrementCounter(code.counterOwner, index);
  }

  private requireCode(service: string): TrustedCode {
    if (this.code !== undefined) return this.code;
    throw new ServiceError(SERVICE_ERROR.DENIED, `${service} is for trusted partitions; ${this.name} is standard`);
  }
}

/** Little-endian, as everything in the ABI. */
function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

const encode = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
