/** Where a listener stands: a TCP port (0 picks one; host defaults to 127.0.0.1) or a Unix socket (mode 0600). */
export type Place = { readonly port: number; readonly host?: string } | { readonly path: string };

/** `host:port` or the path. */
export function placeName(at: Place): string {
  return 'path' in at ? at.path : `${at.host ?? '127.0.0.1'}:${at.port}`;
}
