# Objects: primaries, children, sealed data, external keys, names, changing authorisation, eviction.
. "$(dirname "$0")/lib.sh"
ok startup -c
for h in o p e n; do ok createprimary -C $h -c p.$h; done
no createprimary -C o -G keyedhash -c t.ctx
for g in rsa2048 ecc256 ecc384 aes128; do
  ok createprimary -C o -G $g -c t.ctx
done
no createprimary -C o -G rsa2048 -a 'fixedtpm|restricted|sign|decrypt' -c x.ctx
no createprimary -C o -P wrong -c x.ctx
ok createprimary -C o -c p.ctx
ok createprimary -C o -c q.ctx
ok readpublic -c p.ctx -n n1 -f pem -o one.pem
ok readpublic -c q.ctx -n n2
same n1 n2
for g in rsa2048 rsa2048:rsassa-sha256:null ecc256:ecdsa-sha256:null ecc384 ecc521 aes256cfb hmac; do
  if tpm2_create -C p.ctx -G $g -u u -r r 2>err >out; then echo "created $g"; else echo "$g $(code)"; fi
  tidy
done
printf 'sealed secret' >secret
ok create -C p.ctx -i secret -u s.pub -r s.priv -p pass
ok load -C p.ctx -u s.pub -r s.priv -c s.ctx
show unseal -c s.ctx -p pass
no unseal -c s.ctx -p wrong
no unseal -c s.ctx
ok changeauth -c s.ctx -C p.ctx -p pass -r s2.priv new
ok load -C p.ctx -u s.pub -r s2.priv -c s2.ctx
show unseal -c s2.ctx -p new
no load -C q.ctx -u u -r s.priv -c x.ctx
ok create -C p.ctx -G ecc256 -u e.pub -r e.priv
ok load -C p.ctx -u e.pub -r e.priv -c e.ctx -n e.name
ok readpublic -c e.ctx -n e2.name
same e.name e2.name
ok print -t TPM2B_PUBLIC e.pub
ok loadexternal -C n -u e.pub -c x.ctx
ok loadexternal -C n -G rsa -u one.pem -c x.ctx
openssl genrsa -out priv.pem 2048 2>/dev/null
ok loadexternal -C n -G rsa -r priv.pem -c x.ctx
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem
ok loadexternal -C n -G ecc -r ec.pem -c x.ctx
ok evictcontrol -C o -c e.ctx 0x81000123
show getcap handles-persistent
ok readpublic -c 0x81000123 -n e3.name
same e.name e3.name
no evictcontrol -C o -c p.n 0x81000124
no evictcontrol -C o -c e.ctx 0x81000123
no evictcontrol -C o -c e.ctx 0x81800001
ok evictcontrol -C o -c 0x81000123
show getcap handles-persistent
no readpublic -c 0x81000123
ok create -C p.ctx -i secret -u s.pub -r s.priv -c both.ctx
show unseal -c both.ctx
