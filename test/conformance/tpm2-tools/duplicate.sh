# Duplication and import.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -c p.ctx
ok createprimary -C o -G ecc -c np.ctx
ok readpublic -c np.ctx -o np.pub
ok startauthsession -S t.ctx
ok policycommandcode -S t.ctx -L dup.pol TPM2_CC_Duplicate
ok flushcontext t.ctx
ok create -C p.ctx -G ecc -u k.pub -r k.priv -L dup.pol -a 'sensitivedataorigin|userwithauth|sign'
ok load -C p.ctx -u k.pub -r k.priv -c k.ctx
for inner in null aes; do
  ok startauthsession --policy-session -S s.ctx
  ok policycommandcode -S s.ctx TPM2_CC_Duplicate
  if [ $inner = aes ]; then
    head -c 16 /dev/urandom >ik
    ok duplicate -C np.ctx -c k.ctx -G aes -i ik -r dup.priv -s seed -p session:s.ctx
    ok flushcontext s.ctx
    ok import -C np.ctx -u k.pub -i dup.priv -r new.priv -s seed -k ik
  else
    ok duplicate -C np.ctx -c k.ctx -G null -r dup.priv -s seed -p session:s.ctx
    ok flushcontext s.ctx
    ok import -C np.ctx -u k.pub -i dup.priv -r new.priv -s seed
  fi
  ok load -C np.ctx -u k.pub -r new.priv -c new.ctx
  printf 'm' >m
  ok sign -c new.ctx -g sha256 -o sig m
  ok verifysignature -c k.ctx -g sha256 -m m -s sig
done
no duplicate -C np.ctx -c k.ctx -G null -r x -s y
openssl genrsa -out r.pem 2048 2>/dev/null
ok import -C p.ctx -G rsa -i r.pem -u r.pub -r r.priv
ok load -C p.ctx -u r.pub -r r.priv -c r.ctx
ok readpublic -c r.ctx -f pem -o r2.pem
openssl rsa -in r.pem -pubout -out r1.pem 2>/dev/null
same r1.pem r2.pem
openssl ecparam -name prime256v1 -genkey -noout -out e.pem
ok import -C p.ctx -G ecc -i e.pem -u e.pub -r e.priv
ok load -C p.ctx -u e.pub -r e.priv -c e.ctx
printf 'raw' >raw
