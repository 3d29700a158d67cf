import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeTpm } from '../fake-tpm.test-support.ts';
import { TPM_LOCALITY_SIZE } from '../tpm-backend.ts';
import type { TpmInterfaceState } from '../tpm-shared.ts';
import { TpmTis } from './device.ts';
import { ACCESS, FIFO_SIZE, REG, STS, STS3 } from './registers.ts';

const at = (locality: number, register: number) => locality * TPM_LOCALITY_SIZE + register;
const read32 = (tis: TpmTis, offset: number) =>
  [0, 1, 2, 3].reduce((word, i) => (word | (tis.read8(offset + i) << (8 * i))) >>> 0, 0);
const status = (tis: TpmTis, locality = 0) => read32(tis, at(locality, REG.STS)) & 0xff;
const burst = (tis: TpmTis, locality = 0) => (read32(tis, at(locality, REG.STS)) >>> 8) & 0xffff;
const request = (tis: TpmTis, locality = 0) => tis.write8(at(locality, REG.ACCESS), ACCESS.REQUEST_USE);
const sts = (tis: TpmTis, value: number, locality = 0) => tis.write8(at(locality, REG.STS), value);
const send = (tis: TpmTis, bytes: Uint8Array, locality = 0) => {
  for (const byte of bytes) tis.write8(at(locality, REG.DATA_FIFO), byte);
};
const receive = (tis: TpmTis, length: number, locality = 0) =>
  Uint8Array.from({ length }, () => tis.read8(at(locality, REG.DATA_FIFO)));

const COMMAND = Uint8Array.of(0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0);
const RESPONSE = Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0);

/** A model in a given state of the diagram, locality 0 active. */
async function inState(state: TpmInterfaceState): Promise<{ tis: TpmTis; tpm: FakeTpm }> {
  const tpm = new FakeTpm();
  const tis = new TpmTis(tpm);
  request(tis);
  if (state === 'idle') return { tis, tpm };
  sts(tis, STS.COMMAND_READY);
  if (state === 'ready') return { tis, tpm };
  send(tis, COMMAND);
  if (state === 'reception') return { tis, tpm };
  sts(tis, STS.GO);
  if (state === 'execution') return { tis, tpm };
  tpm.answer(RESPONSE);
  await tis.idle();
  return { tis, tpm };
}

describe('FIFO: the state transition table of the profile', () => {
  const rows: [from: TpmInterfaceState, what: string, act: (tis: TpmTis) => void, to: TpmInterfaceState][] = [
    ['idle', 'commandReady', (t) => sts(t, STS.COMMAND_READY), 'ready'],
    ['idle', 'tpmGo', (t) => sts(t, STS.GO), 'idle'],
    ['idle', 'responseRetry', (t) => sts(t, STS.RESPONSE_RETRY), 'idle'],
    ['idle', 'write FIFO', (t) => send(t, COMMAND), 'idle'],
    ['idle', 'read FIFO', (t) => receive(t, 1), 'idle'],
    ['ready', 'commandReady', (t) => sts(t, STS.COMMAND_READY), 'ready'],
    ['ready', 'tpmGo', (t) => sts(t, STS.GO), 'ready'],
    ['ready', 'responseRetry', (t) => sts(t, STS.RESPONSE_RETRY), 'ready'],
    ['ready', 'write FIFO', (t) => send(t, COMMAND.subarray(0, 1)), 'reception'],
    ['ready', 'read FIFO', (t) => receive(t, 1), 'ready'],
    ['reception', 'commandReady (abort)', (t) => sts(t, STS.COMMAND_READY), 'ready'],
    ['reception', 'tpmGo', (t) => sts(t, STS.GO), 'execution'],
    ['reception', 'responseRetry', (t) => sts(t, STS.RESPONSE_RETRY), 'reception'],
    ['reception', 'write FIFO past the command', (t) => send(t, COMMAND), 'reception'],
    ['reception', 'relinquish', (t) => t.write8(at(0, REG.ACCESS), ACCESS.ACTIVE_LOCALITY), 'idle'],
    ['execution', 'commandReady (abort; Ready when it has ended)', (t) => sts(t, STS.COMMAND_READY), 'idle'],
    ['execution', 'tpmGo', (t) => sts(t, STS.GO), 'execution'],
    ['execution', 'write FIFO', (t) => send(t, COMMAND), 'execution'],
    ['execution', 'read FIFO', (t) => receive(t, 4), 'execution'],
    ['execution', 'seize by a higher locality', (t) => t.write8(at(2, REG.ACCESS), ACCESS.SEIZE), 'idle'],
    ['completion', 'commandReady', (t) => sts(t, STS.COMMAND_READY), 'ready'],
    ['completion', 'tpmGo', (t) => sts(t, STS.GO), 'completion'],
    ['completion', 'responseRetry', (t) => sts(t, STS.RESPONSE_RETRY), 'completion'],
    ['completion', 'read FIFO to the end and beyond', (t) => receive(t, 20), 'completion'],
    ['completion', 'write FIFO', (t) => send(t, COMMAND), 'completion'],
  ];
  it.each(rows)('%s: %s', async (from, _what, act, to) => {
    const { tis } = await inState(from);
    expect(tis.state).toBe(from);
    act(tis);
    expect(tis.state).toBe(to);
  });
});

describe('FIFO: STS tells the driver where it stands', () => {
  it.each<[TpmInterfaceState, number]>([
    ['idle', STS.VALID | STS.SELF_TEST_DONE],
    ['ready', STS.VALID | STS.SELF_TEST_DONE | STS.COMMAND_READY],
    ['reception', STS.VALID | STS.SELF_TEST_DONE],
    ['execution', 0],
    ['completion', STS.VALID | STS.SELF_TEST_DONE | STS.DATA_AVAIL],
  ])('%s', async (state, flags) => {
    const { tis } = await inState(state);
    expect(status(tis)).toBe(flags);
  });

  it('Expect falls with the last byte that the size field announces; more bytes are ignored', async () => {
    const { tis, tpm } = await inState('ready');
    for (let i = 0; i < COMMAND.length; i++) {
      send(tis, COMMAND.subarray(i, i + 1));
      expect(status(tis) & STS.EXPECT, `after byte ${i}`).toBe(i < COMMAND.length - 1 ? STS.EXPECT : 0);
    }
    send(tis, RESPONSE);
    sts(tis, STS.GO);
    expect(tpm.commands).toEqual([{ command: COMMAND, locality: 0 }]);
  });

  it('tpmGo with bytes still expected is ignored', async () => {
    const { tis, tpm } = await inState('ready');
    send(tis, COMMAND.subarray(0, 11));
    sts(tis, STS.GO);
    expect(tis.state).toBe('reception');
    expect(tpm.commands).toEqual([]);
  });

  it('dataAvail falls with the last byte of the response; responseRetry brings it back', async () => {
    const { tis } = await inState('completion');
    expect(burst(tis)).toBe(RESPONSE.length);
    expect(receive(tis, RESPONSE.length - 1)).toEqual(RESPONSE.subarray(0, -1));
    expect(status(tis) & STS.DATA_AVAIL).toBe(STS.DATA_AVAIL);
    receive(tis, 1);
    expect(status(tis) & STS.DATA_AVAIL).toBe(0);
    expect(receive(tis, 1)).toEqual(Uint8Array.of(0xff));
    sts(tis, STS.RESPONSE_RETRY);
    expect(receive(tis, RESPONSE.length)).toEqual(RESPONSE);
  });

  it('a burst count never promises more than the FIFO takes', async () => {
    const { tis } = await inState('ready');
    expect(burst(tis)).toBe(FIFO_SIZE);
    const header = Uint8Array.of(0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0x44);
    send(tis, header);
    expect(burst(tis)).toBe(FIFO_SIZE - header.length);
    send(tis, new Uint8Array(2 * FIFO_SIZE));
    expect(burst(tis)).toBe(0);
    expect(status(tis) & STS.EXPECT).toBe(0);
  });

  it('takes and gives 64-byte transfers through XDATA_FIFO', async () => {
    const { tis, tpm } = await inState('ready');
    COMMAND.forEach((byte, i) => {
      tis.write8(at(0, REG.XDATA_FIFO + i), byte);
    });
    sts(tis, STS.GO);
    tpm.answer(RESPONSE);
    await tis.idle();
    expect(RESPONSE.map((_, i) => tis.read8(at(0, REG.XDATA_FIFO + i)))).toEqual(RESPONSE);
  });
});

describe('FIFO: localities', () => {
  const access = (tis: TpmTis, locality: number) => tis.read8(at(locality, REG.ACCESS));

  it('a free TPM goes to whoever asks first; others wait, and the highest that waits is next', () => {
    const tis = new TpmTis(new FakeTpm());
    request(tis, 1);
    request(tis, 0);
    request(tis, 3);
    expect(access(tis, 1)).toBe(
      ACCESS.VALID | ACCESS.NOT_ESTABLISHED | ACCESS.ACTIVE_LOCALITY | ACCESS.PENDING_REQUEST,
    );
    expect(access(tis, 0) & ACCESS.REQUEST_USE).toBe(ACCESS.REQUEST_USE);
    tis.write8(at(1, REG.ACCESS), ACCESS.ACTIVE_LOCALITY);
    expect(tis.activeLocality).toBe(3);
    tis.write8(at(3, REG.ACCESS), ACCESS.ACTIVE_LOCALITY);
    expect(tis.activeLocality).toBe(0);
    tis.write8(at(0, REG.ACCESS), ACCESS.ACTIVE_LOCALITY);
    expect(tis.activeLocality).toBeUndefined();
  });

  it('only a higher locality seizes; the loser sees beenSeized until it writes it back', () => {
    const tis = new TpmTis(new FakeTpm());
    request(tis, 2);
    tis.write8(at(1, REG.ACCESS), ACCESS.SEIZE);
    tis.write8(at(2, REG.ACCESS), ACCESS.SEIZE);
    expect(tis.activeLocality).toBe(2);
    tis.write8(at(3, REG.ACCESS), ACCESS.SEIZE);
    expect(tis.activeLocality).toBe(3);
    expect(access(tis, 2) & ACCESS.BEEN_SEIZED).toBe(ACCESS.BEEN_SEIZED);
    tis.write8(at(2, REG.ACCESS), ACCESS.BEEN_SEIZED);
    expect(access(tis, 2) & ACCESS.BEEN_SEIZED).toBe(0);
  });

  it('a request is withdrawn by writing activeLocality while waiting', () => {
    const tis = new TpmTis(new FakeTpm());
    request(tis, 0);
    request(tis, 1);
    tis.write8(at(1, REG.ACCESS), ACCESS.ACTIVE_LOCALITY);
    tis.write8(at(0, REG.ACCESS), ACCESS.ACTIVE_LOCALITY);
    expect(tis.activeLocality).toBeUndefined();
  });

  it('a write with two fields set is ignored', () => {
    const tis = new TpmTis(new FakeTpm());
    tis.write8(at(0, REG.ACCESS), ACCESS.REQUEST_USE | ACCESS.SEIZE);
    expect(tis.activeLocality).toBeUndefined();
  });

  it('the TPM is told the locality of the command', async () => {
    const tpm = new FakeTpm();
    const tis = new TpmTis(tpm);
    request(tis, 3);
    sts(tis, STS.COMMAND_READY, 3);
    send(tis, COMMAND, 3);
    sts(tis, STS.GO, 3);
    expect(tpm.commands).toEqual([{ command: COMMAND, locality: 3 }]);
  });

  it('a locality that is not active neither reads nor changes status and data', async () => {
    const { tis } = await inState('completion');
    expect(read32(tis, at(1, REG.STS))).toBe(0xffffffff);
    expect(receive(tis, 1, 1)).toEqual(Uint8Array.of(0xff));
    sts(tis, STS.COMMAND_READY, 1);
    expect(tis.state).toBe('completion');
    expect(receive(tis, RESPONSE.length)).toEqual(RESPONSE);
  });

  it('locality 4 is not there for a guest', () => {
    const tpm = new FakeTpm();
    const tis = new TpmTis(tpm);
    for (const register of Object.values(REG)) expect(tis.read8(at(4, register))).toBe(0xff);
    request(tis, 4);
    tis.write8(at(4, REG.ACCESS), ACCESS.SEIZE);
    // Writes to locality 4's FIFO would be hash data of a late launch (section 6.2).
    tis.write8(at(4, REG.DATA_FIFO), 1);
    expect(tis.activeLocality).toBeUndefined();
    expect(tpm.commands).toEqual([]);
  });

  it('tpmEstablished is shown inverted and reset through the TPM, which knows the locality', async () => {
    const tpm = new FakeTpm();
    const tis = new TpmTis(tpm);
    tpm.established = true;
    expect(access(tis, 0) & ACCESS.NOT_ESTABLISHED).toBe(0);
    request(tis, 0);
    tis.write8(at(0, REG.STS + 3), STS3.RESET_ESTABLISHMENT);
    expect(access(tis, 0) & ACCESS.NOT_ESTABLISHED).toBe(0);
    tis.write8(at(3, REG.ACCESS), ACCESS.SEIZE);
    tis.write8(at(3, REG.STS + 3), STS3.RESET_ESTABLISHMENT);
    expect(access(tis, 0) & ACCESS.NOT_ESTABLISHED).toBe(ACCESS.NOT_ESTABLISHED);
  });
});

describe('FIFO: abort, cancel, save', () => {
  it('commandCancel reaches the TPM while it executes, and only then', async () => {
    const { tis, tpm } = await inState('reception');
    tis.write8(at(0, REG.STS + 3), STS3.COMMAND_CANCEL);
    expect(tpm.cancelled).toBe(0);
    sts(tis, STS.GO);
    tis.write8(at(0, REG.STS + 3), STS3.COMMAND_CANCEL);
    expect(tpm.cancelled).toBe(1);
    expect(tis.state).toBe('execution');
  });

  it('after an abort the TPM is ready only when the abandoned command has ended, and its reply is dropped', async () => {
    const { tis, tpm } = await inState('execution');
    sts(tis, STS.COMMAND_READY);
    expect(tpm.cancelled).toBe(1);
    expect(status(tis) & STS.COMMAND_READY).toBe(0);
    tpm.answer(RESPONSE);
    await tis.idle();
    expect(tis.state).toBe('ready');
    expect(status(tis) & STS.DATA_AVAIL).toBe(0);
  });

  it('a TPM that cannot be reached answers TPM_RC_FAILURE; so does one whose reply does not fit', async () => {
    for (const outcome of [new Error('gone'), new Uint8Array(FIFO_SIZE + 1)]) {
      const { tis, tpm } = await inState('execution');
      tpm.answer(outcome);
      await tis.idle();
      expect(receive(tis, 10)).toEqual(Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1));
    }
  });

  it('saves every state but execution, and continues from it', async () => {
    for (const state of ['idle', 'ready', 'reception', 'completion'] as const) {
      const { tis } = await inState(state);
      if (state === 'completion') receive(tis, 3);
      const copy = new TpmTis(new FakeTpm());
      copy.load(structuredClone(tis.save()));
      expect(copy.save()).toEqual(tis.save());
      if (state === 'completion') expect(receive(copy, 7)).toEqual(RESPONSE.subarray(3));
    }
    const { tis } = await inState('execution');
    expect(() => tis.save()).toThrow(expect.objectContaining({ code: 'DEVICE_BUSY' }));
  });

  it('refuses any saved state that it could not have written', () => {
    fc.assert(
      fc.property(fc.anything({ withTypedArray: true }), (state) => {
        const tis = new TpmTis(new FakeTpm());
        expect(() => tis.load(state)).toThrow(expect.objectContaining({ code: 'DEVICE_STATE' }));
      }),
    );
  });
});

it('FIFO: no sequence of loads and stores throws, leaves 0..255, or reaches locality 4', async () => {
  const access = fc.record({
    offset: fc.oneof(
      fc.integer({ min: 0, max: 0x5fff }),
      fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(...Object.values(REG))).map(([l, r]) => at(l, r)),
    ),
    value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x02, 0x08, 0x10, 0x20, 0x40)),
    write: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(access, { maxLength: 200 }), async (accesses) => {
      const tpm = new FakeTpm();
      const tis = new TpmTis(tpm);
      for (const { offset, value, write } of accesses) {
        if (write) tis.write8(offset, value);
        const got = tis.read8(offset);
        expect(got >= 0 && got <= 255).toBe(true);
        if (tpm.waiting && value === 0x55) {
          tpm.answer(RESPONSE);
          await tis.idle();
        }
      }
      for (const { locality } of tpm.commands) expect(locality).not.toBe(4);
    }),
  );
});
