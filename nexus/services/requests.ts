/**
 * Service requests, parsed from a guest's buffer into typed values and answered. The buffer was copied once at the
 * trap, so a guest that changes it meanwhile changes nothing here. Every length is checked before it is used.
 */
import { RELAY, SEAL_FLAG_ROLLBACK, SEAL_TO_IDENTITY, SEAL_TO_SIGNER, SERVICE, SERVICE_ERROR } from './abi.ts';

export const USER_DATA_SIZE = 64;
export const NONCE_MIN = 8;
export const NONCE_MAX = 64;
export const RANDOM_MAX = 4096;
const NAME_MAX = 128;
const GUEST_KEY_MAX = 256;

export type ServiceRequest =
  | { readonly service: 'report'; readonly nonce: Uint8Array; readonly userData: Uint8Array }
  | {
      readonly service: 'seal';
      readonly selector: 'identity' | 'signer';
      readonly rollbackProtected: boolean;
      readonly minimumSvn: number;
      readonly data: Uint8Array;
    }
  | { readonly service: 'unseal'; readonly blob: Uint8Array }
  | { readonly service: 'counter'; readonly index: number; readonly increment: boolean }
  | { readonly service: 'random'; readonly count: number }
  | { readonly service: 'identity' }
  | { readonly service: 'relay'; readonly relay: RelayRequest };

/** A message to the untrusted root. */
export type RelayRequest =
  | { readonly operation: 'challenge' }
  | {
      readonly operation: 'release';
      readonly resource: string;
      readonly guestKey: Uint8Array;
      readonly evidence: Uint8Array;
    }
  | { readonly operation: 'store'; readonly name: string; readonly blob: Uint8Array }
  | { readonly operation: 'load'; readonly name: string }
  | { readonly operation: 'result'; readonly line: string }
  | { readonly operation: 'mode' };

/** Why a service call failed; the code is one of SERVICE_ERROR and reaches the guest. */
export class ServiceError extends Error {
  readonly serviceCode: number;
  constructor(serviceCode: number, message: string) {
    super(message);
    this.name = 'ServiceError';
    this.serviceCode = serviceCode;
  }
}

/** Parse the input of service `call` (SERVICE.*). Throws ServiceError UNKNOWN or BAD_INPUT. */
export function parseRequest(call: number, input: Uint8Array): ServiceRequest {
  const reader = new Reader(input);
  switch (call) {
    case SERVICE.REPORT: {
      const nonce = reader.bytes(inRange(reader.u8(), NONCE_MIN, NONCE_MAX, 'nonce length'));
      const userData = reader.bytes(USER_DATA_SIZE);
      reader.end();
      return { service: 'report', nonce, userData };
    }
    case SERVICE.SEAL: {
      const selector = reader.u8();
      const flags = reader.u8();
      const reserved = reader.u16();
      const minimumSvn = reader.u32();
      if (selector !== SEAL_TO_IDENTITY && selector !== SEAL_TO_SIGNER) throw badInput(`selector ${selector}`);
      if ((flags & ~SEAL_FLAG_ROLLBACK) !== 0 || reserved !== 0) throw badInput('reserved bits are set');
      return {
        service: 'seal',
        selector: selector === SEAL_TO_IDENTITY ? 'identity' : 'signer',
        rollbackProtected: (flags & SEAL_FLAG_ROLLBACK) !== 0,
        minimumSvn,
        data: reader.rest(),
      };
    }
    case SERVICE.UNSEAL:
      return { service: 'unseal', blob: reader.rest() };
    case SERVICE.COUNTER: {
      const index = reader.u32();
      const operation = inRange(reader.u32(), 0, 1, 'counter operation');
      reader.end();
      return { service: 'counter', index, increment: operation === 1 };
    }
    case SERVICE.RANDOM: {
      const count = inRange(reader.u32(), 1, RANDOM_MAX, 'count');
      reader.end();
      return { service: 'random', count };
    }
    case SERVICE.IDENTITY:
      reader.end();
      return { service: 'identity' };
    case SERVICE.RELAY:
      return { service: 'relay', relay: parseRelay(reader) };
    default:
      throw new ServiceError(SERVICE_ERROR.UNKNOWN, `no service 0x${call.toString(16)}`);
  }
}

function parseRelay(reader: Reader): RelayRequest {
  const operation = reader.u8();
  switch (operation) {
    case RELAY.CHALLENGE:
      reader.end();
      return { operation: 'challenge' };
    case RELAY.RELEASE: {
      const resource = reader.name();
      const guestKey = reader.bytes(inRange(reader.u16(), 1, GUEST_KEY_MAX, 'key length'));
      return { operation: 'release', resource, guestKey, evidence: reader.rest() };
    }
    case RELAY.STORE:
      return { operation: 'store', name: reader.name(), blob: reader.rest() };
    case RELAY.LOAD: {
      const name = reader.name();
      reader.end();
      return { operation: 'load', name };
    }
    case RELAY.RESULT:
      return { operation: 'result', line: printable(reader.rest()) };
    case RELAY.MODE:
      reader.end();
      return { operation: 'mode' };
    default:
      throw badInput(`relay operation ${operation}`);
  }
}

/** Little-endian cursor over a guest's buffer; every overrun is BAD_INPUT. */
class Reader {
  private readonly input: Uint8Array;
  private readonly view: DataView;
  private offset = 0;
  constructor(input: Uint8Array) {
    this.input = input;
    this.view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  }
  private take(length: number): number {
    const start = this.offset;
    if (length > this.input.length - start) throw badInput(`${length} bytes wanted at offset ${start}`);
    this.offset += length;
    return start;
  }
  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  bytes(length: number): Uint8Array {
    const start = this.take(length);
    return this.input.subarray(start, start + length);
  }
  /** u16 length, then ASCII letters, digits, and `. _ - /`. */
  name(): string {
    const text = Buffer.from(this.bytes(inRange(this.u16(), 1, NAME_MAX, 'name length'))).toString('latin1');
    if (!/^[A-Za-z0-9._/-]+$/.test(text)) throw badInput('a name has other characters than letters, digits, . _ - /');
    return text;
  }
  rest(): Uint8Array {
    return this.bytes(this.input.length - this.offset);
  }
  end(): void {
    if (this.offset !== this.input.length) throw badInput(`${this.input.length - this.offset} bytes too many`);
  }
}

/** A guest's text as one line that is safe on a terminal. */
function printable(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 1024))
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, '.');
}

function inRange(value: number, minimum: number, maximum: number, what: string): number {
  if (value < minimum || value > maximum) throw badInput(`${what} ${value} is not in ${minimum}..${maximum}`);
  return value;
}

const badInput = (message: string) => new ServiceError(SERVICE_ERROR.BAD_INPUT, message);
