/** A counter of the platform TPM's NV memory: it never falls, and outlives whatever a root does to files. */
import { nvAttributes, TPM_ALG, TPM_RC, TPM_RH, TPMA_NV, type TpmClient } from '../../tpm/index.ts';
import { isRefusal } from './tpm-refusal.ts';

const EMPTY = new Uint8Array();
const SIZE = 8;
const ATTRIBUTES = nvAttributes('COUNTER', TPMA_NV.OWNERWRITE, TPMA_NV.OWNERREAD, TPMA_NV.AUTHREAD, TPMA_NV.NO_DA);

export class NvCounter {
  private readonly client: TpmClient;
  private readonly nvIndex: number;

  private constructor(client: TpmClient, nvIndex: number) {
    this.client = client;
    this.nvIndex = nvIndex;
  }

  /** The counter at `nvIndex`, defined where it is not there yet: it must be incremented once before it can be read. */
  static async open(client: TpmClient, nvIndex: number): Promise<NvCounter> {
    const counter = new NvCounter(client, nvIndex);
    if (!(await counter.defined())) await counter.define();
    return counter;
  }

  async read(): Promise<bigint> {
    const { nvIndex } = this;
    const { data } = await this.client.NV_Read({ authHandle: TPM_RH.OWNER, nvIndex, size: SIZE, offset: 0 });
    return Buffer.from(data).readBigUInt64BE();
  }

  /** Durable when it resolves. */
  async increment(): Promise<void> {
    await this.client.NV_Increment({ authHandle: TPM_RH.OWNER, nvIndex: this.nvIndex });
  }

  private async defined(): Promise<boolean> {
    try {
      await this.client.NV_ReadPublic({ nvIndex: this.nvIndex });
      return true;
    } catch (error) {
      if (isRefusal(error, TPM_RC.HANDLE)) return false;
      throw error;
    }
  }

  private async define(): Promise<void> {
    const { nvIndex } = this;
    await this.client.NV_DefineSpace({
      authHandle: TPM_RH.OWNER,
      auth: EMPTY,
      publicInfo: { nvIndex, nameAlg: TPM_ALG.SHA256, attributes: ATTRIBUTES, authPolicy: EMPTY, dataSize: SIZE },
    });
  }
}
