/**
 * Every response code that Part 3 lists for a command, each from the situation that it is for, with its number. The same
 * cases are held against the distribution's swtpm by `refusals-swtpm.test.ts`.
 */
import { describe, expect, it } from 'vitest';
import { TpmClient, TpmResponseError } from '../../client/index.ts';
import { rcName } from '../../structures/index.ts';
import { Tpm } from '../../tpm.ts';
import { Bench, expectedCode } from './bench.test-support.ts';
import { cases } from './cases.test-support.ts';
import { LISTED, UNREACHABLE } from './listed.test-support.ts';

async function bench(): Promise<Bench> {
  let now = 0;
  const tpm = await Tpm.create({
    clock: () => now,
    onFault(fault) {
      throw fault;
    },
  });
  tpm.powerOn();
  const made = new Bench({
    client: await TpmClient.of(tpm),
    restart: async () => tpm.powerOn(),
    advance: (milliseconds) => {
      now += milliseconds;
    },
  });
  await made.startup();
  return made;
}

const listed = Object.entries(LISTED).flatMap(([name, codes]) =>
  codes
    .split(' ')
    .filter(Boolean)
    .map((code) => `${name} ${code}`),
);
const tested = new Set(cases.map(([name, code]) => `${name} ${code}`));

describe(`refusals: ${listed.filter((each) => tested.has(each)).length} of ${listed.length} listed`, () => {
  it.each(cases)('%s: TPM_RC_%s %s, %s', async (...each) => {
    const [command, , , , provoke] = each;
    const refusal = await provoke(await bench()).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(refusal instanceof TpmResponseError)) throw refusal ?? new Error('it was not refused');
    expect(`${refusal.command}: ${rcName(refusal.code)}`).toBe(`${command}: ${rcName(expectedCode(each))}`);
  });

  it('has a case, or a reason why there is none, for every code that is listed', () => {
    expect(listed.filter((each) => !tested.has(each) && UNREACHABLE[each] === undefined)).toEqual([]);
  });

  it('gives no reason for what is tested, or not listed', () => {
    expect(Object.keys(UNREACHABLE).filter((each) => tested.has(each) || !listed.includes(each))).toEqual([]);
  });
});
