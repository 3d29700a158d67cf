# Attestation: certify, quote, time, creation, audit digests, NV; credentials.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createek -G rsa -c ek.ctx -u ek.pub
ok createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name
ok readpublic -c ak.ctx -f pem -o ak.pem
ok quote -c ak.ctx -l sha256:0,1,2 -q abcdef -m msg -s sig -o pcrs -g sha256
ok checkquote -u ak.pem -m msg -s sig -f pcrs -g sha256 -q abcdef
no checkquote -u ak.pem -m msg -s sig -f pcrs -g sha256 -q abcd
ok print -t TPMS_ATTEST msg
grep -E 'magic|type|count|alg|pcrSelect|extraData|hash:' out | grep -v pcrDigest
ok createprimary -C o -c p.ctx --creation-data cd -d cdh -t ct
ok certify -c p.ctx -C ak.ctx -g sha256 -o att -s sig -f plain
openssl dgst -sha256 -verify ak.pem -signature sig att
ok certifycreation -C ak.ctx -c p.ctx -d cdh -t ct -g sha256 -o sig --attestation att -f plain -s ecdsa
openssl dgst -sha256 -verify ak.pem -signature sig att
ok gettime -c ak.ctx -q 1122 -o sig --attestation att -f plain
openssl dgst -sha256 -verify ak.pem -signature sig att
ok nvdefine -C o -s 8 -a 'ownerread|ownerwrite|authread' 0x1500020
printf '12345678' >d
ok nvwrite -C o -i d 0x1500020
ok nvcertify -C ak.ctx -c o -g sha256 -f plain -s ecdsa -o sig --attestation att --size 8 0x1500020
openssl dgst -sha256 -verify ak.pem -signature sig att
ok setcommandauditstatus -C o TPM2_CC_GetRandom 2>/dev/null
ok getrandom -o r 4
ok getcommandauditdigest -c ak.ctx -g sha256 -s sig -m att -f plain
openssl dgst -sha256 -verify ak.pem -signature sig att
printf 'credential' >secret
name=$(od -An -tx1 -v <ak.name | tr -d ' \n')
ok makecredential -u ek.pub -s secret -n "$name" -o cred
ok startauthsession --policy-session -S s.ctx
ok policysecret -S s.ctx -c e
ok activatecredential -c ak.ctx -C ek.ctx -i cred -o back -P session:s.ctx
ok flushcontext s.ctx
same secret back
no activatecredential -c ak.ctx -C ek.ctx -i cred -o back
ok createek -G ecc -c eek.ctx -u eek.pub
ok makecredential -u eek.pub -s secret -n "$name" -o cred
