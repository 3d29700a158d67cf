/**
 * What a direct boot measures, in order, before the guest's first instruction. The monitor stands for firmware and
 * loader, so its events carry the names that both would give them. TCG PC Client Platform Firmware Profile 1.06,
 * sections 3.3.4 (which PCR) and 10.4 (event types); tags of Linux drivers/firmware/efi/libstub/efi-stub-helper.c.
 */
import { firmwareEvents } from '../firmware/direct.ts';
import type { MeasuredEvent } from '../firmware/tpm-startup.ts';
import type { KernelBoot, LinuxBoot } from './boot.ts';

const EV = {
  EVENT_TAG: 0x06,
  EFI_BOOT_SERVICES_APPLICATION: 0x80000003,
} as const;

const TAG = {
  initrd: { id: 0x8f3b22ec, name: 'Linux initrd' },
  loadOptions: { id: 0x8f3b22ed, name: 'LOADED_IMAGE::LoadOptions' },
} as const;

/** PCR 0: monitor and ACPI tables. 0-7: separators. 4: kernel. 9: command line and initramfs. */
export function measuredEvents(
  boot: Pick<LinuxBoot, 'kernel' | 'initrd' | 'commandLine' | 'machine' | 'tpm'>,
  monitorVersion: string,
): MeasuredEvent[] {
  return [...firmwareEvents(boot, monitorVersion), ...kernelEvents(boot)];
}

/** What a loader measures, whatever firmware was there before it. */
export function kernelEvents(boot: Pick<KernelBoot, 'kernel' | 'initrd' | 'commandLine'>): MeasuredEvent[] {
  return [
    {
      pcr: 4,
      type: EV.EFI_BOOT_SERVICES_APPLICATION,
      measured: authenticodeRanges(boot.kernel.image),
      event: imageLoadEvent(boot.kernel.image.length),
    },
    tagged(TAG.loadOptions, utf16(`${boot.commandLine}\0`)),
    tagged(TAG.initrd, boot.initrd),
  ];
}

/**
 * The parts of a PE file that its Authenticode digest covers: all but checksum, the certificate directory entry and
 * the certificates. A file that is no PE is covered whole.
 */
export function authenticodeRanges(image: Uint8Array): Uint8Array[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const whole = [image];
  if (image.length < 0x40 || view.getUint16(0, true) !== 0x5a4d) return whole;
  const header = view.getUint32(0x3c, true);
  if (header + 0x18 + 0xa0 > image.length || view.getUint32(header, true) !== 0x4550) return whole;
  const optional = header + 0x18;
  const checksum = optional + 64;
  // Entry 4 of the data directories, which start later in PE32+ (magic 0x20b).
  const directory = optional + (view.getUint16(optional, true) === 0x20b ? 112 : 96) + 4 * 8;
  const certificates = view.getUint32(directory, true);
  const size = view.getUint32(directory + 4, true);
  const signed = certificates > directory && certificates + size <= image.length && size > 0;
  const ranges = [
    image.subarray(0, checksum),
    image.subarray(checksum + 4, directory),
    image.subarray(directory + 8, signed ? certificates : image.length),
  ];
  return signed ? [...ranges, image.subarray(certificates + size)] : ranges;
}

/** UEFI_IMAGE_LOAD_EVENT (section 10.2.3) of an image that was never at an EFI address. */
function imageLoadEvent(length: number): Uint8Array {
  const event = new Uint8Array(32);
  new DataView(event.buffer).setUint32(8, length, true);
  return event;
}

/** TCG_PCClientTaggedEvent (section 10.4.2.1), PCR 9. */
function tagged(tag: { readonly id: number; readonly name: string }, measured: Uint8Array): MeasuredEvent {
  const name = latin1(tag.name);
  const event = new Uint8Array(8 + name.length);
  const view = new DataView(event.buffer);
  view.setUint32(0, tag.id, true);
  view.setUint32(4, name.length, true);
  event.set(name, 8);
  return { pcr: 9, type: EV.EVENT_TAG, measured: [measured], event };
}

const latin1 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const utf16 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'utf16le'));
