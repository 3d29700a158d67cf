/**
 * Vectors of the COSE working group (github.com/cose-wg/Examples at 53c9d63; Appendix_C_2_1 is RFC 8152's own), as they
 * stand there: the signature algorithms that are accepted here, and objects to refuse. RSA keys sign in COSE_Sign there,
 * so of those the bytes that were signed are given.
 */
import type { PublicJwk } from '../crypto/port.ts';

export const KEYS = {
  p256: {
    kty: 'EC',
    crv: 'P-256',
    x: 'usWxHK2PmfnHKwXPS54m0kTcGJ90UiglWiGahtagnv8',
    y: 'IBOL-C3BttVivg-lSreASjpkttcsz-1rb7btKLv8EX4',
  },
  p384: {
    kty: 'EC',
    crv: 'P-384',
    x: 'kTJyP2KSsBBhnb4kjWmMF7WHVsY55xUPgb7k64rDcjatChoZ1nvjKmYmPh5STRKc',
    y: 'mM0weMVU2DKsYDxDJkEP9hZiRZtB8fPfXbzINZj_fF7YQRynNWedHEyzAJOX2e8s',
  },
  p521: {
    kty: 'EC',
    crv: 'P-521',
    x: 'AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt',
    y: 'AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1',
  },
  ed25519: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
  rsa: {
    kty: 'RSA',
    n: 'vH4p0N9-IMydyNUJ4PaIlZIq8O9FIZDUAsYbVUM0p7-RyaVwJA-ZT64baQNbz61PfiSesmCHwmZefJWMlnsVF0E9w_l6QxaRpZmbJXzGzTVrrRaNkpuLrpAgdQ50z2D2_TXWuz_JP8KJAEeGlPUIsz58AOJPkO3zdFf8Po78_S9CMGMBqCBat0BRUzHVwY8MZNSkO-UvxEBAD2v8VYpuMohMKvVvKeXFJ4DOpyhfXAV_wN_aIy0K2mgbAUldnQ4yGWYzWI4onlkDX_Zk8FYYny8Q_gWCe3lsMm4-dI_6fFie0nPJxDQ2zdtKaiJSPvi8siIWFbeZlm8aulvIS3onzw',
    e: 'AQAB',
  },
} as const satisfies Readonly<Record<string, PublicJwk>>;
export type KeyName = keyof typeof KEYS;

/** Path, key, data signed elsewhere, object: in hexadecimal. */
export const GOOD: readonly (readonly [string, KeyName, string, string])[] = [
  [
    'RFC8152/Appendix_C_2_1.json',
    'p256',
    '',
    'd28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'ecdsa-examples/ecdsa-sig-01.json',
    'p256',
    '',
    'd28445a201260300a10442313154546869732069732074686520636f6e74656e742e58406520bbaf2081d7e0ed0f95f76eb0733d667005f7467cec4b87b9381a6ba1ede8e00df29f32a37230f39a842a54821fdd223092819d7728efb9d3a0080b75380b',
  ],
  [
    'ecdsa-examples/ecdsa-sig-02.json',
    'p384',
    '',
    'd28444a1013822a104445033383454546869732069732074686520636f6e74656e742e58605f150abd1c7d25b32065a14e05d6cb1f665d10769ff455ea9a2e0adab5de63838db257f0949c41e13330e110eba7b912f34e1546fb1366a2568faa91ec3e6c8d42f4a67a0edf731d88c9aead52258b2e2c4740ef614f02e9d91e9b7b59622a3c',
  ],
  [
    'ecdsa-examples/ecdsa-sig-03.json',
    'p521',
    '',
    'd28444a1013823a104581e62696c626f2e62616767696e7340686f626269746f6e2e6578616d706c6554546869732069732074686520636f6e74656e742e588401664dd6962091b5100d6e1833d503539330ec2bc8fd3e8996950ce9f70259d9a30f73794f603b0d3e7c5e9c4c2a57e10211f76e79df8ffd1b79d7ef5b9fa7da109001965fa2d37e093bb13c040399c467b3b9908c09db2b0f1f4996fe07bb02aaa121a8e1c671f3f997ade7d651081017057bd3a8a5fbf394972ea71cfdc15e6f8fe2e1',
  ],
  [
    'eddsa-examples/eddsa-sig-01.json',
    'ed25519',
    '',
    'd28445a201270300a10442313154546869732069732074686520636f6e74656e742e58407142fd2ff96d56db85bee905a76ba1d0b7321a95c8c4d3607c5781932b7afb8711497dfa751bf40b58b3bcc32300b1487f3db34085eef013bf08f4a44d6fef0d',
  ],
  [
    'sign1-tests/sign-pass-02.json',
    'p256',
    '11aa22bb33cc44dd55006699',
    'd28443a10126a10442313154546869732069732074686520636f6e74656e742e584010729cd711cb3813d8d8e944a8da7111e7b258c9bdca6135f7ae1adbee9509891267837e1e33bd36c150326ae62755c6bd8e540c3e8f92d7d225e8db72b8820b',
  ],
  [
    'sign1-tests/sign-pass-03.json',
    'p256',
    '',
    '8443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
];

/** Path, key, what is wrong, object. */
export const BAD: readonly (readonly [string, KeyName, string, string])[] = [
  [
    'sign1-tests/sign-pass-01.json',
    'p256',
    'the algorithm stands outside of what is signed',
    'd28441a0a201260442313154546869732069732074686520636f6e74656e742e584087db0d2e5571843b78ac33ecb2830df7b6e0a4d5b7376de336b23c591c90c425317e56127fbe04370097ce347087b233bf722b64072beb4486bda4031d27244f',
  ],
  [
    'ecdsa-examples/ecdsa-sig-04.json',
    'p256',
    'ES512 with a key of P-256',
    'd28444a1013823a10442313154546869732069732074686520636f6e74656e742e5840eb18b84ed674284e5ed861c3943e101bed5db9f560c0f0292b34362990d1c59b10df7946cbc6ca3dcbd6c17a6dd1d711f50337baa6b4fcfae0efc70e52c1de0f',
  ],
  [
    'sign1-tests/sign-fail-01.json',
    'p256',
    'another tag',
    'd903e68443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'sign1-tests/sign-fail-02.json',
    'p256',
    'a changed payload',
    'd28443a10126a10442313154546869732069732074686520636f6e74656e742f58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'sign1-tests/sign-fail-03.json',
    'p256',
    'an algorithm that does not exist',
    'd28445a1013903e6a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'sign1-tests/sign-fail-04.json',
    'p256',
    'an algorithm without a number',
    'd2844aa10167756e6b6e6f776ea10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'sign1-tests/sign-fail-06.json',
    'p256',
    'a header was added',
    'd28445a201260300a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  ],
  [
    'sign1-tests/sign-fail-07.json',
    'p256',
    'a header was removed',
    'd28443a10126a10442313154546869732069732074686520636f6e74656e742e58406520bbaf2081d7e0ed0f95f76eb0733d667005f7467cec4b87b9381a6ba1ede8e00df29f32a37230f39a842a54821fdd223092819d7728efb9d3a0080b75380b',
  ],
];

/** Algorithm, what was signed, signature, by the key `rsa`. */
export const PSS: readonly (readonly ['PS256' | 'PS384' | 'PS512', string, string])[] = [
  [
    'PS256',
    '85695369676e617475726543a1030044a10138244054546869732069732074686520636f6e74656e742e',
    '3ad4027074989995f25e167f99c9b4096fdc5c242d438d30382ae7b30f83c88d5b5ebecb64d2256d58d3cce5c47d343bfa532b117c2d04df3fb20679a99cf3555a7dae6098bd123b0f3441a1e50e897cbaa1b17ce171ebab20ae2e10f16d6ee918d37af102175979be65ebcedeb47519346ea3ed6d13b5741bc63742ae31342b10b46fe93f39b55fdd6e32128fd8b476fed88f671f304d0943d2c7a33bce48df08e1f890cf5acda3ef46da21981c3a687cfff85eeb276a98612f38d6ee63644859d66a9ad49939ea290f7a9fdfed9af1246930f522cb8c6909567dcbe2729716cb18a31e6f231db3d69a7a432aa3d6fa1def9c9659616beb626f158378e0fbdd',
  ],
  [
    'PS384',
    '85695369676e617475726543a1030044a10138254054546869732069732074686520636f6e74656e742e',
    '556da92bd3ac5c4908a94eaaeb1c5fb81b6c52c16d82c42d79375f61c3388da5e87abeb95530ce3bdc8979db260c326df13d9093d5f894c9e6d345c79ab7e64a3cf2a9a8f96cea20fd55a3204ad5c62a4bd4128b09a34154e8e401e45a83180a82a8850adc01bf5589f811db189c88117157d81a145dffb6bb0564b05cf9774fb1ee55787d2ad042ea48831090369ea32a7a4987c81d7bc70805505e41acf62f9cb6ce585159fa146b30b2e2fc6e437841402baefc9b189c429c130b8f107f9ddb9ff9378ccf11e36b5179bdefff2db3ee1990f8e1ad7f6631d366c8a09be078a23124cbfc59759aaea0feff48afa5420b508da454e9ae4516aab64c5b346812',
  ],
  [
    'PS512',
    '85695369676e617475726543a1030044a10138264054546869732069732074686520636f6e74656e742e',
    'ae12e63095413b1b30c2cd31a7a9f9e541980d66a153c7a458a688df3d531c3f68668ede311af8b2443990c9c8360f7458494ae8707241ec7eeb87b6679d73c160e33622fa966c5d7d645c1321f428bb10b09eae89e17a503d707cb4ed5506d82a1f8059e9d6ed09265fe8e3c49405b2ae98eeff0a52e268aec9e342eefc1d47a3b744343821b3d34d0f976b040f9be80d672b876ad843987dfa66f8ab117eada8b2bcd73725b409b84f729651cec75092e7fd7562504f49e221b80a71693bc9c5ad438a183e0ed2a3494ddd7afad5ead3b87f51ae102037532379869a9d9e169b6c7adf2d82ea22c656ffe4bf6a2a156f9df05c53373a3b0aa815e9e5ced03d',
  ],
];
