# Hash, HMAC and event sequences.
. "$(dirname "$0")/lib.sh"
ok startup
printf 'first part ' >a
printf 'second part' >b
cat a b >whole
ok hashsequencestart -halg sha256 -pwda s
ok sequenceupdate -hs 80000000 -pwds s -if a
ok sequencecomplete -hs 80000000 -pwds s -if b -of digest
sha256sum <whole | cut -d' ' -f1
od -An -tx1 -v digest | tr -d ' \n'
echo
ok createprimary -hi n -kh -halg sha256 -pwdk k
ok hmacstart -hk 80000000 -pwdk k -pwda s
ok sequenceupdate -hs 80000001 -pwds s -if a
no sequencecomplete -hs 80000001 -pwds wrong -if b -of mac
ok sequencecomplete -hs 80000001 -pwds s -if b -of mac
ok hmac -hk 80000000 -pwdk k -if whole -os mac2
cmp mac mac2 && echo same
ok hashsequencestart -halg null -pwda s
ok sequenceupdate -hs 80000001 -pwds s -if a
# This TSS knows fewer PCR banks than four: the command succeeds, its response is refused.
no eventsequencecomplete -hs 80000001 -pwds s -ha 16 -if b -of1 d1 -of2 d2
show pcrread -ha 16 -halg sha256
ok flushcontext -ha 80000000
ok hash -halg sha256 -if whole -oh h
cmp h digest && echo same
no pcrevent -ha 16 -if whole
ok pcrextend -ha 16 -halg sha256 -if a
show pcrread -ha 16 -halg sha256
ok pcrreset -ha 16
no pcrreset -ha 0
