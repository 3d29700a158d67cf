# Tools that compute beside the TPM, raw commands, and the certificate of an endorsement key.
. "$(dirname "$0")/lib.sh"
ok startup -c
show rc_decode 0x100
show rc_decode 0x98e
show rc_decode 0x921
ok createpolicy --policy-pcr -l sha256:0,1,2 -L pcr.pol
hex pcr.pol
ok startauthsession -S t.ctx
ok policypcr -S t.ctx -l sha256:0,1,2 -L other.pol
same pcr.pol other.pol
ok flushcontext t.ctx
# TPM2_GetRandom and TPM2_SelfTest, as they are on the wire, and a command that does not exist.
printf '\200\001\000\000\000\014\000\000\001\173\000\010' >command
ok send -o response command
size response
od -An -tx1 -N12 response
printf '\200\001\000\000\000\013\000\000\001\103\001' >command
ok send -o response command
hex response
printf '\200\001\000\000\000\012\000\000\177\377' >command
ok send -o response command
hex response
# Keys that OpenSSL's providers load are wrapped in PEM by the tool.
ok createprimary -C o -c p.ctx
ok evictcontrol -C o -c p.ctx 0x81000001
ok create -C 0x81000001 -G ecc256 -u k.pub -r k.priv
ok encodeobject -C 0x81000001 -u k.pub -r k.priv -o key.pem
head -1 key.pem
ok evictcontrol -C o -c 0x81000001
# This tool leaves its sessions behind.
ok flushcontext -l
# An event log: one separator in PCR 4, by SHA-1.
printf '\004\000\000\000\004\000\000\000%b\004\000\000\000\000\000\000\000' \
  '\x90\x69\xca\x78\xe7\x45\x0a\x28\x51\x73\x43\x1b\x3e\x52\xc5\xc2\x52\x99\xe4\x73' >log
show eventlog log
# A certificate where the PC client profile has it: the tool reads what is there.
ok certifyX509certutil -o partial -d 30
openssl asn1parse -inform DER -in partial | grep -c OBJECT
ok createek -G rsa -c ek.ctx -u ek.pub
printf '0\202\001\000%0256d' 0 >certificate
ok nvdefine -C o -s 260 -a 'ownerread|ownerwrite|authread|ppwrite|platformcreate|ppread|no_da' -C p 0x1c00002
ok nvwrite -C p -i certificate 0x1c00002
ok getekcertificate -o read
same certificate read
ok nvundefine -C p 0x1c00002
no getekcertificate -o read
