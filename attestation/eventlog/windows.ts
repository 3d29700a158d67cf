/** Tagged measurements of the Windows boot configuration log (WBCL): `wbcl.h` of the Windows SDK. */
import { LittleEndian, ShortError, toHex, untilNul, utf16 } from '../bytes.ts';

const MAX_DEPTH = 4;
const MAX_RECORDS = 4096;
/** A record that holds records: SIPAEVENTTYPE_CONTAINER with SIPAEVENTTYPE_AGGREGATION. */
const AGGREGATION = 0x40010000;
const KIND_MASK = 0xffff0000;

/** Names of the records whose values a policy reads. */
const NAMES: Readonly<Record<number, string>> = {
  1073807361: 'TrustBoundary',
  1073807362: 'ElamAggregation',
  1073807363: 'LoadedModuleAggregation',
  1073807365: 'KsrAggregation',
  131073: 'Information',
  131074: 'BootCounter',
  131075: 'TransferControl',
  131076: 'ApplicationReturn',
  131077: 'BitlockerUnlock',
  131078: 'EventCounter',
  131079: 'CounterId',
  262145: 'BootDebugging',
  262146: 'BootRevocationList',
  327681: 'OsKernelDebug',
  327682: 'CodeIntegrity',
  327683: 'TestSigning',
  327684: 'DataExecutionPrevention',
  327685: 'SafeMode',
  327686: 'WinPe',
  327687: 'PhysicalAddressExtension',
  327688: 'OsDevice',
  327689: 'SystemRoot',
  327690: 'HypervisorLaunchType',
  327691: 'HypervisorPath',
  327692: 'HypervisorIommuPolicy',
  327693: 'HypervisorDebug',
  327694: 'DriverLoadPolicy',
  327695: 'SiPolicy',
  393217: 'NoAuthority',
  393218: 'AuthorityPublicKey',
  458753: 'FilePath',
  458754: 'ImageSize',
  458755: 'HashAlgorithmId',
  458756: 'AuthenticodeHash',
  458757: 'AuthorityIssuer',
  458758: 'AuthoritySerial',
  458759: 'ImageBase',
  458760: 'AuthorityPublisher',
  458761: 'AuthoritySha1Thumbprint',
  458762: 'ImageValidated',
  458763: 'ModuleSvn',
  589825: 'ElamKeyName',
  589826: 'ElamConfiguration',
  589827: 'ElamPolicy',
  589828: 'ElamMeasured',
  655361: 'VbsVsmRequired',
  655362: 'VbsSecureBootRequired',
  655363: 'VbsIommuRequired',
  655364: 'VbsMmioNxRequired',
  655365: 'VbsMsrFilteringRequired',
  655366: 'VbsMandatoryEnforcement',
  655367: 'VbsHvciPolicy',
  655368: 'VbsMicrosoftBootChainRequired',
};
const TEXTS = new Set([
  'SystemRoot',
  'HypervisorPath',
  'FilePath',
  'AuthorityIssuer',
  'AuthorityPublisher',
  'ElamKeyName',
]);

export interface WindowsRecord {
  /** Name in the header, without its prefix; the number in hexadecimal when it has none here. */
  readonly name: string;
  /** A number for values of 1, 2, 4 or 8 bytes that are not text, text for names and paths, else hexadecimal. */
  readonly value: number | string | readonly WindowsRecord[];
}

/** Records of one EV_EVENT_TAG of the Windows boot manager. Throws ShortError. */
export function readWindowsRecords(data: Uint8Array): WindowsRecord[] {
  return readRecords(data, 0, { left: MAX_RECORDS });
}

function readRecords(data: Uint8Array, depth: number, budget: { left: number }): WindowsRecord[] {
  if (depth > MAX_DEPTH) throw new ShortError(`records nested more than ${MAX_DEPTH} deep`);
  const cursor = new LittleEndian(data);
  const records: WindowsRecord[] = [];
  while (cursor.left > 0) {
    budget.left -= 1;
    if (budget.left < 0) throw new ShortError(`more than ${MAX_RECORDS} records`);
    const type = cursor.u32();
    const bytes = cursor.take(cursor.u32());
    const name = NAMES[type] ?? `0x${type.toString(16).padStart(8, '0')}`;
    const nested = (type & KIND_MASK) === AGGREGATION;
    records.push({ name, value: nested ? readRecords(bytes, depth + 1, budget) : recordValue(name, bytes) });
  }
  return records;
}

function recordValue(name: string, bytes: Uint8Array): number | string {
  if (TEXTS.has(name)) return untilNul(utf16(bytes));
  const cursor = new LittleEndian(bytes);
  if (bytes.length === 1) return cursor.u8();
  if (bytes.length === 2) return cursor.u16();
  if (bytes.length === 4) return cursor.u32();
  return bytes.length === 8 ? cursor.size64() : toHex(bytes);
}

/** Every record of a name, at any depth. */
export function windowsValues(records: readonly WindowsRecord[], name: string): (number | string)[] {
  return records.flatMap((record) =>
    typeof record.value === 'object' ? windowsValues(record.value, name) : record.name === name ? [record.value] : [],
  );
}
