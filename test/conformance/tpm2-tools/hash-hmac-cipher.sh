# Digests, HMAC keys and symmetric ciphers.
. "$(dirname "$0")/lib.sh"
ok startup -c
head -c 3000 /dev/zero >data
for g in sha1 sha256 sha384 sha512; do
  show hash -C o -g $g --hex -t ticket data
done
printf 'key' >k.bin
ok createprimary -C o -c p.ctx
ok import -C p.ctx -G hmac -i k.bin -u k.pub -r k.priv
ok load -C p.ctx -u k.pub -r k.priv -c k.ctx
printf 'what do ya want for nothing?' >m
show hmac -c k.ctx --hex -g sha256 m
show hmac -c k.ctx --hex -g sha256 data
ok create -C p.ctx -G hmac -u h.pub -r h.priv -c h.ctx
ok hmac -c h.ctx -o one m
ok hmac -c h.ctx -o two m
same one two
head -c 16 /dev/zero >aes.key
ok import -C p.ctx -G aes -i aes.key -u a.pub -r a.priv
ok load -C p.ctx -u a.pub -r a.priv -c a.ctx
head -c 16 /dev/zero >iv
head -c 64 /dev/zero >plain
for mode in cfb cbc ctr ofb ecb; do
  v="-t iv"
  [ $mode = ecb ] && v=
  if tpm2_encryptdecrypt -c a.ctx -G $mode $v -o c.$mode plain 2>err; then
    echo "$mode $(sha256sum <c.$mode)"
    tidy
    ok encryptdecrypt -d -c a.ctx -G $mode $v -o p.$mode c.$mode
    same p.$mode plain
  else
    tidy
    echo "$mode $(code)"
  fi
done
