import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeDevice, fakeDevice } from '../../test/support/fake-tpm.ts';
import { openTransport } from './address.ts';
import { Board } from './board.ts';
import { concat, u32s } from './bytes.ts';
import { loadFdReceiver } from './fd-passing.ts';
import type { Place } from './place.ts';
import { CMD, PTM_RES, SIGNAL } from './protocol.ts';
import { simulatorTransport, swtpmTransport } from './remote.ts';
import { serveTpm, type TpmServer } from './server.ts';

const command = (...body: number[]) => Uint8Array.of(0x80, 0x01, 0, 0, 0, 10 + body.length, 0, 0, 1, 0x7b, ...body);
const echo = (locality: number, ...body: number[]) =>
  Uint8Array.of(0x80, 0x01, 0, 0, 0, 11 + body.length, 0, 0, 0, 0, ...body, locality);

let tpm: FakeDevice;
let board: Board;
let server: TpmServer;
let data: Place;
let control: Place;
let platform: Place;
let directory: string;
let shutdown: Promise<void>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-transports-'));
  tpm = fakeDevice();
  board = new Board(tpm);
  board.powerOn();
  shutdown = new Promise((resolve) => {
    void serveTpm(board, {
      listen: [
        { channel: 'data', at: { port: 0 } },
        { channel: 'control', at: { path: join(directory, 'control.sock') } },
        { channel: 'platform', at: { port: 0 } },
      ],
      onShutdown: resolve,
    }).then((started) => {
      server = started;
    });
  });
  while (!server) await new Promise(setImmediate);
  [data, control, platform] = server.places as [Place, Place, Place];
});

afterEach(async () => {
  await server.close();
  (server as TpmServer | undefined) = undefined;
  rmSync(directory, { recursive: true });
});

function open(at: Place): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect('path' in at ? { path: at.path } : at);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Read exactly `size` bytes, or what came before the end. */
function read(socket: Socket, size: number): Promise<Uint8Array> {
  return new Promise((resolve) => {
    let got = Buffer.alloc(0);
    const done = () => {
      socket.off('data', take);
      resolve(Uint8Array.from(got));
    };
    const take = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length >= size) done();
    };
    socket.on('data', take);
    socket.once('close', done);
  });
}

describe('data channel', () => {
  test('bare commands and simulator frames on one port', async () => {
    const raw = await swtpmTransport({ data });
    const simulator = await simulatorTransport({ command: data });
    expect(await raw.send(command(1))).toEqual(echo(0, 1));
    expect(await simulator.send(command(2), 3)).toEqual(echo(3, 2));
    await Promise.all([raw.close(), simulator.close()]);
  });

  test('both framings on one connection, pipelined and cut anywhere, answer in order', async () => {
    const frame = concat(u32s(SIGNAL.SEND_COMMAND), Uint8Array.of(2), u32s(11), command(5));
    const bytes = concat(command(1), frame, command(2, 3));
    const wanted = concat(echo(0, 1), concat(u32s(12), echo(2, 5), u32s(0)), echo(0, 2, 3));
    for (let cut = 0; cut <= bytes.length; cut += 3) {
      const socket = await open(data);
      const answers = read(socket, wanted.length);
      socket.write(bytes.subarray(0, cut));
      await new Promise(setImmediate);
      socket.write(bytes.subarray(cut));
      expect(await answers).toEqual(wanted);
      socket.destroy();
    }
  });

  test('a TPM 1.2 command is answered as swtpm does, by which OVMF sees a TPM 2.0', async () => {
    const client = await swtpmTransport({ data });
    const ticks = Uint8Array.of(0x00, 0xc1, 0, 0, 0, 10, 0, 0, 0, 0xf1);
    expect(await client.send(ticks)).toEqual(Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0x84));
    await client.close();
  });

  test('a client that shuts its side down still gets its answers', async () => {
    const socket = connect({ ...(data as { port: number }), allowHalfOpen: true });
    const answers = read(socket, 1000);
    socket.end(concat(command(1), command(2)));
    expect(await answers).toEqual(concat(echo(0, 1), echo(0, 2)));
  });

  test('a command whose size cannot be is answered TPM_RC_COMMAND_SIZE, then the connection ends', async () => {
    for (const size of [0, 9, 0x10000, 0xffffffff]) {
      const socket = await open(data);
      const answers = read(socket, 1000);
      socket.write(concat(Uint8Array.of(0x80, 1), u32s(size), new Uint8Array(8)));
      expect(await answers).toEqual(Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x42));
    }
  });

  test('a client that waits, sends halves, or does not read stops no other', async () => {
    let release = () => {};
    tpm.holds.push(
      new Promise((resolve) => {
        release = resolve;
      }),
    );
    const slow = await open(data);
    slow.write(command(1));
    while (tpm.events.length < 2) await new Promise(setImmediate);
    const half = await open(data);
    half.write(command(1).subarray(0, 7));
    const deaf = await open(data);
    deaf.pause();
    const flood = concat(...Array.from({ length: 700 }, () => command(...new Array(90).fill(7))));
    for (let i = 0; i < 100; i++) deaf.write(flood);
    const other = await swtpmTransport({ data });
    for (let i = 0; i < 20; i++) expect(await other.send(command(i))).toEqual(echo(0, i));
    release();
    expect(await read(slow, 12)).toEqual(echo(0, 1));
    for (const socket of [slow, half, deaf]) socket.destroy();
    await other.close();
  });
});

describe('simulator', () => {
  const signal = async (at: Place, bytes: Uint8Array, size: number) => {
    const socket = await open(at);
    const answer = read(socket, size);
    socket.write(bytes);
    const got = await answer;
    socket.destroy();
    return got;
  };

  test('power, reset, cancel on the platform port', async () => {
    const signals = [SIGNAL.POWER_ON, SIGNAL.RESET, SIGNAL.NV_ON, SIGNAL.CANCEL_ON, SIGNAL.POWER_OFF];
    expect(await signal(platform, u32s(...signals), 20)).toEqual(new Uint8Array(20));
    expect(tpm.events).toEqual(['on 9', 'off', 'on 9', 'cancel', 'off']);
    const client = await swtpmTransport({ data });
    expect(await client.send(command())).toEqual(Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1));
    await client.close();
  });

  test('without power a framed command has an empty response, as the simulator’s', async () => {
    const framed = concat(u32s(SIGNAL.SEND_COMMAND), Uint8Array.of(0), u32s(command().length), command());
    await signal(platform, u32s(SIGNAL.POWER_OFF), 4);
    expect(await signal(data, framed, 8)).toEqual(u32s(0, 0));
    await signal(platform, u32s(SIGNAL.POWER_ON), 4);
    const powered = u32s(echo(0).length);
    expect((await signal(data, framed, 8 + echo(0).length)).subarray(0, 4)).toEqual(powered);
  });

  test('largest command and response since asked last; an unknown signal is refused', async () => {
    const client = await simulatorTransport({ command: data, platform });
    await client.send(command(1, 2));
    await client.close();
    expect(await signal(platform, u32s(SIGNAL.GET_COMMAND_RESPONSE_SIZES), 24)).toEqual(u32s(16, 12, 0x17b, 13, 0, 0));
    expect(await signal(platform, u32s(99), 100)).toEqual(u32s(1));
  });

  test('handshake and the dynamic launch on the command port', async () => {
    expect(await signal(data, u32s(SIGNAL.REMOTE_HANDSHAKE, 1), 12)).toEqual(u32s(1, 13, 0));
    const launch = concat(u32s(SIGNAL.HASH_START, SIGNAL.HASH_DATA, 2), Uint8Array.of(4, 5), u32s(SIGNAL.HASH_END));
    expect(await signal(data, launch, 12)).toEqual(new Uint8Array(12));
    expect(tpm.events.slice(1)).toEqual(['hash start', 'hash 4,5', 'hash end']);
  });

  test('STOP ends the server', async () => {
    const socket = await open(data);
    socket.write(u32s(SIGNAL.STOP));
    await shutdown;
    await expect(open(data)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('control channel on a Unix socket', () => {
  test('the socket is its owner’s alone', () => {
    expect(statSync((control as { path: string }).path).mode & 0o777).toBe(0o600);
  });

  test('an unfinished command is BAD_PARAMETER after a while, and the connection is kept', async () => {
    const socket = await open(control);
    socket.write(concat(u32s(CMD.SET_STATEBLOB), Uint8Array.of(0, 0)));
    expect(await read(socket, 4)).toEqual(u32s(PTM_RES.BAD_PARAMETER));
    socket.write(u32s(CMD.GET_CAPABILITY));
    expect(await read(socket, 8)).toEqual(u32s(0, 0x1ffff));
    socket.destroy();
  });

  test('a client sets localities through it', async () => {
    const client = await swtpmTransport({ data, control });
    expect(await client.send(command(1), 4)).toEqual(echo(4, 1));
    expect(await client.send(command(1))).toEqual(echo(0, 1));
    await client.close();
  });

  test('SHUTDOWN is answered, then the server ends', async () => {
    const socket = await open(control);
    socket.write(u32s(CMD.SHUTDOWN));
    expect(await read(socket, 4)).toEqual(u32s(0));
    await shutdown;
    expect(existsSync((control as { path: string }).path)).toBe(false);
  });

  test('a socket file that a killed server left is replaced; one in use is not', async () => {
    const path = (control as { path: string }).path;
    await expect(serveTpm(board, { listen: [{ channel: 'control', at: { path } }] })).rejects.toMatchObject({
      code: 'E_TRANSPORT_CONNECT',
    });
    const left = join(directory, 'left.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(existsSync(left)).toBe(true);
    const second = await serveTpm(board, { listen: [{ channel: 'data', at: { path: left } }] });
    await second.close();
  });

  test('a path that is too long, or in no directory, is refused by name', async () => {
    for (const path of [join(directory, 'x'.repeat(200)), join(directory, 'none', 'socket')]) {
      await expect(serveTpm(board, { listen: [{ channel: 'data', at: { path } }] })).rejects.toMatchObject({
        code: 'E_TRANSPORT_CONNECT',
        message: expect.stringMatching(/longer than|there is no/),
      });
    }
  });

  test('a file of another kind in the place of a socket is left alone', async () => {
    const path = join(directory, 'notes');
    writeFileSync(path, 'precious');
    await expect(serveTpm(board, { listen: [{ channel: 'data', at: { path } }] })).rejects.toMatchObject({
      code: 'E_TRANSPORT_CONNECT',
    });
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });
});

describe('clients', () => {
  test('addresses as tpm2-tss writes them', async () => {
    const port = (data as { port: number }).port;
    const client = await openTransport(`swtpm:host=127.0.0.1,port=${port}`);
    expect(await client.send(command(1))).toEqual(echo(0, 1));
    await client.close();
    for (const address of ['', 'tpm', 'swtpm:port=x', 'swtpm:colour=red', 'mssim:port=70000']) {
      await expect(openTransport(address)).rejects.toMatchObject({ code: 'E_TRANSPORT_ADDRESS' });
    }
  });

  test('no server, a server that goes, a locality without control: typed errors', async () => {
    await expect(openTransport('swtpm:port=1')).rejects.toMatchObject({ code: 'E_TRANSPORT_CONNECT' });
    await expect(openTransport('/nowhere/tpm0')).rejects.toMatchObject({ code: 'E_TRANSPORT_CONNECT' });
    const client = await swtpmTransport({ data });
    await expect(client.send(command(), 1)).rejects.toMatchObject({ code: 'E_TRANSPORT_LOCALITY' });
    tpm.holds.push(new Promise(() => {}));
    const pending = client.send(command());
    while (tpm.events.length < 2) await new Promise(setImmediate);
    await server.close();
    await expect(pending).rejects.toMatchObject({ code: 'E_TRANSPORT_CLOSED' });
    await expect(client.send(command())).rejects.toMatchObject({ code: 'E_TRANSPORT_CLOSED' });
  });

  test('a character device: one write, one read', async () => {
    // A file stands in for the device: the read after the write continues behind it, where the response lies.
    const path = join(directory, 'tpm0');
    writeFileSync(path, concat(new Uint8Array(11), echo(0, 1)));
    const client = await openTransport(`device:${path}`);
    expect(await client.send(command(1))).toEqual(echo(0, 1));
    await expect(client.send(command(1), 2)).rejects.toMatchObject({ code: 'E_TRANSPORT_LOCALITY' });
    await expect(client.send(command(1))).rejects.toMatchObject({ code: 'E_TRANSPORT_CLOSED' });
    await client.close();
  });
});

const receiver = await loadFdReceiver();
const python = spawnSync('python3', ['--version']).status === 0;

describe.skipIf(typeof receiver !== 'function' || !python)('CMD_SET_DATAFD (needs koffi and python3)', () => {
  test('a descriptor that came with the first command becomes a data channel', async () => {
    const script = `
import array, socket, sys
control = socket.socket(socket.AF_UNIX); control.connect(sys.argv[1])
ours, theirs = socket.socketpair()
control.sendmsg([bytes.fromhex('00000010')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [theirs.fileno()]))])
assert control.recv(4) == bytes(4)
theirs.close()
ours.sendall(bytes.fromhex('80010000000b0000017b07'))
print(ours.recv(100).hex())
control.sendall(bytes.fromhex('00000001'))
print(control.recv(100).hex())
`;
    const child = spawn('python3', ['-c', script, (control as { path: string }).path]);
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(output).toBe('80010000000c000000000700\n000000000001ffff\n');
  });
});
