/** Where a listener stands: a TCP port (0 picks one; host defaults to 127.0.0.1) or a Unix socket (mode 0600). */
export type Place = { readonly port: number; readonly host?: string } | { readonly path: string };

/** A connection that this process was started with: the descriptor of its socket. */
export interface Inherited {
  readonly fd: number;
}

/** `host:port`, the path, or the descriptor. */
export function placeName(at: Place | Inherited): string {
  if ('fd' in at) return `descriptor ${at.fd}`;
  return 'path' in at ? at.path : `${at.host ?? '127.0.0.1'}:${at.port}`;
}
