/**
 * Signatures by openssl 3.0.19 with one P-256 key, as the kernel's tools make them: `openssl cms -sign -binary -nocerts` over
 * the text "the module", with `-noattr` (sign-file), with attributes, and with `-noattr -keyid`; `openssl dgst -sha256 -sign`
 * over FILE, which is what evmctl wraps.
 */
const bytes = (base64: string) => Uint8Array.from(Buffer.from(base64, 'base64'));

export const MODULE = 'the module';
export const FILE = '#!/bin/sh\n';
export const CERTIFICATE = bytes(
  'MIIBkTCCATegAwIBAgIULYAF29OpXsHDa4HPQc11bBktHDgwCgYIKoZIzj0EAwIwHTEbMBkGA1UEAwwSTW9kdWxlIHNpZ25pbmcga2V5MCAXDTI2MTEyMzAxMzcxM1oYDzIxMjYxMDMwMDEzNzEzWjAdMRswGQYDVQQDDBJNb2R1bGUgc2lnbmluZyBrZXkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ1qlxWqH9itbmYMFJZDebALLfKKNCCp8W/2S43H8Bg7tnmlJXuhFQnB9Wj1Ba8t9ud18qJTB14FVQJJclaU0Y4o1MwUTAdBgNVHQ4EFgQULZyAiEUC2XYyUqy7bNX7iredyNYwHwYDVR0jBBgwFoAULZyAiEUC2XYyUqy7bNX7iredyNYwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAinPuP8NDW6UZu1chQoA2F2mnaWHiRT2X6Lsx0d9//lQCIBYsv3q326pYgXj2HJWD322Xhnb2VS7ZN/uKKR6+ybm0',
);
export const KEY_ID = 'b79dc8d6';
export const SIGN_FILE = bytes(
  'MIHSBgkqhkiG9w0BBwKggcQwgcECAQExDTALBglghkgBZQMEAgEwCwYJKoZIhvcNAQcBMYGfMIGcAgEBMDUwHTEbMBkGA1UEAwwSTW9kdWxlIHNpZ25pbmcga2V5AhQtgAXb06lewcNrgc9BzXVsGS0cODALBglghkgBZQMEAgEwCgYIKoZIzj0EAwIERzBFAiEAiIDcg3PT40iXfClTb0ocU+qGsu/NZEvwZi0XuMzpiAsCIAMah6Tk8yt/CiZk2uiLp/JCgZrRGQDrxbcXfvbXuaUP',
);
export const WITH_ATTRIBUTES = bytes(
  'MIIBvgYJKoZIhvcNAQcCoIIBrzCCAasCAQExDTALBglghkgBZQMEAgEwCwYJKoZIhvcNAQcBMYIBiDCCAYQCAQEwNTAdMRswGQYDVQQDDBJNb2R1bGUgc2lnbmluZyBrZXkCFC2ABdvTqV7Bw2uBz0HNdWwZLRw4MAsGCWCGSAFlAwQCAaCB5DAYBgkqhkiG9w0BCQMxCwYJKoZIhvcNAQcBMBwGCSqGSIb3DQEJBTEPFw0yNjExMjMwMTM3MTNaMC8GCSqGSIb3DQEJBDEiBCAnt54JD3Advh1hwD6e3H0BEO5BQGqD9OaKsUd0tkwOvzB5BgkqhkiG9w0BCQ8xbDBqMAsGCWCGSAFlAwQBKjALBglghkgBZQMEARYwCwYJYIZIAWUDBAECMAoGCCqGSIb3DQMHMA4GCCqGSIb3DQMCAgIAgDANBggqhkiG9w0DAgIBQDAHBgUrDgMCBzANBggqhkiG9w0DAgIBKDAKBggqhkjOPQQDAgRIMEYCIQCpVKd4U9RClHfTvRxs2xe6Wbrrpy0iGxK0iJc3Db2c7AIhAOR1kmwUL7G+a9EF1+P0OKHrKTGR42DMZbEIdeA+tSK4',
);
export const BY_KEY_ID = bytes(
  'MIGuBgkqhkiG9w0BBwKggaAwgZ0CAQMxDTALBglghkgBZQMEAgEwCwYJKoZIhvcNAQcBMXwwegIBA4AULZyAiEUC2XYyUqy7bNX7iredyNYwCwYJYIZIAWUDBAIBMAoGCCqGSM49BAMCBEYwRAIgEhBAMgWfGp3sSd8LleCcNcezQh3rpYOAg4s8jUVeXR0CIHusiiunkDFw637adBAW+UcimsnqPka3C4tk2pqVeuGC',
);
export const FILE_SIGNATURE = bytes(
  'MEYCIQDbNxU/yYNs0LniDHHqmaCN6SOBBjk3f6JXtWV4f9nt9gIhAI/4yBajdwTqnkzK/LEDBMeUfd9utzbPUAJWBFSrGPUv',
);
