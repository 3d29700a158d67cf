# Key agreement in one and in two phases, ephemeral keys, and commitments that are signed with.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -G ecc256 -c p.ctx
ok create -C p.ctx -G ecc256:ecdh -u k.pub -r k.priv
ok load -C p.ctx -u k.pub -r k.priv -c k.ctx
ok ecdhkeygen -u Q -o Z -c k.ctx
size Q
ok ecdhzgen -u Q -o back -c k.ctx
same Z back
head -c 68 /dev/zero >nowhere
no ecdhzgen -u nowhere -o back -c k.ctx
# The curve's parameters are the same on every TPM.
for curve in ecc256 ecc384 ecc521; do
  ok geteccparameters $curve -o curve
  hex curve
done
no geteccparameters ecc224x -o curve
# Two ephemeral keys, each with a counter of its own, each good for one exchange.
ok ecephemeral -u eph0 -t counter0 ecc256
ok ecephemeral -u eph1 -t counter1 ecc256
hex counter0
hex counter1
ok zgen2phase -c k.ctx --static-public Q --ephemeral-public eph0 -t 0 --output-Z1 a1 --output-Z2 a2
ok zgen2phase -c k.ctx --static-public Q --ephemeral-public eph1 -t 1 --output-Z1 b1 --output-Z2 b2
same a1 b1
same Z a1
cmp -s a2 b2 && echo SAME || echo differ
no zgen2phase -c k.ctx --static-public Q --ephemeral-public eph0 -t 0 --output-Z1 a1 --output-Z2 a2
no zgen2phase -c k.ctx --static-public nowhere --ephemeral-public eph0 -t 1 --output-Z1 a1 --output-Z2 a2
# Anonymous signatures: a commitment is used by one signature.
ok create -C p.ctx -G ecc256:ecdaa -u d.pub -r d.priv
ok load -C p.ctx -u d.pub -r d.priv -c d.ctx
ok commit -c d.ctx -t count --eccpoint-K K --eccpoint-L L -u E
hex count
printf 'message' >m
ok sign -c d.ctx -g sha256 -s ecdaa --commit-index 2 -o sig m
no sign -c d.ctx -g sha256 -s ecdaa --commit-index 2 -o sig m
