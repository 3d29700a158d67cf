/**
 * The least security version that may open the root secret of a platform with a release key: an NV index of the platform
 * TPM that only rises (`LEAST_SVN` in nexus/launch/root-policy.ts).
 */
import { TPM_RC, TPM_RH, type TpmClient } from '../../tpm/index.ts';
import { LEAST_SVN, LEAST_SVN_NAME, svnBits } from '../launch/index.ts';
import { HostError } from './errors.ts';
import { isRefusal } from './tpm-refusal.ts';

const { nvIndex, dataSize } = LEAST_SVN;
const OWNED = { authHandle: TPM_RH.OWNER, nvIndex } as const;

const isOurs = (name: Uint8Array | undefined): boolean =>
  name !== undefined && Buffer.from(name).equals(LEAST_SVN_NAME);

export class LeastSvn {
  private readonly client: TpmClient;

  private constructor(client: TpmClient) {
    this.client = client;
  }

  /** The index, at 0 where the platform has none yet. Throws HostError E_PLATFORM when another index is in its place. */
  static async open(client: TpmClient): Promise<LeastSvn> {
    const least = new LeastSvn(client);
    const found = await least.name();
    if (isOurs(found)) return least;
    if (found === undefined) {
      await client.NV_DefineSpace({ authHandle: TPM_RH.PLATFORM, auth: new Uint8Array(), publicInfo: LEAST_SVN });
    }
    // The first write gives the index its final name; power may have gone before it.
    await client.NV_SetBits({ ...OWNED, bits: svnBits(0) });
    if (isOurs(await least.name())) return least;
    const index = `0x${nvIndex.toString(16).padStart(8, '0')}`;
    const remedy = 'make the platform anew, with a TPM of its own';
    throw new HostError('E_PLATFORM', `NV index ${index} of the platform TPM is not the nexus's`, remedy);
  }

  /** The least version that opens the root secret: as many as the highest bit that is set says. */
  async read(): Promise<number> {
    const bits = await this.bits();
    return bits === 0n ? 0 : bits.toString(2).length;
  }

  /** Durable when it resolves. */
  async raise(svn: number): Promise<void> {
    const bits = svnBits(svn);
    if (((await this.bits()) & bits) !== bits) await this.client.NV_SetBits({ ...OWNED, bits });
  }

  private async bits(): Promise<bigint> {
    const { data } = await this.client.NV_Read({ ...OWNED, size: dataSize, offset: 0 });
    return Buffer.from(data).readBigUInt64BE();
  }

  private async name(): Promise<Uint8Array | undefined> {
    try {
      return (await this.client.NV_ReadPublic({ nvIndex })).nvName;
    } catch (error) {
      if (isRefusal(error, TPM_RC.HANDLE)) return undefined;
      throw error;
    }
  }
}
