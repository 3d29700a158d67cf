# Digests of the policies that name a key or an index: the same names on every TPM, so the same digests.
. "$(dirname "$0")/lib.sh"
ok startup -c
# digest TOOL ARGUMENTS...: what a policy command makes of an empty policy.
digest() {
  ok startauthsession -S t.ctx
  ok "$@" -S t.ctx -L policy
  hex policy
  ok flushcontext t.ctx
}
# The public key of RFC 9500, 2.3 (P-256): a test key that everybody knows.
cat >key.pem <<'PEM'
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQiVI+I+3gv+17KN0RFLHKh5Vj71v
c75eSOkyMsxFxbFsTNEMTLjVuKFxOelIgsiZJXKZNCX0FBmrfpCkKklCcg==
-----END PUBLIC KEY-----
PEM
ok loadexternal -C o -G ecc -u key.pem -c key.ctx -n key.name
hex key.name
ok startauthsession -S t.ctx
ok policysigned -S t.ctx -g sha256 -c key.ctx --raw-data tosign -q 6e6f
hex tosign
ok flushcontext t.ctx
printf '0123456789abcdef0123456789abcdef' >approved
digest policyauthorize -n key.name -i approved
digest policyauthorize -n key.name -i approved -q 6e6f
digest policyduplicationselect -N key.name
digest policyduplicationselect -N key.name -n key.name --include-object
ok nvdefine -C o -s 34 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500031
printf '\000\013' >policy.nv
cat approved >>policy.nv
ok nvwrite -C o -i policy.nv 0x1500031
digest policyauthorizenv -C o 0x1500031
digest policyauthorizenv -C 0x1500031 0x1500031
printf '\000\013' >two
for operation in eq neq sgt ugt slt ult sge uge sle ule bs bc; do digest policynv -C o -i two 0x1500031 $operation; done
digest policynv -C 0x1500031 -i approved --offset 2 0x1500031 eq
digest policysecret -c 0x1500031
for hierarchy in o e p l; do digest policysecret -c $hierarchy; done
digest policysecret -c o -q 6e6f
ok startauthsession -S t.ctx
no policysecret -S t.ctx -c n
ok flushcontext t.ctx
digest policynvwritten c
for locality in zero one two three four 0x20 0xff; do digest policylocality $locality; done
for clock in --eq --neq --sgt --ugt --slt --ult --sge --uge --sle --ule --bs --bc; do
  digest policycountertimer $clock 1000
  digest policycountertimer $clock clock=1000
done
for field in safe resets=0 restarts=0; do digest policycountertimer --eq $field; done
digest policypcr -l sha1:0,1,2+sha256:3,16,23
digest policycommandcode TPM2_CC_NV_Read
# The digest that an authorised policy leaves behind satisfies an object that has it.
ok createprimary -C o -c p.ctx
printf 'secret' >secret
ok startauthsession -S t.ctx
ok policypcr -S t.ctx -l sha256:0,1 -L pcr.pol
ok flushcontext t.ctx
printf '\000\013' >policy.nv
cat pcr.pol >>policy.nv
ok nvwrite -C o -i policy.nv 0x1500031
ok startauthsession -S t.ctx
ok policyauthorizenv -S t.ctx -C o 0x1500031 -L nv.pol
ok flushcontext t.ctx
ok create -C p.ctx -i secret -u s.pub -r s.priv -L nv.pol
ok load -C p.ctx -u s.pub -r s.priv -c s.ctx
ok startauthsession --policy-session -S s.ses
no policyauthorizenv -S s.ses -C o 0x1500031
ok policypcr -S s.ses -l sha256:0,1
ok policyauthorizenv -S s.ses -C o 0x1500031
show unseal -c s.ctx -p session:s.ses
ok flushcontext s.ses
