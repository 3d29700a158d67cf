# tpm2-abrmd between the tools and the TPM: more objects than slots, sessions and contexts from process to process.
set -u
# A bus of its own, then this script once more on it.
if [ -z "${CONFORMANCE_BUS:-}" ]; then CONFORMANCE_BUS=1 exec dbus-run-session -- bash "$0" 2>/dev/null; fi
tpm2-abrmd --session --allow-root --tcti="$TPM_TCTI" >/dev/null 2>&1 &
broker=$!
export TPM2TOOLS_TCTI=tabrmd:bus_type=session
until tpm2_getrandom 1 >/dev/null 2>&1; do kill -0 $broker 2>/dev/null && sleep 0.1 || exit 1; done
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/../tpm2-tools/lib.sh"
trap 'kill $broker; rm -rf "$work"' EXIT
# The broker flushes what a tool leaves behind.
tidy() { :; }
ok createprimary -C o -c p.ctx
for i in 1 2 3 4 5 6; do
  printf "secret $i" >secret
  ok create -C p.ctx -i secret -u s.pub -r s.priv -p "pass$i"
  ok load -C p.ctx -u s.pub -r s.priv -c "s$i.ctx"
done
for i in 1 2 3 4 5 6; do show unseal -c "s$i.ctx" -p "pass$i"; done
no unseal -c s1.ctx -p pass2
for i in 1 2 3 4; do ok startauthsession --policy-session -S "s$i.ses"; done
for i in 1 2 3 4; do ok policypcr -S "s$i.ses" -l sha256:$i -L "$i.pol"; done
printf 'sealed' >secret
ok create -C p.ctx -i secret -u s.pub -r s.priv -L 3.pol
ok load -C p.ctx -u s.pub -r s.priv -c s.ctx
no unseal -c s.ctx -p session:s4.ses
show unseal -c s.ctx -p session:s3.ses
for i in 1 2 4; do ok flushcontext "s$i.ses"; done
ok startauthsession --hmac-session -c p.ctx -S h.ses
ok sessionconfig h.ses --enable-encrypt --enable-decrypt
for i in 1 2 3; do show unseal -c "s$i.ctx" -p "session:h.ses+pass$i"; done
ok flushcontext h.ses
ok createek -G ecc -c ek.ctx -u ek.pub
ok createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name -f pem
ok pcrextend 16:sha256=$(sha256sum <secret | cut -d' ' -f1)
ok quote -c ak.ctx -l sha256:16 -q abcdef -m msg -s sig -o pcrs -g sha256
ok checkquote -u ak.pub -m msg -s sig -f pcrs -g sha256 -q abcdef
ok evictcontrol -C o -c p.ctx 0x81000001
ok create -C 0x81000001 -G ecc -u k.pub -r k.priv -c k.ctx
printf 'message' >m
ok sign -c k.ctx -g sha256 -o sig m
ok verifysignature -c k.ctx -g sha256 -m m -s sig
ok nvdefine -C o -s 8 -a 'ownerread|ownerwrite' 0x1500001
ok nvwrite -C o -i secret 0x1500001
show nvread -C o -s 6 0x1500001
ok evictcontrol -C o -c 0x81000001
show getcap handles-persistent
show getcap handles-transient
