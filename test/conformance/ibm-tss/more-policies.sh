# Every other policy command: the digest in a trial session, then satisfied.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi o -st -rsa
printf 'message' >m
head -c 32 /dev/zero >h32
printf '\000\000\000\000\000\000\000\005' >five
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 34
# trial TOOL ARGUMENTS...: the digest of one policy command.
trial() {
  ok startauthsession -se t
  ok "$@"
  ok policygetdigest -ha 03000000 -of "$1.pol"
  od -An -tx1 -v <"$1.pol" | tr -d ' \n'
  echo
  ok flushcontext -ha 03000000
}
trial policypassword -ha 03000000
trial policypcr -ha 03000000 -bm 10001
trial policycphash -ha 03000000 -cp h32
trial policynvwritten -hs 03000000 -ws n
trial policytemplate -ha 03000000 -te h32
trial policycountertimer -ha 03000000 -if five -op 7
trial policysecret -ha 4000000b -hs 03000000
trial policyor -ha 03000000 -if policypcr.pol -if policypassword.pol
openssl genrsa -traditional -out sk.pem 2048 2>/dev/null
openssl rsa -in sk.pem -pubout -out pk.pem 2>/dev/null
ok loadexternal -ipem pk.pem -hi o
# key POLICY: a signing key under it, at 80000002.
key() {
  ok create -hp 80000000 -si -pol "$1" -opr k.priv -opu k.pub -pwdk pp
  ok load -hp 80000000 -ipr k.priv -ipu k.pub
  ok startauthsession -se p
}
done_() {
  ok flushcontext -ha 80000002
  ok flushcontext -ha 03000000
}
key policypassword.pol
no sign -hk 80000002 -if m -os sig -se0 03000000 1
ok policypassword -ha 03000000
ok sign -hk 80000002 -pwdk pp -if m -os sig -se0 03000000 1
done_
key policypcr.pol
ok policypcr -ha 03000000 -bm 10001
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
ok policypcr -ha 03000000 -bm 10001
ok pcrextend -ha 0 -halg sha256 -ic x
no sign -hk 80000002 -if m -os sig -se0 03000000 1
ok policyrestart -ha 03000000
ok policypcr -ha 03000000 -bm 10001
no sign -hk 80000002 -if m -os sig -se0 03000000 1
done_
trial policypcr -ha 03000000 -bm 10001
trial policyor -ha 03000000 -if policypcr.pol -if policypassword.pol
key policyor.pol
no policyor -ha 03000000 -if policypcr.pol -if policypassword.pol
ok policypassword -ha 03000000
ok policyor -ha 03000000 -if policypcr.pol -if policypassword.pol
ok sign -hk 80000002 -pwdk pp -if m -os sig -se0 03000000 1
done_
key policysecret.pol
ok policysecret -ha 4000000b -hs 03000000
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
no policysecret -ha 4000000b -hs 03000000 -pwde wrong
done_
key policycountertimer.pol
ok policycountertimer -ha 03000000 -if five -op 7
no policycountertimer -ha 03000000 -if five -op 5
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
done_
# A signed assertion, and the ticket that stands for it.
ok startauthsession -se t
ok policysigned -hk 80000001 -ha 03000000 -sk sk.pem -halg sha256
ok policygetdigest -ha 03000000 -of signed.pol
ok flushcontext -ha 03000000
key signed.pol
ok policysigned -hk 80000001 -ha 03000000 -sk sk.pem -halg sha256
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
no policysigned -hk 80000000 -ha 03000000 -sk sk.pem -halg sha256
done_
# With an expiration, a ticket stands for what was signed, or for the secret that was known.
ok create -hp 80000000 -si -pol policysecret.pol -opr k.priv -opu k.pub
ok load -hp 80000000 -ipr k.priv -ipu k.pub
ok startauthsession -se p -on nonce
ok policysecret -ha 4000000b -hs 03000000 -in nonce -exp -200 -tk ticket -to timeout
ok policyrestart -ha 03000000
ok policyticket -ha 03000000 -to timeout -hi e -tk ticket
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
no policyticket -ha 03000000 -to timeout -hi o -tk ticket
done_
# NV: written or not, compared, and holding the policy that is approved.
key policynvwritten.pol
done_
ok nvwrite -ha 01000000 -pwdn nn -if five
trial policynv -ha 01000000 -pwda nn -hs 03000000 -if five -op 0
key policynv.pol
ok policynv -ha 01000000 -pwda nn -hs 03000000 -if five -op 0
no policynv -ha 01000000 -pwda nn -hs 03000000 -if five -op 1
no policynv -ha 01000000 -pwda wrong -hs 03000000 -if five -op 0
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
done_
printf '\000\013' | cat - policypcr.pol >approved
ok nvwrite -ha 01000000 -pwdn nn -if approved
trial policyauthorizenv -ha 01000000 -pwda nn -hs 03000000
key policyauthorizenv.pol
no policyauthorizenv -ha 01000000 -pwda nn -hs 03000000
ok policypcr -ha 03000000 -bm 10001
ok policyauthorizenv -ha 01000000 -pwda nn -hs 03000000
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
done_
# A policy that a key approves.
ok create -hp 80000000 -si -opr a.priv -opu a.pub
ok load -hp 80000000 -ipr a.priv -ipu a.pub
tail -c +3 a.pub | openssl dgst -sha256 -binary | { printf '\000\013'; cat; } >a.name
ok sign -hk 80000002 -if policypcr.pol -os sig
ok verifysignature -hk 80000002 -if policypcr.pol -is sig -tk verified
ok flushcontext -ha 80000002
ok startauthsession -se t
ok policyauthorize -ha 03000000 -appr policypcr.pol -skn a.name -tk verified
ok policygetdigest -ha 03000000 -of authorize.pol
ok flushcontext -ha 03000000
key authorize.pol
ok policypcr -ha 03000000 -bm 10001
ok policyauthorize -ha 03000000 -appr policypcr.pol -skn a.name -tk verified
ok sign -hk 80000002 -if m -os sig -se0 03000000 1
no policyauthorize -ha 03000000 -appr policypassword.pol -skn a.name -tk verified
done_
# Policies worked out beside the TPM.
od -An -tx1 -v h32 | tr -d ' \n' >zeros
printf '0000016b\n' >statements
ok policymaker -if statements -of made.pol
ok startauthsession -se t
ok policyauthvalue -ha 03000000
ok policygetdigest -ha 03000000 -of authvalue.pol
cmp made.pol authvalue.pol && echo same
ok flushcontext -ha 03000000
printf '%s\n' "$(cat zeros)" >values
ok policymakerpcr -bm 10000 -if values -of term
ok policymaker -if term -of made.pol
trial policypcr -ha 03000000 -bm 10000
cmp made.pol policypcr.pol && echo same
