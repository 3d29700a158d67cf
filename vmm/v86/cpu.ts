/**
 * The part of v86 that the engine uses, typed. v86 publishes no types for its processor; these names survive its
 * minifier because its own front end reaches them by property.
 */
import { V86 } from 'v86';

type Read = (this: unknown, address: number) => number;
type Write = (this: unknown, value: number) => void;

/** Port and memory-mapped I/O. Port callbacks get the value written; memory callbacks get address and value. */
export interface V86Io {
  register_read(port: number, device: object, read8?: Read, read16?: Read, read32?: Read): void;
  register_write(port: number, device: object, write8?: Write, write16?: Write, write32?: Write): void;
  /** Base and size are multiples of 128 KiB. Addresses may arrive as signed 32-bit integers. */
  mmap_register(
    base: number,
    size: number,
    read8: (address: number) => number,
    write8: (address: number, value: number) => void,
    read32?: (address: number) => number,
    write32?: (address: number, value: number) => void,
  ): void;
}

export interface V86Cpu {
  readonly io: V86Io;
  /** Guest RAM: a view of the emulator's WebAssembly memory, which never grows after start. */
  readonly mem8: Uint8Array<ArrayBuffer>;
  readonly memory_size: Int32Array;
  readonly reg32: Int32Array;
  readonly cr: Int32Array;
  /** Current privilege level, one element. */
  readonly cpl: Uint8Array;
  readonly flags: Int32Array;
  readonly protected_mode: Int32Array;
  readonly is_32: Int32Array;
  readonly stack_size_32: Int32Array;
  readonly sreg: Uint16Array;
  readonly segment_is_null: Uint8Array;
  readonly segment_offsets: Int32Array;
  readonly segment_limits: Uint32Array;
  readonly instruction_pointer: Int32Array;
  readonly instruction_counter: Uint32Array;
  /** Files of the firmware-configuration interface. */
  readonly option_roms: { name: string; data: Uint8Array }[];
  readonly devices: { readonly pci: V86Pci };
  get_seg_cs(): number;
  update_state_flags(): void;
  /** Write guest memory and drop compiled code that stood there. */
  write_blob(bytes: Uint8Array, address: number): void;
  device_raise_irq(line: number): void;
  device_lower_irq(line: number): void;
  set_jit_config(option: number, value: number): void;
  /** Called by v86 for every reset that the guest asks for. */
  reboot_internal(): void;
}

/** Configuration space: 64 words for each function that exists; words 4 to 9 are the base address registers. */
interface V86Pci {
  readonly devices: readonly ({ readonly pci_bars: readonly (object | undefined)[] } | undefined)[];
  readonly device_spaces: readonly (Int32Array | undefined)[];
}

export interface Emulator {
  readonly v86: {
    readonly cpu: V86Cpu;
    readonly running: boolean;
    run(): void;
    /** Takes effect at the end of the present time slice; then `emulator-stopped` is sent. */
    stop(): void;
    save_state(): ArrayBuffer;
    restore_state(state: ArrayBuffer): void;
  };
  readonly bus: { send(event: string, value?: unknown): void };
  add_listener(event: string, listener: (value: never) => void): void;
}

/** Firmware images; without them the processor starts at the entry state that the machine monitor sets. */
export interface Firmware {
  readonly bios: Uint8Array;
  readonly vgaBios?: Uint8Array;
  /** Files of the firmware-configuration interface (`etc/acpi/tables`, ...). */
  readonly files?: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

export interface EmulatorOptions {
  readonly wasm: WebAssembly.Module;
  readonly memoryBytes: number;
  readonly firmware?: Firmware;
  /** v86's own ACPI power management ports. */
  readonly acpi: boolean;
  /** Images of IDE drives and the CD drive. */
  readonly hda?: Uint8Array;
  readonly cdrom?: Uint8Array;
}

/** The smallest VGA memory that v86 accepts; no guest of ours draws. */
const VGA_BYTES = 256 * 1024;

const image = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : { buffer: new Uint8Array(bytes).buffer };

/** Build a stopped machine. Resolves when its memory and devices exist and before its first instruction. */
export async function createEmulator(options: EmulatorOptions): Promise<Emulator> {
  const settings: Record<string, unknown> = {
    wasm_fn: async (imports: WebAssembly.Imports) => (await WebAssembly.instantiate(options.wasm, imports)).exports,
    memory_size: options.memoryBytes,
    vga_memory_size: VGA_BYTES,
    autostart: false,
    acpi: options.acpi,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    bios: image(options.firmware?.bios),
    vga_bios: image(options.firmware?.vgaBios),
    hda: image(options.hda),
    cdrom: image(options.cdrom),
  };
  for (const key of Object.keys(settings)) if (settings[key] === undefined) delete settings[key];
  // The published declaration of V86 hides the members that `Emulator` names.
  const emulator = new V86(settings) as unknown as Emulator;
  await new Promise<void>((resolve) => emulator.add_listener('emulator-loaded', () => resolve()));
  for (const file of options.firmware?.files ?? []) {
    emulator.v86.cpu.option_roms.push({ name: file.name, data: file.bytes });
  }
  clearAbsentBars(emulator.v86.cpu.devices.pci);
  return emulator;
}

/**
 * The IDE controller advertises ports of a channel without drives, whose base address register v86 does not have.
 * It ignores that until it restores a saved state, and then throws. An absent register reads as zero.
 */
function clearAbsentBars(pci: V86Pci): void {
  pci.devices.forEach((device, i) => {
    device?.pci_bars.forEach((bar, n) => {
      const space = pci.device_spaces[i];
      if (bar === undefined && space !== undefined) space[4 + n] = 0;
    });
  });
}
