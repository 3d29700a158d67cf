import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type FakeDevice, fakeDevice } from '../../test/support/fake-tpm.ts';
import { Board } from './board.ts';
import { ByteQueue, concat, u32s } from './bytes.ts';
import { type ControlHost, controlCommand, nextControlFrame } from './control-channel.ts';
import { CMD, PTM_RES } from './protocol.ts';

let tpm: FakeDevice;
let board: Board;
let adopted: number[];
let shutdowns: number;
const host: ControlHost = {
  onShutdown: () => {
    shutdowns += 1;
  },
  adoptData: (fd) => adopted.push(fd),
  log: () => {},
};

beforeEach(() => {
  tpm = fakeDevice();
  board = new Board(tpm, { info: { TPMSpecification: { family: '2.0' }, TPMAttributes: { model: 'x' } } });
  adopted = [];
  shutdowns = 0;
});

/** Push bytes through framing and handling; the answers, concatenated. */
async function ask(bytes: Uint8Array, fd?: number): Promise<Uint8Array> {
  const queue = new ByteQueue();
  queue.push(bytes);
  const answers: Uint8Array[] = [];
  for (;;) {
    const frame = nextControlFrame(queue);
    if (frame.kind === 'incomplete') return concat(...answers);
    answers.push(frame.kind === 'refused' ? u32s(frame.result) : await controlCommand(board, host, frame, fd));
  }
}

describe('control channel, answers as swtpm gives them', () => {
  test('capabilities: result, then the bits of all commands', async () => {
    expect(await ask(u32s(CMD.GET_CAPABILITY))).toEqual(u32s(0, 0x1ffff));
  });

  test('INIT powers on and cycles the power of a running TPM; STOP powers off', async () => {
    expect(await ask(u32s(CMD.INIT, 0))).toEqual(u32s(0));
    expect(board.running).toBe(true);
    await ask(u32s(CMD.INIT, 0));
    await ask(u32s(CMD.STOP));
    expect(board.running).toBe(false);
    expect(tpm.events).toEqual(['on 9', 'off', 'on 9', 'off']);
  });

  test('a stop after use is orderly: TPM2_Shutdown first', async () => {
    board.powerOn();
    await board.execute(Uint8Array.of(0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0));
    await ask(u32s(CMD.STOP));
    expect(tpm.events.slice(-3)).toEqual(['execute 12 at 0', 'execute 12 at 0', 'off']);
  });

  test('what needs a running TPM answers BAD_ORDINAL while it is off', async () => {
    const commands = [
      u32s(CMD.GET_TPMESTABLISHED),
      concat(u32s(CMD.RESET_TPMESTABLISHED), Uint8Array.of(3, 0, 0, 0)),
      u32s(CMD.HASH_START),
      u32s(CMD.HASH_DATA, 0),
      u32s(CMD.HASH_END),
      u32s(CMD.CANCEL_TPM_CMD),
      u32s(CMD.STORE_VOLATILE),
      u32s(CMD.GET_STATEBLOB, 1, 1, 0),
    ];
    for (const command of commands) expect(await ask(command)).toEqual(u32s(PTM_RES.BAD_ORDINAL));
  });

  test('locality: 0 to 4, for commands of the data channel', async () => {
    board.powerOn();
    expect(await ask(concat(u32s(CMD.SET_LOCALITY), Uint8Array.of(3, 0, 0, 0)))).toEqual(u32s(0));
    await board.execute(new Uint8Array(10));
    expect(tpm.events.at(-1)).toBe('execute 10 at 3');
    expect(await ask(concat(u32s(CMD.SET_LOCALITY), Uint8Array.of(5, 0, 0, 0)))).toEqual(u32s(PTM_RES.BAD_LOCALITY));
  });

  test('the dynamic launch and the established flag', async () => {
    board.powerOn();
    const launch = concat(
      u32s(CMD.HASH_START),
      concat(u32s(CMD.HASH_DATA, 3), Uint8Array.of(7, 8, 9)),
      u32s(CMD.HASH_END),
    );
    expect(await ask(launch)).toEqual(u32s(0, 0, 0));
    expect(tpm.events.slice(1)).toEqual(['hash start', 'hash 7,8,9', 'hash end']);
    expect(await ask(u32s(CMD.GET_TPMESTABLISHED))).toEqual(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0));
    expect(await ask(concat(u32s(CMD.RESET_TPMESTABLISHED), Uint8Array.of(2, 0, 0, 0)))).toEqual(
      u32s(PTM_RES.BAD_LOCALITY),
    );
    expect(await ask(concat(u32s(CMD.RESET_TPMESTABLISHED), Uint8Array.of(3, 0, 0, 0)))).toEqual(u32s(0));
    expect(await ask(u32s(CMD.GET_TPMESTABLISHED))).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0));
  });

  test('state blobs go out running and come in stopped, and volatile state is continued from', async () => {
    board.powerOn();
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 1, 0))).toEqual(concat(u32s(0, 0, 3, 3), Uint8Array.of(1, 2, 3)));
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 1, 2))).toEqual(concat(u32s(0, 0, 1, 1), Uint8Array.of(3)));
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 2, 0))).toEqual(concat(u32s(0, 0, 1, 1), Uint8Array.of(9)));
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 3, 0))).toEqual(u32s(0, 0, 0, 0));
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 4, 0))).toEqual(u32s(PTM_RES.FAIL, 0, 0, 0));
    const set = (type: number, ...data: number[]) =>
      ask(concat(u32s(CMD.SET_STATEBLOB, 0, type, data.length), Uint8Array.from(data)));
    expect(await set(1, 5)).toEqual(u32s(PTM_RES.BAD_ORDINAL));
    await ask(u32s(CMD.STOP));
    expect(await set(1, 5, 6)).toEqual(u32s(0));
    expect(await set(2, 4, 4)).toEqual(u32s(0));
    expect(await set(3)).toEqual(u32s(0));
    expect(await set(3, 1)).toEqual(u32s(PTM_RES.BAD_PARAMETER));
    expect(await set(1, 0xff)).toEqual(u32s(PTM_RES.FAIL));
    expect(await set(2, 0xff)).toEqual(u32s(PTM_RES.FAIL));
    expect(await ask(u32s(CMD.INIT, 1))).toEqual(u32s(0));
    expect(tpm.events.at(-1)).toBe('on 4,4');
    expect(await ask(u32s(CMD.GET_STATEBLOB, 1, 1, 0))).toEqual(concat(u32s(0, 0, 2, 2), Uint8Array.of(5, 6)));
    await ask(u32s(CMD.INIT, 0));
    expect(tpm.events.at(-1)).toBe('on 9');
  });

  test('STORE_VOLATILE keeps the volatile state for every later INIT until one deletes it', async () => {
    board.powerOn();
    expect(await ask(u32s(CMD.STORE_VOLATILE))).toEqual(u32s(0));
    for (const flags of [0, 1]) {
      const before = tpm.events.filter((event) => event === 'restore').length;
      await ask(u32s(CMD.INIT, flags));
      expect(tpm.events.filter((event) => event === 'restore').length).toBe(before + 1);
    }
    await ask(u32s(CMD.INIT, 0));
    expect(tpm.events.filter((event) => event === 'restore').length).toBe(2);
  });

  test('GET_INFO: total length, length, JSON ending in zero; an offset past the end is refused', async () => {
    const text = '{"TPMSpecification":{"family":"2.0"}}\0';
    expect(await ask(u32s(CMD.GET_INFO, 0, 1, 0, 0))).toEqual(
      concat(u32s(0, text.length, text.length), new TextEncoder().encode(text)),
    );
    expect(await ask(u32s(CMD.GET_INFO, 0, 1, 500, 0))).toEqual(u32s(PTM_RES.BAD_PARAMETER));
  });

  test('SET_DATAFD needs a descriptor', async () => {
    expect(await ask(u32s(CMD.SET_DATAFD))).toEqual(u32s(PTM_RES.BAD_PARAMETER));
    expect(await ask(u32s(CMD.SET_DATAFD), 17)).toEqual(u32s(0));
    expect(adopted).toEqual([17]);
  });

  test('SHUTDOWN stops the TPM and ends the server', async () => {
    board.powerOn();
    expect(await ask(u32s(CMD.SHUTDOWN))).toEqual(u32s(0));
    expect([board.running, shutdowns]).toEqual([false, 1]);
  });

  test('a SET_STATEBLOB shorter than its header or its length is not read past its end', () => {
    for (const bytes of [u32s(CMD.SET_STATEBLOB), u32s(CMD.SET_STATEBLOB, 0, 1), u32s(CMD.SET_STATEBLOB, 0, 1, 9, 0)]) {
      const queue = new ByteQueue();
      queue.push(bytes);
      expect(nextControlFrame(queue)).toEqual({ kind: 'incomplete' });
      expect(queue.length).toBe(bytes.length);
    }
    const huge = new ByteQueue();
    huge.push(u32s(CMD.SET_STATEBLOB, 0, 1, 0xffffffff));
    expect(nextControlFrame(huge)).toEqual({ kind: 'refused', result: PTM_RES.FAIL });
  });

  test('unknown numbers are BAD_ORDINAL', async () => {
    expect(await ask(u32s(20))).toEqual(u32s(PTM_RES.BAD_ORDINAL));
    expect(await ask(u32s(0xffffffff))).toEqual(u32s(PTM_RES.BAD_ORDINAL));
  });

  test('property: any bytes are answered or awaited, none throws', async () => {
    board.powerOn();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 21 }), fc.uint8Array({ maxLength: 64 }), async (cmd, body) => {
        const answers = await ask(concat(u32s(cmd), body));
        expect(answers.length).toBeLessThan(100_000);
      }),
    );
  });
});
