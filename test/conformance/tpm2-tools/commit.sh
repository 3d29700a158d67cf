# Ephemeral keys, two-phase exchange and commitment.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -c p.ctx
ok ecephemeral -u eph -t counter ecc256
size eph
ok create -C p.ctx -G ecc256 -u e.pub -r e.priv -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt'
ok load -C p.ctx -u e.pub -r e.priv -c e.ctx
ok create -C p.ctx -G ecc256:ecdaa4-sha256 -u d.pub -r d.priv \
  -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
ok load -C p.ctx -u d.pub -r d.priv -c d.ctx
ok commit -c d.ctx -t count --eccpoint-K K --eccpoint-L L -u E
