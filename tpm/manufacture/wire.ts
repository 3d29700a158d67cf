/** The few TPM commands that manufacture gives, with empty platform, owner and endorsement authorisations. */
import type { TpmTransport } from '../device.ts';
import { ManufactureError } from './errors.ts';

const RH = { OWNER: 0x40000001, PW: 0x40000009, ENDORSEMENT: 0x4000000b, PLATFORM: 0x4000000c };
const CC = {
  EvictControl: 0x120,
  NV_DefineSpace: 0x12a,
  CreatePrimary: 0x131,
  NV_Write: 0x137,
  NV_WriteLock: 0x138,
  Startup: 0x144,
  FlushContext: 0x165,
  NV_ReadPublic: 0x169,
  GetCapability: 0x17a,
};
const RC = { SUCCESS: 0, INITIALIZE: 0x100 };
/** TPM_RC_HANDLE for handle 1: there is no such NV index. */
const RC_HANDLE_1 = 0x18b;
const CAP_TPM_PROPERTIES = 6;
const ALG_SHA256 = 0x000b;
/** Bytes of one NV_Write that every TPM takes (TPM_PT_NV_BUFFER_MAX is at least 512 on a PC client). */
const NV_PIECE = 512;

const u8 = (value: number) => Uint8Array.of(value);
const u16 = (value: number) => Uint8Array.of(value >> 8, value & 0xff);
const u32 = (value: number) => Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
const join = (...parts: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));
const sized = (...parts: readonly Uint8Array[]) => {
  const bytes = join(...parts);
  return join(u16(bytes.length), bytes);
};
const EMPTY = sized();
/** TPMS_AUTH_COMMAND of an empty password. */
const EMPTY_PASSWORD = join(u32(RH.PW), EMPTY, u8(0), EMPTY);

/** A fresh TPM during manufacture. Every method throws E_TPM_RESPONSE for a response code it does not expect. */
export class FactoryTpm {
  readonly #transport: TpmTransport;

  constructor(transport: TpmTransport) {
    this.#transport = transport;
  }

  /** TPM2_Startup(CLEAR); no effect on a TPM that is started up. */
  async startup(): Promise<void> {
    await this.#run('TPM2_Startup', CC.Startup, [], 0, [u16(0)], [RC.INITIALIZE]);
  }

  /** Fixed properties by number (TPM_PT_FIXED). */
  async properties(): Promise<Map<number, number>> {
    const { body } = await this.#run('TPM2_GetCapability', CC.GetCapability, [], 0, [
      u32(CAP_TPM_PROPERTIES),
      u32(0x100),
      u32(64),
    ]);
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const properties = new Map<number, number>();
    for (let at = 9; at + 8 <= body.length; at += 8) properties.set(view.getUint32(at), view.getUint32(at + 4));
    return properties;
  }

  async nvDefined(index: number): Promise<boolean> {
    const { code } = await this.#run('TPM2_NV_ReadPublic', CC.NV_ReadPublic, [index], 0, [], [RC_HANDLE_1]);
    return code === RC.SUCCESS;
  }

  /** Define an index for the platform, fill it and lock it for ever. */
  async nvStore(index: number, attributes: number, data: Uint8Array): Promise<void> {
    const area = sized(u32(index), u16(ALG_SHA256), u32(attributes), EMPTY, u16(data.length));
    await this.#run('TPM2_NV_DefineSpace', CC.NV_DefineSpace, [RH.PLATFORM], 1, [EMPTY, area]);
    for (let at = 0; at < data.length; at += NV_PIECE) {
      const piece = sized(data.subarray(at, at + NV_PIECE));
      await this.#run('TPM2_NV_Write', CC.NV_Write, [RH.PLATFORM, index], 1, [piece, u16(at)]);
    }
    await this.#run('TPM2_NV_WriteLock', CC.NV_WriteLock, [RH.PLATFORM, index], 1, []);
  }

  /** Create a primary key of the endorsement hierarchy from a TPMT_PUBLIC; returns its handle and TPMT_PUBLIC. */
  async createPrimary(template: Uint8Array): Promise<{ handle: number; publicArea: Uint8Array }> {
    const noPcrs = u32(0);
    const { body, view } = await this.#run('TPM2_CreatePrimary', CC.CreatePrimary, [RH.ENDORSEMENT], 1, [
      sized(EMPTY, EMPTY),
      sized(template),
      EMPTY,
      noPcrs,
    ]);
    // Handle, parameter size, then TPM2B_PUBLIC first.
    return { handle: view.getUint32(0), publicArea: body.slice(10, 10 + view.getUint16(8)) };
  }

  /** Keep a transient object at a persistent handle. */
  async persist(handle: number, persistent: number): Promise<void> {
    await this.#run('TPM2_EvictControl', CC.EvictControl, [RH.OWNER, handle], 1, [u32(persistent)]);
  }

  async flush(handle: number): Promise<void> {
    await this.#run('TPM2_FlushContext', CC.FlushContext, [], 0, [u32(handle)]);
  }

  async #run(
    name: string,
    code: number,
    handles: readonly number[],
    passwords: 0 | 1,
    parameters: readonly Uint8Array[],
    alsoAllowed: readonly number[] = [],
  ) {
    const auth = passwords ? join(u32(EMPTY_PASSWORD.length), EMPTY_PASSWORD) : new Uint8Array(0);
    const rest = join(...handles.map(u32), auth, ...parameters);
    const command = join(u16(passwords ? 0x8002 : 0x8001), u32(10 + rest.length), u32(code), rest);
    const response = await this.#transport.send(command);
    const body = response.subarray(10);
    const head = new DataView(response.buffer, response.byteOffset, response.length);
    const rc = head.getUint32(6);
    if (rc !== RC.SUCCESS && !alsoAllowed.includes(rc)) {
      throw new ManufactureError(
        'E_TPM_RESPONSE',
        `${name} answered 0x${rc.toString(16).padStart(3, '0')} during manufacture`,
        'manufacture a fresh TPM: one whose hierarchies have no authorisation values yet',
      );
    }
    return { code: rc, body, view: new DataView(body.buffer, body.byteOffset, body.length) };
  }
}
