import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RELAY, SERVICE, SERVICE_ERROR } from './abi.ts';
import { parseRequest, ServiceError } from './requests.ts';

const codeOf = (call: number, input: Uint8Array): number | undefined => {
  try {
    parseRequest(call, input);
    return undefined;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return error.serviceCode;
  }
};
const ascii = (text: string) => Buffer.from(text);
const named = (operation: number, name: string, ...rest: number[]) =>
  Uint8Array.from([operation, name.length & 0xff, name.length >> 8, ...ascii(name), ...rest]);

describe('service requests', () => {
  test('a report takes a nonce of 8 to 64 bytes and exactly 64 bytes of user data', () => {
    const report = (nonce: number, userData: number) => Uint8Array.from([nonce, ...new Uint8Array(nonce + userData)]);
    expect(parseRequest(SERVICE.REPORT, report(32, 64))).toMatchObject({ service: 'report' });
    for (const [nonce, userData] of [
      [7, 64],
      [65, 64],
      [32, 63],
      [32, 65],
    ] as const) {
      expect(codeOf(SERVICE.REPORT, report(nonce, userData))).toBe(SERVICE_ERROR.BAD_INPUT);
    }
  });

  test('seal refuses unknown selectors and reserved bits', () => {
    const seal = (selector: number, flags = 0, reserved = 0) =>
      Uint8Array.from([selector, flags, reserved, 0, 7, 0, 0, 0, 1, 2, 3]);
    expect(parseRequest(SERVICE.SEAL, seal(1, 1))).toEqual({
      service: 'seal',
      selector: 'signer',
      rollbackProtected: true,
      minimumSvn: 7,
      data: Uint8Array.of(1, 2, 3),
    });
    for (const bad of [seal(2), seal(0, 2), seal(0, 0, 1), seal(0).subarray(0, 7)]) {
      expect(codeOf(SERVICE.SEAL, bad)).toBe(SERVICE_ERROR.BAD_INPUT);
    }
  });

  test('a name in a relay message cannot leave its alphabet', () => {
    expect(parseRequest(SERVICE.RELAY, named(RELAY.LOAD, 'vault/identity'))).toEqual({
      service: 'relay',
      relay: { operation: 'load', name: 'vault/identity' },
    });
    for (const bad of ['', 'a b', 'a\0', 'é', 'x'.repeat(129)]) {
      expect(codeOf(SERVICE.RELAY, named(RELAY.LOAD, bad))).toBe(SERVICE_ERROR.BAD_INPUT);
    }
    expect(codeOf(SERVICE.RELAY, named(RELAY.LOAD, 'a', 0))).toBe(SERVICE_ERROR.BAD_INPUT);
  });

  test("a guest's line reaches the terminal without control characters", () => {
    const line = Uint8Array.from([RELAY.RESULT, ...ascii('ok\x1b[2J\n')]);
    expect(parseRequest(SERVICE.RELAY, line)).toEqual({
      service: 'relay',
      relay: { operation: 'result', line: 'ok.[2J.' },
    });
  });

  test('an unknown service is refused as such', () => {
    expect(codeOf(0x1ff, new Uint8Array())).toBe(SERVICE_ERROR.UNKNOWN);
  });

  test('any bytes to any service are a request or a ServiceError', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0xff, max: 0x108 }), fc.uint8Array({ maxLength: 300 }), (call, input) => {
        codeOf(call, input);
      }),
      { numRuns: 2000 },
    );
  });
});
