import { describe, expect, test } from 'vitest';
import {
  ALG,
  CC,
  command,
  EMPTY,
  NO_SCHEME,
  open,
  RH,
  selection,
  sensitive,
  sized,
  template,
  u8,
  u16,
  u32,
} from '../../test/support/tpm-wire.ts';
import { Tpm } from '../tpm.ts';
import { MemoryStore } from './store.ts';

const extend = (pcr: number) => command(CC.PCR_Extend, [pcr], 1, u32(1), u16(ALG.SHA256), new Uint8Array(32).fill(7));
const read = (pcr: number) => command(CC.PCR_Read, [], 0, selection([pcr]));
const startup = command(CC.Startup, [], 0, u16(0));

async function running(store = new MemoryStore()): Promise<Tpm> {
  const tpm = await Tpm.create({ store, clock: () => 5000 });
  tpm.powerOn();
  open(await tpm.execute(startup));
  return tpm;
}

describe('state that leaves a TPM and comes back', () => {
  test('another TPM continues where the first one was: PCR, objects, sessions', async () => {
    const first = await running();
    open(await first.execute(extend(4)));
    const made = await first.execute(
      command(CC.CreatePrimary, [RH.OWNER], 1, sensitive(), template.eccStorage(), EMPTY, u32(0)),
    );
    const { handle } = open(made, true);
    const session = command(
      CC.StartAuthSession,
      [RH.NULL, RH.NULL],
      0,
      sized(new Uint8Array(16)),
      EMPTY,
      u8(1),
      NO_SCHEME,
      u16(ALG.SHA256),
    );
    const policy = open(await first.execute(session), true).handle;
    const readPublic = command(CC.ReadPublic, [handle], 0);
    const restart = command(0x180, [policy], 0); // TPM2_PolicyRestart
    const answers = await Promise.all([read(4), readPublic, restart].map((bytes) => first.execute(bytes)));

    const second = await Tpm.create({ clock: () => 90_000 });
    await second.restore({ permanent: first.exportPermanent(), volatile: first.exportVolatile() });
    second.powerOn();
    expect(second.exportVolatile()).toEqual(first.exportVolatile());
    expect(await Promise.all([read(4), readPublic, restart].map((bytes) => second.execute(bytes)))).toEqual(answers);
    expect(second.exportPermanent()).toEqual(first.exportPermanent());
  });

  test('volatile state is continued from once; the next power cycle begins anew', async () => {
    const tpm = await running();
    open(await tpm.execute(extend(4)));
    const volatile = tpm.exportVolatile();
    tpm.powerOff();
    await tpm.restore({ volatile });
    tpm.powerOn();
    open(await tpm.execute(read(4)));
    tpm.powerOff();
    tpm.powerOn();
    await expect(tpm.execute(read(4)).then((response) => open(response))).rejects.toThrow('0x100'); // TPM_RC_INITIALIZE
  });

  test('a byte changed anywhere, a byte less, a byte more: refused, and nothing has changed', async () => {
    const tpm = await running();
    const permanent = tpm.exportPermanent();
    const volatile = tpm.exportVolatile();
    tpm.powerOff();
    const damages: ((bytes: Uint8Array) => Uint8Array)[] = [
      (bytes) => bytes.subarray(1),
      (bytes) => bytes.subarray(0, -1),
      (bytes) => Uint8Array.of(...bytes, 0),
      () => new Uint8Array(0),
      ...Array.from({ length: 40 }, (_, i) => (bytes: Uint8Array) => {
        const copy = bytes.slice();
        const at = Math.floor((i * bytes.length) / 40);
        copy[at] = (copy[at] ?? 0) ^ 1;
        return copy;
      }),
    ];
    for (const damage of damages) {
      await expect(tpm.restore({ permanent: damage(permanent) })).rejects.toMatchObject({ code: 'E_STATE_FORMAT' });
      await expect(tpm.restore({ volatile: damage(volatile) })).rejects.toMatchObject({ code: 'E_STATE_FORMAT' });
    }
    expect(tpm.exportPermanent()).toEqual(permanent);
  });

  test('a running TPM is not replaced', async () => {
    const tpm = await running();
    await expect(tpm.restore({ permanent: tpm.exportPermanent() })).rejects.toThrow('powered off');
  });
});
