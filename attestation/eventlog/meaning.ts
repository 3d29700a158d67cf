/**
 * What an event says, as a typed value, by the PC Client Platform Firmware Profile and by what boot loaders write. An
 * event's data is only as good as the digest over it: `binding.ts` says which of these can be believed. Data that its
 * type does not allow gives `malformed`, never an exception: one odd event must not hide the others.
 */
import { fromLatin1, LittleEndian, latin1, ShortError, toHex, untilNul, utf16 } from '../bytes.ts';
import {
  type EfiVariable,
  GUID,
  type LoadedImage,
  type LoadOption,
  type Partition,
  readGpt,
  readGuid,
  readLoadedImage,
  readLoadOption,
  readSignature,
  readSignatureLists,
  readVariable,
  type Signature,
  type SignatureList,
} from './efi.ts';
import type { LogEvent } from './format.ts';
import { startupLocalityOf } from './replay.ts';
import { EVENT } from './types.ts';
import { readWindowsRecords, type WindowsRecord } from './windows.ts';

export type Meaning =
  | { readonly kind: 'separator'; readonly error: boolean }
  | { readonly kind: 'startup-locality'; readonly locality: number }
  | { readonly kind: 'crtm-version'; readonly version: string }
  | { readonly kind: 'action'; readonly text: string }
  | { readonly kind: 'post-code'; readonly text: string }
  | { readonly kind: 'firmware-blob'; readonly description: string; readonly base: bigint; readonly size: bigint }
  | { readonly kind: 'handoff-tables'; readonly tables: readonly string[] }
  | ({ readonly kind: 'variable' } & EfiVariable)
  | ({ readonly kind: 'boot-order'; readonly order: readonly number[] } & EfiVariable)
  | ({ readonly kind: 'boot-option'; readonly option: LoadOption } & EfiVariable)
  | ({ readonly kind: 'secure-boot-variable'; readonly lists: readonly SignatureList[] } & EfiVariable)
  | ({ readonly kind: 'secure-boot-state'; readonly enabled: boolean } & EfiVariable)
  | ({ readonly kind: 'authority'; readonly signature: Signature | undefined } & EfiVariable)
  | ({ readonly kind: 'sbat-level'; readonly level: string } & EfiVariable)
  | ({ readonly kind: 'image' } & LoadedImage)
  | { readonly kind: 'gpt'; readonly disk: string; readonly partitions: readonly Partition[] }
  | { readonly kind: 'grub'; readonly subject: GrubSubject; readonly text: string; readonly from: number }
  | { readonly kind: 'mok'; readonly list: string }
  | { readonly kind: 'uki-section'; readonly section: string }
  | { readonly kind: 'kernel-command-line'; readonly text: string }
  | { readonly kind: 'linux-stub'; readonly subject: 'initrd' | 'load-options'; readonly text: string }
  | { readonly kind: 'systemd'; readonly subject: string; readonly text: string }
  | { readonly kind: 'windows'; readonly records: readonly WindowsRecord[] }
  | { readonly kind: 'tagged'; readonly tag: number; readonly data: Uint8Array }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'no-action'; readonly signature: string }
  | { readonly kind: 'opaque' }
  | { readonly kind: 'malformed'; readonly reason: string };

/** What GRUB measures as text: PCR 8 for commands and command lines, PCR 9 for files it reads. */
export type GrubSubject = 'command' | 'kernel-command-line' | 'module-command-line' | 'file';

/** Never throws. */
export function meaningOf(event: LogEvent): Meaning {
  try {
    return read(event);
  } catch (error) {
    if (error instanceof ShortError) return { kind: 'malformed', reason: error.message };
    throw error;
  }
}

function read(event: LogEvent): Meaning {
  const { type, data } = event;
  switch (type) {
    case EVENT.NO_ACTION:
      return noAction(event);
    case EVENT.SEPARATOR:
      return separator(data);
    case EVENT.S_CRTM_VERSION:
      return { kind: 'crtm-version', version: crtmVersion(data) };
    case EVENT.ACTION:
    case EVENT.EFI_ACTION:
    case EVENT.OMIT_BOOT_DEVICE_EVENTS:
      return { kind: 'action', text: textOf(data) };
    case EVENT.POST_CODE:
      return isPrintable(data) ? { kind: 'post-code', text: textOf(data) } : firmwareBlob(data);
    case EVENT.EFI_PLATFORM_FIRMWARE_BLOB:
      return firmwareBlob(data);
    case EVENT.POST_CODE2:
    case EVENT.EFI_PLATFORM_FIRMWARE_BLOB2:
      return firmwareBlob2(data);
    case EVENT.EFI_HANDOFF_TABLES:
      return { kind: 'handoff-tables', tables: handoffTables(new LittleEndian(data)) };
    case EVENT.EFI_HANDOFF_TABLES2: {
      const cursor = new LittleEndian(data);
      cursor.take(cursor.u8());
      return { kind: 'handoff-tables', tables: handoffTables(cursor) };
    }
    case EVENT.EFI_VARIABLE_DRIVER_CONFIG:
      return driverConfig(readVariable(data));
    case EVENT.EFI_VARIABLE_BOOT:
    case EVENT.EFI_VARIABLE_BOOT2:
      return bootVariable(readVariable(data));
    case EVENT.EFI_VARIABLE_AUTHORITY:
      return authority(readVariable(data));
    case EVENT.EFI_BOOT_SERVICES_APPLICATION:
    case EVENT.EFI_BOOT_SERVICES_DRIVER:
    case EVENT.EFI_RUNTIME_SERVICES_DRIVER:
      return { kind: 'image', ...readLoadedImage(data) };
    case EVENT.EFI_GPT_EVENT:
    case EVENT.EFI_GPT_EVENT2:
      return { kind: 'gpt', ...readGpt(data) };
    case EVENT.IPL:
      return initialProgram(event);
    case EVENT.EVENT_TAG:
      return tagged(event);
    case EVENT.S_CRTM_CONTENTS:
    case EVENT.COMPACT_HASH:
    case EVENT.NONHOST_INFO:
    case EVENT.EFI_HCRTM_EVENT:
      return isPrintable(data) ? { kind: 'text', text: textOf(data) } : { kind: 'opaque' };
    default:
      return { kind: 'opaque' };
  }
}

function noAction(event: LogEvent): Meaning {
  const locality = startupLocalityOf(event);
  if (locality !== undefined) return { kind: 'startup-locality', locality };
  return { kind: 'no-action', signature: untilNul(latin1(event.data.subarray(0, 16))) };
}

/** Section 10.4.1: 0, 0xffffffff or "WBCL" without error, 1 for an error. */
function separator(data: Uint8Array): Meaning {
  const error = data.length === 4 && new LittleEndian(data).u32() === 1;
  return { kind: 'separator', error };
}

/** A UTF-16 string, or a GUID, or what a vendor put there. */
function crtmVersion(data: Uint8Array): string {
  if (data.length >= 4 && data[1] === 0) return untilNul(utf16(data));
  if (isPrintable(data)) return textOf(data);
  return data.length === 16 ? readGuid(new LittleEndian(data)) : toHex(data);
}

function firmwareBlob(data: Uint8Array): Meaning {
  if (data.length !== 16) return { kind: 'opaque' };
  const cursor = new LittleEndian(data);
  return { kind: 'firmware-blob', description: '', base: cursor.u64(), size: cursor.u64() };
}

function firmwareBlob2(data: Uint8Array): Meaning {
  const cursor = new LittleEndian(data);
  const description = latin1(cursor.take(cursor.u8()));
  return { kind: 'firmware-blob', description, base: cursor.u64(), size: cursor.u64() };
}

const MAX_TABLES = 256;

function handoffTables(cursor: LittleEndian): string[] {
  const count = cursor.size64();
  if (count > MAX_TABLES) throw new ShortError(`${count} tables`);
  return Array.from({ length: count }, () => {
    const vendor = readGuid(cursor);
    cursor.u64();
    return vendor;
  });
}

const SIGNATURE_DATABASES = new Set(['PK', 'KEK', 'db', 'dbx', 'dbt', 'dbr']);
const STATES = new Set(['SecureBoot', 'AuditMode', 'DeployedMode', 'SetupMode']);

function driverConfig(variable: EfiVariable): Meaning {
  const { vendor, name, value } = variable;
  const ofUefi = vendor === GUID.global || vendor === GUID.imageSecurityDatabase;
  if (ofUefi && SIGNATURE_DATABASES.has(name)) {
    return { kind: 'secure-boot-variable', ...variable, lists: readSignatureLists(value) };
  }
  if (vendor === GUID.global && STATES.has(name)) {
    if (value.length > 1) throw new ShortError(`${name} of ${value.length} bytes`);
    return { kind: 'secure-boot-state', ...variable, enabled: value[0] === 1 };
  }
  return { kind: 'variable', ...variable };
}

function bootVariable(variable: EfiVariable): Meaning {
  const { name, value } = variable;
  if (name === 'BootOrder') {
    const cursor = new LittleEndian(value);
    return { kind: 'boot-order', ...variable, order: Array.from({ length: value.length >> 1 }, () => cursor.u16()) };
  }
  if (/^Boot[0-9A-Fa-f]{4}$/.test(name) && value.length > 0) {
    return { kind: 'boot-option', ...variable, option: readLoadOption(value) };
  }
  return { kind: 'variable', ...variable };
}

/** Section 3.3.4.8: the db entry that let an image through; shim logs its own lists and the SBAT level likewise. */
function authority(variable: EfiVariable): Meaning {
  const { vendor, name, value } = variable;
  if (name === 'SbatLevel') return { kind: 'sbat-level', ...variable, level: untilNul(latin1(value)) };
  if (vendor === GUID.shim && name !== 'Shim' && name !== 'MokList' && name !== 'Vendor') {
    return { kind: 'variable', ...variable };
  }
  // EFI_SIGNATURE_DATA from firmware; from shim a bare certificate.
  const bare = value[0] === 0x30;
  const signature = bare
    ? { kind: GUID.certX509, owner: vendor, value }
    : value.length >= 16
      ? readSignature(GUID.certX509, value)
      : undefined;
  return { kind: 'authority', ...variable, signature };
}

const GRUB_PREFIXES: readonly { readonly prefix: Uint8Array; readonly subject: GrubSubject }[] = [
  { prefix: fromLatin1('grub_cmd: '), subject: 'command' },
  { prefix: fromLatin1('grub_cmd '), subject: 'command' },
  { prefix: fromLatin1('kernel_cmdline: '), subject: 'kernel-command-line' },
  { prefix: fromLatin1('grub_kernel_cmdline '), subject: 'kernel-command-line' },
  { prefix: fromLatin1('module_cmdline: '), subject: 'module-command-line' },
];
const UKI_SECTIONS = /^\.[a-z]{1,7}$/;
const PCR = { grubText: 8, grubFile: 9, ukiSections: 11, commandLine: 12, mok: 14 } as const;

/** `from`: where the text stands in the data, behind the prefix that says what it is. */
function grubText({ pcr, data }: LogEvent): Meaning | undefined {
  if (pcr !== PCR.grubText) return undefined;
  for (const { prefix, subject } of GRUB_PREFIXES) {
    if (!startsWith(data, prefix)) continue;
    const from = prefix.length;
    return { kind: 'grub', subject, from, text: latin1(data, from, endOfText(data, from)) };
  }
  return undefined;
}

function initialProgram(event: LogEvent): Meaning {
  const { pcr, data } = event;
  const grub = grubText(event);
  if (grub !== undefined) return grub;
  const text = textOf(data);
  if (pcr === PCR.mok && /^Mok\w+$/.test(text)) return { kind: 'mok', list: text };
  if (pcr === PCR.grubFile && isPrintable(data)) return { kind: 'grub', subject: 'file', from: 0, text };
  const wide = isWide(data);
  if (pcr === PCR.ukiSections) {
    const section = wide ? untilNul(utf16(data)) : text;
    if (UKI_SECTIONS.test(section)) return { kind: 'uki-section', section };
  }
  if (wide && (pcr === PCR.commandLine || pcr === PCR.grubText)) {
    return { kind: 'kernel-command-line', text: untilNul(utf16(data)) };
  }
  if (wide) return { kind: 'text', text: untilNul(utf16(data)) };
  return isPrintable(data) ? { kind: 'text', text } : { kind: 'opaque' };
}

/** drivers/firmware/efi/libstub/efi-stub-helper.c */
const LINUX_INITRD_TAG = 0x8f3b22ec;
const LINUX_LOAD_OPTIONS_TAG = 0x8f3b22ed;
/** systemd, src/fundamental/tpm-pcr-tags.h */
const SYSTEMD_TAGS: Readonly<Record<number, string>> = {
  4122761258: 'loader-configuration',
  1816590161: 'devicetree-addon',
  1239416335: 'initrd-addon',
  3670052378: 'microcode-addon',
  330225371: 'uki-profile',
};
/** Windows measures its tagged events into these. */
const WINDOWS_REGISTERS = new Set([11, 12, 13, 14]);
const WINDOWS_TAGS = 0x000f0000;

/** TCG_PCClientTaggedEvent, section 10.4.2.1. */
function tagged(event: LogEvent): Meaning {
  // Linux before 6.2 logged its text without the tag.
  if (isPrintable(event.data)) return { kind: 'text', text: untilNul(latin1(event.data)) };
  const cursor = new LittleEndian(event.data);
  const tag = cursor.u32();
  const data = cursor.take(cursor.u32());
  if (tag === LINUX_INITRD_TAG || tag === LINUX_LOAD_OPTIONS_TAG) {
    const subject = tag === LINUX_INITRD_TAG ? 'initrd' : 'load-options';
    return { kind: 'linux-stub', subject, text: textOf(data) };
  }
  const systemd = SYSTEMD_TAGS[tag];
  if (systemd !== undefined) return { kind: 'systemd', subject: systemd, text: untilNul(utf16(data)) };
  if (WINDOWS_REGISTERS.has(event.pcr) && (tag & WINDOWS_TAGS) !== 0) {
    return { kind: 'windows', records: readWindowsRecords(event.data) };
  }
  return { kind: 'tagged', tag, data };
}

/** One character per octet, to the first NUL. */
const textOf = (data: Uint8Array): string => latin1(data, 0, endOfText(data, 0));

function endOfText(data: Uint8Array, from: number): number {
  const end = data.indexOf(0, from);
  return end < 0 ? data.length : end;
}

function startsWith(data: Uint8Array, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (data[i] !== prefix[i]) return false;
  return true;
}

/** ASCII, with at most trailing NULs. */
function isPrintable(data: Uint8Array): boolean {
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end -= 1;
  if (end === 0) return false;
  for (let i = 0; i < end; i++) {
    const byte = data[i] ?? 0;
    if ((byte < 0x20 || byte > 0x7e) && byte !== 0x0a && byte !== 0x09) return false;
  }
  return true;
}

/** UTF-16 of characters below 256. */
function isWide(data: Uint8Array): boolean {
  if (data.length < 2 || data.length % 2 !== 0) return false;
  for (let i = 1; i < data.length; i += 2) if (data[i] !== 0) return false;
  return data[0] !== 0;
}
