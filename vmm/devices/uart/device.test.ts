import { expect, it } from 'vitest';
import { Uart } from './device.ts';
import { IER, IIR, INPUT_MAX, LCR_DIVISOR, LSR, MCR_LOOPBACK, REG } from './registers.ts';

function port() {
  const sent: number[] = [];
  const line: boolean[] = [];
  const uart = new Uart({ transmit: (byte) => sent.push(byte), interrupt: (raised) => line.push(raised) });
  return { uart, sent, line };
}

it('UART: sends what is written and is always ready for more', () => {
  const { uart, sent } = port();
  for (const byte of [0x68, 0x69]) uart.write(REG.DATA, byte);
  expect(sent).toEqual([0x68, 0x69]);
  expect(uart.read(REG.LSR)).toBe(LSR.TRANSMITTER_EMPTY);
});

it('UART: received bytes raise the line until the last is read', () => {
  const { uart, line } = port();
  uart.write(REG.IER, IER.RECEIVED);
  uart.receive(Uint8Array.of(1, 2));
  expect(uart.read(REG.IIR_FCR)).toBe(IIR.RECEIVED);
  expect(uart.read(REG.LSR) & LSR.DATA_READY).toBe(LSR.DATA_READY);
  expect([uart.read(REG.DATA), uart.read(REG.DATA)]).toEqual([1, 2]);
  expect(line).toEqual([true, false]);
  expect(uart.read(REG.IIR_FCR)).toBe(IIR.NONE);
});

it('UART: an empty transmitter interrupts once when enabled and once after each byte', () => {
  const { uart, line } = port();
  uart.write(REG.IER, IER.TRANSMIT_EMPTY);
  expect(uart.read(REG.IIR_FCR)).toBe(IIR.TRANSMIT_EMPTY);
  expect(uart.read(REG.IIR_FCR)).toBe(IIR.NONE);
  uart.write(REG.DATA, 1);
  expect(line).toEqual([true, false, true]);
});

it('UART: the divisor latch hides data and interrupt enable', () => {
  const { uart, sent } = port();
  uart.write(REG.LCR, LCR_DIVISOR | 3);
  uart.write(REG.DATA, 0x0c);
  uart.write(REG.IER, 0x01);
  expect([uart.read(REG.DATA), uart.read(REG.IER)]).toEqual([0x0c, 0x01]);
  uart.write(REG.LCR, 3);
  expect(uart.read(REG.IER)).toBe(0);
  expect(sent).toEqual([]);
});

it('UART: loopback returns data and modem lines, and sends nothing (how drivers probe)', () => {
  const { uart, sent } = port();
  uart.write(REG.MCR, MCR_LOOPBACK | 0x0a);
  expect(uart.read(REG.MSR) & 0xf0).toBe(0x90);
  uart.write(REG.DATA, 0x55);
  expect(uart.read(REG.DATA)).toBe(0x55);
  expect(sent).toEqual([]);
});

it('UART: input beyond its bound is dropped', () => {
  const { uart } = port();
  uart.receive(new Uint8Array(INPUT_MAX + 10).fill(1));
  for (let i = 0; i < INPUT_MAX; i++) uart.read(REG.DATA);
  expect(uart.read(REG.LSR) & LSR.DATA_READY).toBe(0);
});

it('UART: a saved port continues with its registers, its input and its interrupt line', () => {
  const { uart } = port();
  uart.write(REG.LCR, LCR_DIVISOR);
  uart.write(REG.DATA, 0x0c);
  uart.write(REG.LCR, 3);
  uart.write(REG.IER, IER.RECEIVED);
  uart.write(REG.SCR, 0x77);
  uart.receive(Uint8Array.of(1, 2, 3));
  const restored = port();
  restored.uart.restore(uart.save());
  expect(restored.line).toEqual([true]);
  expect([restored.uart.read(REG.LCR), restored.uart.read(REG.IER), restored.uart.read(REG.SCR)]).toEqual([3, 1, 0x77]);
  expect([1, 2, 3].map(() => restored.uart.read(REG.DATA))).toEqual([1, 2, 3]);
  expect(restored.line).toEqual([true, false]);
  expect(restored.uart.save()).toHaveLength(uart.save().length - 3);
});
