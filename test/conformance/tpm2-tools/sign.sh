# Signing, verification, encryption, key agreement.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -c p.ctx
printf 'message' >m
openssl dgst -sha256 -binary -out d m
for k in rsa2048:rsassa:null rsa2048:rsapss:null ecc256:ecdsa:null ecc384:ecdsa:null ecc256:ecschnorr:null; do
  ok create -C p.ctx -G $k -u k.pub -r k.priv -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
  ok load -C p.ctx -u k.pub -r k.priv -c k.ctx
  ok readpublic -c k.ctx -f pem -o k.pem
  s=$(echo $k | cut -d: -f2)
  ok sign -c k.ctx -g sha256 -s $s -o sig m
  ok verifysignature -c k.ctx -g sha256 -m m -s sig
  printf 'other' >o
  no verifysignature -c k.ctx -g sha256 -m o -s sig
  [ $s = ecschnorr ] && continue # neither the tools nor OpenSSL know its plain format
  ok sign -c k.ctx -g sha256 -s $s -f plain -o sig.plain m
  case $k in *rsapss*)
    openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify k.pem -signature sig.plain m ;; *)
    openssl dgst -sha256 -verify k.pem -signature sig.plain m ;;
  esac
done
ok create -C p.ctx -G rsa2048 -u r.pub -r r.priv -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt'
ok load -C p.ctx -u r.pub -r r.priv -c r.ctx
ok readpublic -c r.ctx -f pem -o r.pem
for s in rsaes oaep null; do
  printf 'short secret' >plain
  [ $s = null ] && head -c 256 /dev/zero >plain
  ok rsaencrypt -c r.ctx -s $s -o c plain
  ok rsadecrypt -c r.ctx -s $s -o back c
  same plain back
done
printf 'short secret' >plain
openssl pkeyutl -encrypt -pubin -inkey r.pem -in plain -out c
show rsadecrypt -c r.ctx -s rsaes c
echo
no sign -c r.ctx -g sha256 -o sig m
ok create -C p.ctx -G ecc256 -u e.pub -r e.priv -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt'
ok load -C p.ctx -u e.pub -r e.priv -c e.ctx
ok ecdhkeygen -c e.ctx -u q -o z1
ok ecdhzgen -c e.ctx -u q -o z2
same z1 z2
for c in ecc256 ecc384 ecc521; do
  ok geteccparameters -o params $c
  sha256sum <params
done
