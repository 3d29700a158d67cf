import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeTpm } from '../fake-tpm.test-support.ts';
import { TPM_BASE, TPM_LOCALITY_SIZE } from '../tpm-backend.ts';
import type { TpmInterfaceState } from '../tpm-shared.ts';
import { TpmCrb } from './device.ts';
import { BUFFER_SIZE, CTRL_REQ, CTRL_STS, LOC_CTRL, LOC_STATE, LOC_STS, REG } from './registers.ts';

const at = (locality: number, register: number) => locality * TPM_LOCALITY_SIZE + register;
const read32 = (crb: TpmCrb, register: number, locality = 0) =>
  [0, 1, 2, 3].reduce((word, i) => (word | (crb.read8(at(locality, register) + i) << (8 * i))) >>> 0, 0);
const write = (crb: TpmCrb, register: number, value: number, locality = 0) => crb.write8(at(locality, register), value);
const send = (crb: TpmCrb, bytes: Uint8Array, locality = 0) =>
  bytes.forEach((byte, i) => {
    crb.write8(at(locality, REG.DATA_BUFFER + i), byte);
  });
const receive = (crb: TpmCrb, length: number, locality = 0) =>
  Uint8Array.from({ length }, (_, i) => crb.read8(at(locality, REG.DATA_BUFFER + i)));

const COMMAND = Uint8Array.of(0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0);
const RESPONSE = Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0);

/** A model in a given state of the diagram, locality 0 active. */
async function inState(state: TpmInterfaceState): Promise<{ crb: TpmCrb; tpm: FakeTpm }> {
  const tpm = new FakeTpm();
  const crb = new TpmCrb(tpm);
  write(crb, REG.LOC_CTRL, LOC_CTRL.REQUEST);
  if (state === 'idle') return { crb, tpm };
  write(crb, REG.CTRL_REQ, CTRL_REQ.COMMAND_READY);
  if (state === 'ready') return { crb, tpm };
  send(crb, COMMAND);
  if (state === 'reception') return { crb, tpm };
  write(crb, REG.CTRL_START, 1);
  if (state === 'execution') return { crb, tpm };
  tpm.answer(RESPONSE);
  await crb.idle();
  return { crb, tpm };
}

describe('CRB: the state diagram of the profile', () => {
  const ready = (c: TpmCrb) => write(c, REG.CTRL_REQ, CTRL_REQ.COMMAND_READY);
  const goIdle = (c: TpmCrb) => write(c, REG.CTRL_REQ, CTRL_REQ.GO_IDLE);
  const start = (c: TpmCrb) => write(c, REG.CTRL_START, 1);
  const rows: [from: TpmInterfaceState, what: string, act: (crb: TpmCrb) => void, to: TpmInterfaceState][] = [
    ['idle', 'cmdReady', ready, 'ready'],
    ['idle', 'goIdle', goIdle, 'idle'],
    ['idle', 'start', start, 'idle'],
    ['idle', 'write buffer', (c) => send(c, COMMAND), 'idle'],
    ['ready', 'cmdReady', ready, 'ready'],
    ['ready', 'goIdle', goIdle, 'idle'],
    ['ready', 'start without a command', start, 'ready'],
    ['ready', 'write buffer', (c) => send(c, COMMAND), 'reception'],
    ['reception', 'cmdReady', ready, 'ready'],
    ['reception', 'goIdle', goIdle, 'idle'],
    ['reception', 'start', start, 'execution'],
    ['execution', 'cmdReady', ready, 'execution'],
    ['execution', 'goIdle', goIdle, 'execution'],
    ['execution', 'start', start, 'execution'],
    ['execution', 'write buffer', (c) => send(c, COMMAND), 'execution'],
    ['execution', 'relinquish', (c) => write(c, REG.LOC_CTRL, LOC_CTRL.RELINQUISH), 'idle'],
    ['execution', 'seize by a higher locality', (c) => write(c, REG.LOC_CTRL, LOC_CTRL.SEIZE, 1), 'idle'],
    ['completion', 'cmdReady', ready, 'ready'],
    ['completion', 'goIdle', goIdle, 'idle'],
    ['completion', 'start', start, 'completion'],
    ['completion', 'read buffer', (c) => receive(c, 100), 'completion'],
    ['completion', 'write buffer', (c) => send(c, COMMAND), 'reception'],
  ];
  it.each(rows)('%s: %s', async (from, _what, act, to) => {
    const { crb } = await inState(from);
    expect(crb.state).toBe(from);
    act(crb);
    expect(crb.state).toBe(to);
  });
});

describe('CRB: registers', () => {
  it('shows idle, start and where the buffers are', async () => {
    const { crb, tpm } = await inState('reception');
    expect(read32(crb, REG.CTRL_STS) & CTRL_STS.IDLE).toBe(0);
    expect(read32(crb, REG.CMD_LADDR)).toBe(TPM_BASE + REG.DATA_BUFFER);
    expect(read32(crb, REG.CMD_SIZE)).toBe(BUFFER_SIZE);
    write(crb, REG.CTRL_START, 1);
    expect(read32(crb, REG.CTRL_START)).toBe(1);
    expect(receive(crb, 1)).toEqual(Uint8Array.of(0xff));
    tpm.answer(RESPONSE);
    await crb.idle();
    expect(read32(crb, REG.CTRL_START)).toBe(0);
    expect(receive(crb, RESPONSE.length)).toEqual(RESPONSE);
    write(crb, REG.CTRL_REQ, CTRL_REQ.GO_IDLE);
    expect(read32(crb, REG.CTRL_STS) & CTRL_STS.IDLE).toBe(CTRL_STS.IDLE);
    expect(tpm.commands).toEqual([{ command: COMMAND, locality: 0 }]);
  });

  it('hands over no more than the buffer whatever the size field says', async () => {
    for (const [claimed, length] of [
      [0xffffffff, BUFFER_SIZE],
      [0, 10],
    ] as const) {
      const { crb, tpm } = await inState('ready');
      const header = COMMAND.slice(0, 10);
      new DataView(header.buffer).setUint32(2, claimed);
      send(crb, header);
      write(crb, REG.CTRL_START, 1);
      expect(tpm.commands[0]?.command.length).toBe(length);
    }
  });

  it('CTRL_CANCEL reaches the executing command and stays until software clears it', async () => {
    const { crb, tpm } = await inState('execution');
    write(crb, REG.CTRL_CANCEL, 1);
    expect(tpm.cancelled).toBe(1);
    expect(read32(crb, REG.CTRL_CANCEL)).toBe(1);
    write(crb, REG.CTRL_CANCEL, 0);
    expect(read32(crb, REG.CTRL_CANCEL)).toBe(0);
    expect(tpm.cancelled).toBe(1);
  });
});

describe('CRB: localities', () => {
  it('are granted one at a time, shown to all, and seized only from below', () => {
    const crb = new TpmCrb(new FakeTpm());
    write(crb, REG.LOC_CTRL, LOC_CTRL.REQUEST, 1);
    write(crb, REG.LOC_CTRL, LOC_CTRL.REQUEST, 3);
    expect(read32(crb, REG.LOC_STS, 1)).toBe(LOC_STS.GRANTED);
    expect(read32(crb, REG.LOC_STS, 3)).toBe(0);
    expect(read32(crb, REG.LOC_STATE, 0)).toBe(
      LOC_STATE.VALID | LOC_STATE.NOT_ESTABLISHED | LOC_STATE.ASSIGNED | (1 << LOC_STATE.ACTIVE_SHIFT),
    );
    write(crb, REG.LOC_CTRL, LOC_CTRL.SEIZE, 0);
    expect(crb.activeLocality).toBe(1);
    write(crb, REG.LOC_CTRL, LOC_CTRL.SEIZE, 2);
    expect(crb.activeLocality).toBe(2);
    expect(read32(crb, REG.LOC_STS, 1)).toBe(LOC_STS.BEEN_SEIZED);
  });

  it('others than the active one read nothing and change nothing', async () => {
    const { crb } = await inState('completion');
    expect(read32(crb, REG.CTRL_STS, 1)).toBe(0xffffffff);
    expect(receive(crb, 1, 1)).toEqual(Uint8Array.of(0xff));
    write(crb, REG.CTRL_REQ, CTRL_REQ.GO_IDLE, 1);
    expect(crb.state).toBe('completion');
  });

  it('locality 4 is not there for a guest', () => {
    const crb = new TpmCrb(new FakeTpm());
    write(crb, REG.LOC_CTRL, LOC_CTRL.REQUEST, 4);
    expect(crb.activeLocality).toBeUndefined();
    expect(read32(crb, REG.LOC_STATE, 4)).toBe(0xffffffff);
  });

  it('a successor finds no byte of its predecessor', async () => {
    const { crb } = await inState('completion');
    write(crb, REG.LOC_CTRL, LOC_CTRL.SEIZE, 1);
    write(crb, REG.CTRL_REQ, CTRL_REQ.COMMAND_READY, 1);
    expect(receive(crb, BUFFER_SIZE, 1).every((byte) => byte === 0)).toBe(true);
  });
});

describe('CRB: save', () => {
  it('saves every state but execution, and continues from it', async () => {
    for (const state of ['idle', 'ready', 'reception', 'completion'] as const) {
      const { crb } = await inState(state);
      const copy = new TpmCrb(new FakeTpm());
      copy.load(structuredClone(crb.save()));
      expect(copy.save()).toEqual(crb.save());
    }
    const { crb } = await inState('execution');
    expect(() => crb.save()).toThrow(expect.objectContaining({ code: 'DEVICE_BUSY' }));
  });

  it('a reply that comes after reset is dropped', async () => {
    const { crb, tpm } = await inState('execution');
    crb.reset();
    write(crb, REG.LOC_CTRL, LOC_CTRL.REQUEST);
    write(crb, REG.CTRL_REQ, CTRL_REQ.COMMAND_READY);
    expect(read32(crb, REG.CTRL_REQ)).toBe(CTRL_REQ.COMMAND_READY);
    tpm.answer(RESPONSE);
    await crb.idle();
    expect(crb.state).toBe('ready');
    expect(receive(crb, 10)).toEqual(new Uint8Array(10));
  });
});

it('CRB: no sequence of loads and stores throws, leaves 0..255, or reaches locality 4', async () => {
  const access = fc.record({
    offset: fc.oneof(
      fc.integer({ min: 0, max: 0x5fff }),
      fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(...Object.values(REG))).map(([l, r]) => at(l, r)),
    ),
    value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(1, 2, 4)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(access, { maxLength: 200 }), async (accesses) => {
      const tpm = new FakeTpm();
      const crb = new TpmCrb(tpm);
      for (const { offset, value } of accesses) {
        crb.write8(offset, value);
        const got = crb.read8(offset);
        expect(got >= 0 && got <= 255).toBe(true);
        if (tpm.waiting && value === 0x55) {
          tpm.answer(RESPONSE);
          await crb.idle();
        }
      }
      for (const { locality } of tpm.commands) expect(locality).not.toBe(4);
    }),
  );
});
