# A session keeps one hash of what it allows: which assertion may follow which, with the same hash and with another.
. "$(dirname "$0")/lib.sh"
ok startup -c
printf '0123456789abcdef0123456789abcdef' >a
printf 'fedcba9876543210fedcba9876543210' >b
printf '\000\040' | cat - a >a.2b
printf '\000\040' | cat - b >b.2b
printf '\000\013' | cat - a >a.name
printf '\000\013' | cat - b >b.name
cphash() { "$1" policycphash -S s.ses --cphash-input $2.2b; }
namehash() { "$1" policynamehash -S s.ses -n $2; }
template() { "$1" policytemplate -S s.ses --template-hash $2; }
duplication() { "$1" policyduplicationselect -S s.ses -N $2.name -n $2.name --include-object; }
try() { if "tpm2_$@" >out 2>err; then echo "$1 after $first: ok"; else echo "$1 after $first: $(code)"; fi; }
for first in cphash namehash template duplication; do
  for second in cphash namehash template duplication; do
    for hash in a b; do
      ok startauthsession -S s.ses --policy-session
      $first ok a
      $second try $hash
      command tpm2_flushcontext -l 2>/dev/null
      ok flushcontext s.ses
    done
  done
done
