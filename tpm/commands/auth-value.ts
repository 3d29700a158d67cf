/** An authorisation value without its trailing zeros. Part 1, section 19.6.5. */
export function trimAuth(value: Uint8Array): Uint8Array {
  let end = value.length;
  while (end > 0 && value[end - 1] === 0) end--;
  return end === value.length ? value : value.subarray(0, end);
}
