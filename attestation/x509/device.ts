/** Names of a device in its certificates. IEEE 802.1AR, section 8; RFC 4108, section 5; RFC 4519. */
import * as asn1js from 'asn1js';
import type { Certificate } from 'pkijs';
import { toHex } from '../bytes.ts';
import { members } from './asn1.ts';

const OID_SERIAL_NUMBER = '2.5.4.5';
const OID_ALTERNATIVE_NAME = '2.5.29.17';
const OID_HARDWARE_MODULE_NAME = '1.3.6.1.5.5.7.8.4';

/** Kind of name to name: the subject's serialNumber, and HardwareModuleName's type and serial number. */
export function deviceIdentities(certificate: Certificate): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const serial = certificate.subject.typesAndValues.find(({ type }) => type === OID_SERIAL_NUMBER);
  const text: unknown = serial?.value.valueBlock.value;
  if (typeof text === 'string') names.set('serialNumber', text);
  const extension = certificate.extensions?.find(({ extnID }) => extnID === OID_ALTERNATIVE_NAME);
  if (extension === undefined) return names;
  const { result } = asn1js.fromBER(Uint8Array.from(extension.extnValue.valueBlock.valueHexView));
  for (const name of members(result)) {
    const [oid, value] = members(name);
    if (!(oid instanceof asn1js.ObjectIdentifier) || oid.valueBlock.toString() !== OID_HARDWARE_MODULE_NAME) continue;
    // otherName's value stands in an explicit tag 0.
    const [type, number] = members(members(value)[0]);
    if (type instanceof asn1js.ObjectIdentifier && number instanceof asn1js.OctetString) {
      names.set(`hardwareModule ${type.valueBlock.toString()}`, toHex(number.valueBlock.valueHexView));
    }
  }
  return names;
}
