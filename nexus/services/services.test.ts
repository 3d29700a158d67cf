import { beforeEach, describe, expect, test } from 'vitest';
import { CALLS, type CallName, dispatch, KIND_STANDARD, KIND_TRUSTED, ROOT, reset } from '../core/index.ts';
import { SEAL_TO_IDENTITY, SERVICE, SERVICE_ERROR } from './abi.ts';
import { NexusKeys, ROOT_SECRET_SIZE } from './keys.ts';
import type { ServiceError } from './requests.ts';
import { PartitionServices, type TrustedCode } from './services.ts';

const TRUSTED = 1;
const STANDARD = 2;
const bytes = (value: number) => new Uint8Array(32).fill(value);
const code: TrustedCode = {
  ...{ identity: bytes(1), signer: bytes(2), svn: 1 },
  ...{ measurement: bytes(3), debug: false, counterOwner: bytes(4) },
};
const platform = {
  keys: new NexusKeys(new Uint8Array(ROOT_SECRET_SIZE).fill(9)),
  random: async (count: number) => new Uint8Array(count),
  report: async () => new Uint8Array(1),
  readCounter: () => 0n,
  incrementCounter: async () => 1n,
};
const relay = { handle: async () => new Uint8Array() };

/** A call of the root that must succeed. */
const root = (name: CallName, ...args: number[]) => {
  const [a = 0, b = 0, c = 0] = args;
  expect(dispatch(CALLS[name].number, ROOT, a, b, c, 0, 0, 0), name).toBe(0);
};

/** Services whose gate is the core's; `has` is given even to who must not use it. */
const services = (partition: number, has: { readonly code?: TrustedCode } = { code }) =>
  new PartitionServices('guest', has.code, platform, relay, (kind, locality) => {
    return dispatch(CALLS.gate.number, partition, kind, locality, 0, 0, 0, 0) === 0;
  });

const REQUESTS: readonly (readonly [string, number, Uint8Array])[] = [
  ['report', SERVICE.REPORT, Uint8Array.of(8, ...new Uint8Array(8 + 64))],
  ['seal', SERVICE.SEAL, Uint8Array.of(SEAL_TO_IDENTITY, 0, 0, 0, 0, 0, 0, 0, 5)],
  ['counter', SERVICE.COUNTER, new Uint8Array(8)],
  ['identity', SERVICE.IDENTITY, new Uint8Array()],
];
const RANDOM = [SERVICE.RANDOM, Uint8Array.of(4, 0, 0, 0)] as const;

const refused = (work: Promise<unknown>) =>
  expect(work).rejects.toMatchObject({ serviceCode: SERVICE_ERROR.DENIED } satisfies Partial<ServiceError>);

describe('who is served is for the core to say', () => {
  beforeEach(() => {
    reset();
    for (const [partition, kind] of [
      [TRUSTED, KIND_TRUSTED],
      [STANDARD, KIND_STANDARD],
    ] as const) {
      root('partitionCreate', partition, kind, 0);
      root('partitionSeal', partition);
    }
  });

  test.each(REQUESTS)('%s: to a trusted partition that runs, and to nobody else', async (_name, call, input) => {
    await refused(services(TRUSTED).handle(call, input));
    root('partitionRun', TRUSTED);
    root('partitionRun', STANDARD);
    expect(await services(TRUSTED).handle(call, input)).toBeInstanceOf(Uint8Array);
    await refused(services(STANDARD).handle(call, input));
    await refused(services(TRUSTED, {}).handle(call, input));
    root('partitionPause', TRUSTED);
    await refused(services(TRUSTED).handle(call, input));
  });

  test('randomness: to every partition that runs', async () => {
    await refused(services(STANDARD).handle(...RANDOM));
    root('partitionRun', STANDARD);
    expect(await services(STANDARD).handle(...RANDOM)).toHaveLength(4);
    root('partitionStop', STANDARD);
    await refused(services(STANDARD).handle(...RANDOM));
  });
});
