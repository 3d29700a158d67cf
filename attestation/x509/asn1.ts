/** Reading structures of ASN.1 where pkijs has no class for them, or one that says less than the bytes do. */
import * as asn1js from 'asn1js';

/** Members of a SEQUENCE, SET or constructed tag; of another thing none. */
export const members = (block: unknown): readonly asn1js.BaseBlock[] =>
  block instanceof asn1js.Constructed ? (block.valueBlock.value as asn1js.BaseBlock[]) : [];

/** The octets of a block as they were read, header included. */
export const raw = (block: unknown): Uint8Array =>
  block instanceof asn1js.BaseBlock ? Uint8Array.from(block.valueBeforeDecodeView) : new Uint8Array();

/** The number of a context-specific tag; undefined for other blocks. */
export const tagOf = (block: asn1js.BaseBlock): number | undefined =>
  block.idBlock.tagClass === 3 ? block.idBlock.tagNumber : undefined;

export const tagged = (blocks: readonly asn1js.BaseBlock[], tag: number): asn1js.BaseBlock | undefined =>
  blocks.find((block) => tagOf(block) === tag);

/** Throws RangeError for what is no object identifier. */
export function identifier(block: unknown): string {
  if (block instanceof asn1js.ObjectIdentifier) return block.valueBlock.toString();
  throw new RangeError('an object identifier that is none');
}
