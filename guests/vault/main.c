/* The vault: a trusted guest that obtains a secret by attestation and keeps it by sealing. It never shows the secret;
   its results carry the SHA-256 of it, which proves knowledge to whoever knows the secret already. All that the root
   says (modes, nonces, blobs, ciphertexts) is hostile: at worst the vault refuses or the secret stays unknown. */
#include "hpke.h"
#include "libc/string.h"
#include "nexus.h"
#include "share.h"

#define RESOURCE "vault-secret"
#define RELEASE_INFO "nexus-tcb release v1"
#define BLOB_IDENTITY "vault/identity"
#define BLOB_SIGNER "vault/signer"

#define SECRET_MAX 1024
#define BLOB_MAX 8192
#define EVIDENCE_MAX (192 * 1024)

static uint8_t evidence[EVIDENCE_MAX];
static uint8_t blob[BLOB_MAX];
static struct nexus_unsealed unsealed;

/* End the guest on an error of a call, naming both. */
static uint32_t require(const char *operation, uint32_t result)
{
    if (failed(result)) {
        nexus_result("failed op=%s code=0x%x", operation, error_code(result));
        guest_halt();
    }
    return result;
}

/* The message of RELAY_RELEASE: name, public key, evidence, each but the last behind its length. */
static size_t release_message(uint8_t *out, const uint8_t public_key[HPKE_KEY_SIZE], size_t evidence_length)
{
    const uint16_t name_length = sizeof RESOURCE - 1, key_length = HPKE_KEY_SIZE;
    uint8_t *at = out;
    memcpy(at, &name_length, 2);
    memcpy(at + 2, RESOURCE, name_length);
    at += 2 + name_length;
    memcpy(at, &key_length, 2);
    memcpy(at + 2, public_key, key_length);
    at += 2 + key_length;
    memcpy(at, evidence, evidence_length);
    return (size_t) (at - out) + evidence_length;
}

/* Prove this code to the verifier with a fresh key, and receive the secret under that key. Gives its length. */
static size_t obtain_secret(uint8_t secret[SECRET_MAX])
{
    static uint8_t message[EVIDENCE_MAX + 256];
    static uint8_t released[HPKE_KEY_SIZE + SECRET_MAX + HPKE_TAG_SIZE];
    uint8_t private_key[HPKE_KEY_SIZE], public_key[HPKE_KEY_SIZE], nonce[32], user_data[64];

    const uint32_t nonce_length =
        require("CHALLENGE", nexus_relay(NEXUS_RELAY_CHALLENGE, NULL, 0, nonce, sizeof nonce));
    require("RANDOM", nexus_random(private_key, sizeof private_key));
    hpke_public_key(private_key, public_key);

    /* The report binds the key to this code and to the verifier's nonce. */
    sha256(public_key, sizeof public_key, user_data);
    sha256(nonce, nonce_length, user_data + SHA256_SIZE);
    const uint32_t evidence_length =
        require("REPORT", nexus_report(nonce, nonce_length, user_data, evidence, sizeof evidence));
    nexus_result("reported bytes=%u", evidence_length);

    const size_t length = release_message(message, public_key, evidence_length);
    const uint32_t got =
        require("RELEASE", nexus_relay(NEXUS_RELAY_RELEASE, message, length, released, sizeof released));
    const bool opened = got > HPKE_KEY_SIZE + HPKE_TAG_SIZE &&
                        hpke_open(private_key, released, RELEASE_INFO, sizeof RELEASE_INFO - 1, RESOURCE,
                                  sizeof RESOURCE - 1, released + HPKE_KEY_SIZE, got - HPKE_KEY_SIZE, secret);
    memset(private_key, 0, sizeof private_key);
    if (!opened) {
        guest_fail("the released ciphertext does not open");
    }
    return got - HPKE_KEY_SIZE - HPKE_TAG_SIZE;
}

static void seal_and_store(const char *name, uint8_t selector, uint32_t minimum_svn, const uint8_t *secret,
                           size_t length)
{
    const uint32_t size =
        require("SEAL", nexus_seal(selector, 0, minimum_svn, secret, length, blob, sizeof blob));
    require("STORE", nexus_store(name, blob, size));
    nexus_result("sealed name=%s bytes=%u", name, size);
}

static void provision(void)
{
    static uint8_t secret[SECRET_MAX];
    struct nexus_identity identity;
    uint8_t digest[SHA256_SIZE];
    require("IDENTITY", nexus_identity(&identity));
    const size_t length = obtain_secret(secret);
    seal_and_store(BLOB_IDENTITY, NEXUS_SEAL_TO_IDENTITY, 0, secret, length);
    seal_and_store(BLOB_SIGNER, NEXUS_SEAL_TO_SIGNER, identity.svn, secret, length);
    sha256(secret, length, digest);
    memset(secret, 0, sizeof secret);
    nexus_result("provisioned sha256=%b identity=%b", digest, sizeof digest, identity.code_identity,
                 sizeof identity.code_identity);
}

/* Open the blob of that name and report what came of it. */
static void unseal(const char *name, const char *selector)
{
    uint8_t digest[SHA256_SIZE];
    const uint32_t size = nexus_load(name, blob, sizeof blob);
    if (failed(size)) {
        nexus_result("refused op=LOAD name=%s code=0x%x", name, error_code(size));
        return;
    }
    const uint32_t length = nexus_unseal(blob, size, &unsealed);
    if (failed(length)) {
        nexus_result("refused op=UNSEAL name=%s code=0x%x", name, error_code(length));
        return;
    }
    sha256(unsealed.data, length, digest);
    memset(&unsealed.data, 0, sizeof unsealed.data);
    nexus_result("unsealed selector=%s sha256=%b svn=%u", selector, digest, sizeof digest, unsealed.sealer_svn);
}

/* Ask for a report without releasing anything: evidence for whoever asks, bound to their nonce. */
static void attest(void)
{
    uint8_t nonce[32], user_data[64] = {0};
    const uint32_t nonce_length =
        require("CHALLENGE", nexus_relay(NEXUS_RELAY_CHALLENGE, NULL, 0, nonce, sizeof nonce));
    sha256(nonce, nonce_length, user_data + SHA256_SIZE);
    const uint32_t length =
        require("REPORT", nexus_report(nonce, nonce_length, user_data, evidence, sizeof evidence));
    nexus_result("reported bytes=%u", length);
}

/* Lend a page to the neighbour, hear its answer, and take the page back. */
static void share(const char *mode)
{
    const struct share share = share_from_mode(mode);
    volatile char *const page = share_page(&share);
    char heard[SHARE_TEXT];
    share_write(page, "the vault says hello");
    require("grantOffer", nexus_call(NEXUS_CALL_GRANT_OFFER, share.grant, share.frame, share.peer,
                                     NEXUS_PERM_READ | NEXUS_PERM_WRITE, 0, 0));
    share_signal(&share);
    share_wait(&share);
    share_read(page + SHARE_ANSWER, heard);
    require("grantRevoke", nexus_call(NEXUS_CALL_GRANT_REVOKE, share.grant, 0, 0, 0, 0, 0));
    share_signal(&share);
    nexus_result("shared heard=\"%s\"", heard);
}

void guest_main(const char *command_line)
{
    static const char foreign[] = "unseal-foreign ";
    char mode[160];
    (void) command_line; /* measured, so it says nothing that may change between launches */
    nexus_mode(mode, sizeof mode);
    print("vault: %s\n", mode);
    if (strcmp(mode, "provision") == 0) {
        provision();
    } else if (strcmp(mode, "unseal") == 0) {
        unseal(BLOB_IDENTITY, "identity");
        unseal(BLOB_SIGNER, "signer");
    } else if (strncmp(mode, foreign, sizeof foreign - 1) == 0) {
        unseal(mode + sizeof foreign - 1, "foreign");
    } else if (strcmp(mode, "attest") == 0) {
        attest();
    } else if (mode_is(mode, "share")) {
        share(mode);
    } else {
        nexus_result("failed mode=%s", mode);
    }
}
