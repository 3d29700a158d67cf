# Sessions that are bound: to an index whose name changes, as audits, and to a sequence that ends with its command.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi o -st -rsa
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 8
ok startauthsession -se h -bi 01000000 -pwdb nn
ok nvwrite -ha 01000000 -pwdn nn -ic 12345678 -se0 02000000 1
ok nvread -ha 01000000 -pwdn nn -sz 8 -se0 02000000 1
no nvread -ha 01000000 -pwdn wrong -sz 8 -se0 02000000 1
ok nvundefinespace -hi o -ha 01000000
ok flushcontext -ha 02000000
ok create -hp 80000000 -si -pwdk sig -opr k.priv -opu k.pub
ok load -hp 80000000 -ipr k.priv -ipu k.pub
printf 'message' >m
ok startauthsession -se h -bi 80000001 -pwdb sig
for i in 1 2; do ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 1; done
for i in 1 2 3; do ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 81; done
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 1
ok flushcontext -ha 02000000
ok flushcontext -ha 80000001
ok startauthsession -se h
ok hashsequencestart -halg sha256 -pwda seq
ok sequenceupdate -hs 80000001 -pwds seq -if m -se0 02000000 1
ok sequencecomplete -hs 80000001 -pwds seq -if m -se0 02000000 61
# PIN pass: every use counts, whatever it is for.
ok nvdefinespace -hi p -hia p -ha 01000000 -pwdn pin -ty p +at stc
printf '\000\000\000\000\000\000\000\002' >two
ok nvwrite -ha 01000000 -hia p -if two
ok nvread -ha 01000000 -pwdn pin -sz 8
no policyrestart -ha 03000000
no policysecret -ha 01000000 -pwde pin -hs 03000000
ok flushcontext -ha 02000000
no policyrestart -ha 03000000
ok startauthsession -se p
ok policysecret -ha 01000000 -pwde pin -hs 03000000
no nvread -ha 01000000 -pwdn pin -sz 8
no policysecret -ha 01000000 -pwde pin -hs 03000000
