/** Structures of UEFI that events carry: variables, signature lists, load options, device paths, GPT. UEFI 2.10. */
import { LittleEndian, latin1, ShortError, sameBytes, toHex, untilNul, utf16 } from '../bytes.ts';

export const GUID = {
  global: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
  imageSecurityDatabase: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
  shim: '605dab50-e046-4300-abb6-3dd810dd8b23',
  certX509: 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072',
  certSha256: 'c1c41626-504c-4092-aca9-41f936934328',
  certRsa2048: '3c5766e8-269c-4e34-aa14-ed776e85b3b6',
} as const;

/** Longest name, most signatures, partitions and path nodes of any firmware, with room to spare. */
const MAX_NAME_BYTES = 2048;
const MAX_SIGNATURES = 4096;
const MAX_PARTITIONS = 1024;
const MAX_NODES = 64;
const GUID_SIZE = 16;

/** EFI_GUID as text: its first three fields are little-endian. */
export function readGuid(cursor: LittleEndian): string {
  const hex = toHex(cursor.take(16));
  const swapped = (from: number, to: number) => {
    let text = '';
    for (let at = to - 2; at >= from; at -= 2) text += hex.slice(at, at + 2);
    return text;
  };
  return `${swapped(0, 8)}-${swapped(8, 12)}-${swapped(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export interface EfiVariable {
  readonly vendor: string;
  readonly name: string;
  readonly value: Uint8Array;
}

/** UEFI_VARIABLE_DATA (PC Client Platform Firmware Profile, section 10.2.6). Throws ShortError. */
export function readVariable(data: Uint8Array): EfiVariable {
  const cursor = new LittleEndian(data);
  const vendor = readGuid(cursor);
  const characters = cursor.size64();
  const size = cursor.size64();
  if (characters * 2 > MAX_NAME_BYTES) throw new ShortError(`a variable's name of ${characters} characters`);
  const name = utf16(cursor.take(characters * 2));
  return { vendor, name, value: cursor.take(size) };
}

export interface Signature {
  /** GUID of the signature's kind. */
  readonly kind: string;
  readonly owner: string;
  /** X.509 in DER for `GUID.certX509`, a digest for `GUID.certSha256`. */
  readonly value: Uint8Array;
}

/** EFI_SIGNATURE_LIST: signatures of one kind and size. */
export interface SignatureList {
  /** GUID of the kind. */
  readonly kind: string;
  /** Octets of one signature, with its owner. */
  readonly size: number;
  /** The signatures, a whole number of them. */
  readonly bytes: Uint8Array;
}

/** Zero or more EFI_SIGNATURE_LIST to the end of the bytes. UEFI 2.10, section 32.4.1. Throws ShortError. */
export function readSignatureLists(bytes: Uint8Array): SignatureList[] {
  const cursor = new LittleEndian(bytes);
  const lists: SignatureList[] = [];
  let signatures = 0;
  while (cursor.left > 0) {
    const start = cursor.at;
    const kind = readGuid(cursor);
    const listSize = cursor.u32();
    const headerSize = cursor.u32();
    const size = cursor.u32();
    cursor.take(headerSize);
    const left = listSize - (cursor.at - start);
    if (size < GUID_SIZE || left < 0 || left % size !== 0) throw new ShortError('a signature list is uneven');
    signatures += left / size;
    if (signatures > MAX_SIGNATURES) throw new ShortError(`more than ${MAX_SIGNATURES} signatures`);
    lists.push({ kind, size, bytes: cursor.take(left) });
  }
  return lists;
}

/** The signatures of lists, in their order. */
export function signaturesIn(lists: readonly SignatureList[]): Signature[] {
  return lists.flatMap(({ kind, size, bytes }) => {
    let last: { readonly bytes: Uint8Array; readonly owner: string } | undefined;
    return Array.from({ length: bytes.length / size }, (_, i) => {
      const signature = bytes.subarray(i * size, (i + 1) * size);
      const owner = signature.subarray(0, GUID_SIZE);
      // Hundreds of hashes in dbx have one owner: its text is made once.
      if (last === undefined || !sameBytes(last.bytes, owner))
        last = { bytes: owner, owner: readGuid(new LittleEndian(owner)) };
      return { kind, owner: last.owner, value: signature.subarray(GUID_SIZE) };
    });
  });
}

/** One EFI_SIGNATURE_DATA, as Secure Boot authorities are measured. */
export function readSignature(kind: string, bytes: Uint8Array): Signature {
  const cursor = new LittleEndian(bytes);
  return { kind, owner: readGuid(cursor), value: cursor.rest() };
}

export interface LoadOption {
  readonly attributes: number;
  readonly description: string;
  readonly path: string;
  readonly optional: Uint8Array;
}

/** EFI_LOAD_OPTION, what Boot#### holds. UEFI 2.10, section 3.1.3. Throws ShortError. */
export function readLoadOption(bytes: Uint8Array): LoadOption {
  const cursor = new LittleEndian(bytes);
  const attributes = cursor.u32();
  const pathSize = cursor.u16();
  const start = cursor.at;
  while (cursor.u16() !== 0) if (cursor.at - start > MAX_NAME_BYTES) throw new ShortError('a description without end');
  const description = utf16(bytes.subarray(start, cursor.at - 2));
  const path = devicePathText(cursor.take(pathSize));
  return { attributes, description, path, optional: cursor.rest() };
}

const END_OF_PATH = 0x7f;
const MEDIA = 0x04;
const MEDIA_HARD_DRIVE = 0x01;
const MEDIA_FILE = 0x04;
const MEDIA_FIRMWARE_FILE = 0x06;
const MEDIA_FIRMWARE_VOLUME = 0x07;
const HARDWARE = 0x01;
const ACPI = 0x02;

/** A device path as text: files, firmware volumes, partitions and PCI by name, other nodes as (type,subtype,hex). */
export function devicePathText(bytes: Uint8Array): string {
  const cursor = new LittleEndian(bytes);
  const nodes: string[] = [];
  while (cursor.left > 0) {
    const type = cursor.u8();
    const subtype = cursor.u8();
    const size = cursor.u16();
    if (size < 4) throw new ShortError(`a device path node of ${size} bytes`);
    const node = cursor.take(size - 4);
    if ((type & END_OF_PATH) === END_OF_PATH) break;
    if (nodes.length >= MAX_NODES) throw new ShortError(`more than ${MAX_NODES} device path nodes`);
    nodes.push(nodeText(type, subtype, node));
  }
  return nodes.join('/');
}

function nodeText(type: number, subtype: number, node: Uint8Array): string {
  const cursor = new LittleEndian(node);
  if (type === MEDIA && subtype === MEDIA_FILE) return untilNul(utf16(node));
  if (type === MEDIA && subtype === MEDIA_FIRMWARE_FILE) return `FvFile(${readGuid(cursor)})`;
  if (type === MEDIA && subtype === MEDIA_FIRMWARE_VOLUME) return `Fv(${readGuid(cursor)})`;
  if (type === MEDIA && subtype === MEDIA_HARD_DRIVE) {
    const partition = cursor.u32();
    cursor.take(16);
    return `HD(${partition},${readGuid(cursor)})`;
  }
  if (type === HARDWARE && subtype === 1) {
    const fn = cursor.u8();
    return `Pci(0x${cursor.u8().toString(16)},0x${fn.toString(16)})`;
  }
  if (type === ACPI && subtype === 1) return `Acpi(0x${cursor.u32().toString(16)},0x${cursor.u32().toString(16)})`;
  return `(${type},${subtype},${toHex(node)})`;
}

export interface LoadedImage {
  readonly address: bigint;
  readonly size: bigint;
  readonly linkTimeAddress: bigint;
  readonly path: string;
}

/** UEFI_IMAGE_LOAD_EVENT. PC Client Platform Firmware Profile, section 10.2.3. Throws ShortError. */
export function readLoadedImage(data: Uint8Array): LoadedImage {
  const cursor = new LittleEndian(data);
  const address = cursor.u64();
  const size = cursor.u64();
  const linkTimeAddress = cursor.u64();
  return { address, size, linkTimeAddress, path: devicePathText(cursor.take(cursor.size64())) };
}

export interface Partition {
  readonly type: string;
  readonly id: string;
  readonly first: bigint;
  readonly last: bigint;
  readonly attributes: bigint;
  readonly name: string;
}

const GPT_SIGNATURE = 'EFI PART';
const GPT_HEADER = 92;
const GPT_ENTRY_MIN = 128;

/** UEFI_GPT_DATA. PC Client Platform Firmware Profile, section 10.2.7. Throws ShortError. */
export function readGpt(data: Uint8Array): { readonly disk: string; readonly partitions: readonly Partition[] } {
  const cursor = new LittleEndian(data);
  const header = new LittleEndian(cursor.take(GPT_HEADER));
  if (latin1(header.take(8)) !== GPT_SIGNATURE) throw new ShortError('no GPT header');
  header.at = 56;
  const disk = readGuid(header);
  header.at = 84;
  const entrySize = header.u32();
  const count = cursor.size64();
  if (entrySize < GPT_ENTRY_MIN || count > MAX_PARTITIONS) throw new ShortError(`${count} partitions of ${entrySize}`);
  const partitions = Array.from({ length: count }, () => readPartition(cursor.take(entrySize)));
  return { disk, partitions };
}

function readPartition(entry: Uint8Array): Partition {
  const cursor = new LittleEndian(entry);
  return {
    type: readGuid(cursor),
    id: readGuid(cursor),
    first: cursor.u64(),
    last: cursor.u64(),
    attributes: cursor.u64(),
    name: untilNul(utf16(cursor.take(72))),
  };
}
