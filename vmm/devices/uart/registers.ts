/** Registers of a 16550A serial port: National Semiconductor PC16550D data sheet, table II. Offsets from its base. */
export const COM1 = { base: 0x3f8, irq: 4, ports: 8 } as const;

export const REG = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;

export const IER = { RECEIVED: 0x1, TRANSMIT_EMPTY: 0x2 } as const;
export const IIR = { NONE: 0x1, TRANSMIT_EMPTY: 0x2, RECEIVED: 0x4, FIFO_ENABLED: 0xc0 } as const;
export const FCR_ENABLE = 0x1;
export const LCR_DIVISOR = 0x80;
export const MCR_LOOPBACK = 0x10;
export const LSR = { DATA_READY: 0x1, TRANSMITTER_EMPTY: 0x60 } as const;
/** Carrier, ring off, data set ready, clear to send: someone listens. */
export const MSR_CONNECTED = 0xb0;

/** Bytes typed and not yet read by the guest; more is dropped, as on a real line. */
export const INPUT_MAX = 4096;
